"""Whether a row is a near duplicate of one already chosen: exact, and cheap for a few thousand.

`data.near_duplicates` groups a whole set, which takes much memory above 20,000 rows; here
only the rows that are chosen, or nearly, are ever looked at.
"""

from __future__ import annotations

import math
import zlib

from levertune.data.row_texts import normalize_text

_SHINGLE_CHARS = 5


class NearRows:
    """Rows chosen so far, by the rarest-looking part of their shingles.

    Two sets with a Jaccard index of at least `t` share an element among the first
    `n - ceil(t n) + 1` of each, in any one order of all elements (prefix filtering: Chaudhuri et
    al., "A primitive operator for similarity joins in data cleaning", 2006). So few pairs need be
    compared, and none is missed.

    Args:
        threshold: Jaccard index from which two rows are near duplicates.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._chosen: list[frozenset[str]] = []
        self._by_shingle: dict[str, list[int]] = {}

    def add_unless_near(self, text: str) -> bool:
        """Take a row in, unless it is a near duplicate of one that is in.

        Args:
            text: The row's text.

        Returns:
            Whether it was taken in.
        """
        shingles, prefix = self._read(text)
        others = {i for shingle in prefix for i in self._by_shingle.get(shingle, ())}
        for other in others:
            shared = len(shingles & self._chosen[other])
            union = len(shingles) + len(self._chosen[other]) - shared
            if shared >= self._threshold * union - 1e-9:
                return False
        self._keep(shingles, prefix)
        return True

    def add(self, text: str) -> None:
        """Take a row in that was chosen elsewhere, whatever it is like.

        Args:
            text: The row's text.
        """
        self._keep(*self._read(text))

    def _read(self, text: str) -> tuple[frozenset[str], list[str]]:
        """A row's shingles, and those of them it is looked up by."""
        shingles = _shingles(normalize_text(text))
        # The small term keeps a threshold such as 0.8 x 5 from being rounded up past 4.
        kept = len(shingles) - math.ceil(self._threshold * len(shingles) - 1e-9) + 1
        order = sorted(shingles, key=lambda s: (zlib.crc32(s.encode("utf-8", "replace")), s))
        return shingles, order[:kept]

    def _keep(self, shingles: frozenset[str], prefix: list[str]) -> None:
        for shingle in prefix:
            self._by_shingle.setdefault(shingle, []).append(len(self._chosen))
        self._chosen.append(shingles)


def _shingles(text: str) -> frozenset[str]:
    """Distinct runs of five characters; a shorter text is one shingle itself."""
    count = max(1, len(text) - _SHINGLE_CHARS + 1)
    return frozenset(text[i : i + _SHINGLE_CHARS] for i in range(count))
