"""Rows of a few words that are equal but for one word, found in one pass over the larger set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from levertune.data.key_table import CommonKeys, KeyTable, expand
from levertune.data.row_texts import RowTexts
from levertune.data.word_hashes import WordHashes, hash_shortened, hash_texts, hash_words
from levertune.data.word_runs import MAX_ROWS_OF_A_RUN

Array = np.ndarray[Any, np.dtype[Any]]

# Of fewer words one word is too much of the row; of more, shingles and runs of 13 words tell.
_MIN_WORDS = 6
_MAX_WORDS = 25


class RewordedIndex:
    """Some rows, to find others that differ from them in one word put in, left out or replaced.

    Two such rows are equal once a word is left out of one or of both. What is left is looked up; it
    says nothing where more than ten different rows of either set leave the same, all numbers taken
    for equal: that is a template, and the word is what fills it.

    Args:
        rows: The rows.
        max_rows: Most different rows of a set that may leave the same.
    """

    def __init__(self, rows: Sequence[RowTexts], *, max_rows: int = MAX_ROWS_OF_A_RUN) -> None:
        found = _shortened(rows)
        self._table, self._frames = KeyTable(found.keys), KeyTable(found.frames)
        _, entries = self._table.find(found.keys)
        _, frames = self._frames.find(found.frames)
        order = np.argsort(entries, kind="stable")
        self._rows = found.rows[order]
        self._offsets = np.searchsorted(entries[order], np.arange(len(self._table) + 1))
        self._frame_of = frames[order][self._offsets[:-1]]
        self._own = CommonKeys(len(self._frames), max_rows)
        self._own.add(frames, found.contents)
        self._seen = CommonKeys(len(self._frames), max_rows)
        self._is_closed = np.zeros(len(self._table), dtype=bool)
        self._hits: list[Array] = []

    def add(self, rows: Sequence[RowTexts], first: int) -> set[int]:
        """Look up more rows.

        Args:
            rows: The rows.
            first: Index of the first of them.

        Returns:
            The indices of those that may be in `pairs`.
        """
        if not len(self._table):
            return set()
        found = _shortened(rows)
        places, frames = self._frames.find(found.frames)
        self._seen.add(frames, found.contents[places])
        places, entries = self._table.find(found.keys)
        # What turns out to be a template's is kept once, to be told as passed over.
        is_kept = ~self._is_template(entries) | ~self._is_closed[entries]
        is_kept &= ~self._own.is_common[self._frame_of[entries]]
        self._is_closed |= self._is_template(np.arange(len(self._is_closed)))
        hits = np.stack((found.rows[places] + first, entries))[:, is_kept]
        self._hits.append(hits)
        return set(hits[0].tolist())

    def pairs(self) -> Iterator[tuple[int, int]]:
        """The rows that differ in one word, as the index passed to `add` and that of the row."""
        yield from self._pairs(of_templates=False)

    def passed_over(self) -> Iterator[tuple[int, int]]:
        """The same for rows that a template accounts for, as far as they came before it was one."""
        yield from self._pairs(of_templates=True)

    def _pairs(self, *, of_templates: bool) -> Iterator[tuple[int, int]]:
        if not self._hits:
            return
        rows, entries = np.concatenate(self._hits, axis=1)
        is_wanted = self._is_template(entries) == of_templates
        rows, entries = rows[is_wanted], entries[is_wanted]
        found, owners = expand(self._offsets[entries], self._offsets[entries + 1])
        yield from sorted(set(zip(rows[owners].tolist(), self._rows[found].tolist(), strict=True)))

    def _is_template(self, entries: Array) -> Array:
        return (self._own.is_common | self._seen.is_common)[self._frame_of[entries]]


@dataclass(frozen=True, slots=True)
class _Shortened:
    """Hashes of rows' words and of all but one of them."""

    keys: Array
    frames: Array  # the same, all numbers taken for equal
    rows: Array
    contents: Array


def _shortened(rows: Sequence[RowTexts]) -> _Shortened:
    chosen = [
        i for i, row in enumerate(rows) if _MIN_WORDS <= row.bare.count(" ") + 1 <= _MAX_WORDS
    ]
    words = hash_words([rows[i].bare for i in chosen], lambda text: text.split(" "))
    owners = np.concatenate((np.arange(len(chosen)), words.texts))
    contents = np.array([hash(rows[i].row_key) for i in chosen], dtype=np.int64)
    return _Shortened(
        keys=_whole_and_shortened(words.values, words),
        frames=_whole_and_shortened(words.masked, words),
        rows=np.array(chosen, dtype=np.int64)[owners],
        contents=contents[owners],
    )


def _whole_and_shortened(values: Array, words: WordHashes) -> Array:
    return np.concatenate((hash_texts(values, words), hash_shortened(values, words)))
