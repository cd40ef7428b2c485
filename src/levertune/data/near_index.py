"""Nearly equal texts of two sets, found in one pass over the larger one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from levertune.data.key_table import KeyTable, expand
from levertune.data.near_duplicates import NEAR_THRESHOLD
from levertune.data.shingles import distinct, hash_shingles

Array = np.ndarray[Any, np.dtype[Any]]

_MIN_CHARACTERS = 12
_MIN_SHINGLES = 8
# Shingles that more than a tenth of the texts hold belong to an anchor or to the language.
_USUAL_SHARE = 10
# Rows of a template whose slot takes a fifth of them are alike by less than two copies are.
_TEMPLATE_THRESHOLD = 0.6
MAX_TWINS = 10
"""A text with more different ones alike to it by 0.6 is one of many made from a template."""
# So many texts that share the rarest shingles of one are made from its template too, nearly equal
# or not. It bounds the work where everything comes from one template.
_MAX_CANDIDATES = 20_000
# Pairs looked at together: bounds the memory.
_MAX_PAIRS = 1 << 20


class NearIndex:
    """Some texts, to find others whose shingles overlap with theirs by a Jaccard index of 0.8.

    Shingles that more than ten and more than a tenth of the texts hold do not count, as those of an
    anchor. A text with more than ten different others alike to it by 0.6, on either side, has no
    near duplicates: all of them come from one template.

    Nothing is estimated: a text with that overlap holds all but a few of another's shingles, so it
    holds nearly all of any subset, and only the rarest are looked up (prefix filtering: Chaudhuri,
    Ganti and Kaushik, "A primitive operator for similarity joins in data cleaning", 2006; Bayardo,
    Ma and Srikant, "Scaling up all pairs similarity search", 2007). Rare is what few of these texts
    hold, so what is found does not depend on the order of either set.

    Args:
        texts: Normalised texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        unique = sorted({text for text in texts if len(text) >= _MIN_CHARACTERS})
        hashes = [distinct(hash_shingles([text])[0]) for text in unique]
        everything, counts = np.unique(
            np.concatenate([np.empty(0, dtype=np.uint64), *hashes]), return_counts=True
        )
        self._usual = everything[counts > max(MAX_TWINS, len(unique) // _USUAL_SHARE)]
        own = [self._without_usual(found) for found in hashes]
        kept = [i for i, found in enumerate(own) if len(found) >= _MIN_SHINGLES]
        self._texts = [unique[i] for i in kept]
        index_of = {text: i for i, text in enumerate(self._texts)}
        self._rows: list[list[int]] = [[] for _ in self._texts]
        for row, text in enumerate(texts):
            if text in index_of:
                self._rows[index_of[text]].append(row)
        self._sizes = np.array([len(own[i]) for i in kept], dtype=np.int64)
        self._ends = np.cumsum(self._sizes)
        self._shingles = np.concatenate([np.empty(0, dtype=np.uint64), *(own[i] for i in kept)])
        # Shingles that a text as much alike as those of a template shares at least.
        self._least = np.ceil(_TEMPLATE_THRESHOLD * self._sizes - 1e-9).astype(np.int64)
        # A tenth more are looked up than it may lack, and must be found: less stands in by chance.
        self._wanted = np.minimum(np.maximum(self._sizes // 10, 2), self._least)
        self._index_rarest(self._sizes - self._least + self._wanted)
        self._is_template = np.zeros(len(self._texts), dtype=bool)
        self._candidates = np.zeros(len(self._texts), dtype=np.int64)
        self._twins: list[dict[str, float]] = [{} for _ in self._texts]
        self._twin_rows: dict[str, list[int]] = {}
        self._of_templates: dict[int, list[str]] = {}  # nearly equal texts of a template's

    def add(self, texts: Sequence[str], first: int) -> set[int]:
        """Look up more texts.

        Args:
            texts: Normalised texts.
            first: Index of the first of them.

        Returns:
            The indices of those that may be in `pairs`.
        """
        touched: set[int] = set()
        if not self._texts:
            return touched
        hashes, sizes = hash_shingles(texts)
        starts = np.cumsum(sizes) - sizes
        places, entries = self._table.find(hashes)
        owners = np.searchsorted(starts, places, side="right") - 1
        owners, entries = np.divmod(distinct(owners * len(self._table) + entries), len(self._table))
        begin = 0
        while begin < len(owners):
            end = self._end_of_slice(owners, entries, begin)
            rows, likes = self._candidates_of(owners[begin:end], entries[begin:end], sizes)
            edges = np.flatnonzero(np.diff(rows)) + 1
            for group in np.split(np.arange(len(rows)), edges) if len(rows) else []:
                row = int(rows[group[0]])
                own = distinct(hashes[starts[row] : starts[row] + sizes[row]])
                own = self._without_usual(own)
                if self._compare(texts[row], first + row, own, likes[group]):
                    touched.add(first + row)
            self._drop_templates()
            begin = end
        return touched

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """The nearly equal rows: the index passed to `add`, that of the row, the Jaccard index."""
        num_twins = self._count_twins()
        for i, twins in enumerate(self._twins):
            if self._is_template[i]:
                continue
            for text, similarity in twins.items():
                if similarity >= NEAR_THRESHOLD and num_twins[text] <= MAX_TWINS:
                    for row in self._twin_rows[text]:
                        for like in self._rows[i]:
                            yield row, like, similarity

    def passed_over(self) -> Iterator[tuple[int, int]]:
        """Nearly equal rows that are none for being a template's, as far as they were compared."""
        num_twins = self._count_twins()
        for i, likes in enumerate(self._rows):
            texts = self._of_templates.get(i, [])
            if not self._is_template[i]:
                texts = [
                    text
                    for text, similarity in self._twins[i].items()
                    if similarity >= NEAR_THRESHOLD and num_twins[text] > MAX_TWINS
                ]
            for text in texts:
                for like in likes:
                    yield self._twin_rows[text][0], like

    def _count_twins(self) -> dict[str, int]:
        """How many texts that are no template's each text that was looked up is alike to."""
        num_twins: dict[str, int] = {}
        for i, twins in enumerate(self._twins):
            if not self._is_template[i]:
                for text in twins:
                    num_twins[text] = num_twins.get(text, 0) + 1
        return num_twins

    def _without_usual(self, shingles: Array) -> Array:
        """Distinct shingles in order, without those many of the texts share."""
        if not len(self._usual):
            return shingles
        places = np.minimum(np.searchsorted(self._usual, shingles), len(self._usual) - 1)
        return shingles[self._usual[places] != shingles]

    def _index_rarest(self, num_rarest: Array) -> None:
        """Which texts hold a shingle that is among their rarest."""
        owners = np.repeat(np.arange(len(self._texts)), self._sizes)
        _, ids, counts = np.unique(self._shingles, return_inverse=True, return_counts=True)
        order = np.lexsort((self._shingles, counts[ids], owners))
        rank = np.arange(len(owners)) - np.repeat(self._ends - self._sizes, self._sizes)
        chosen = order[rank < num_rarest[owners]]
        self._table = KeyTable(self._shingles[chosen])
        _, entries = self._table.find(self._shingles[chosen])
        by_entry = np.argsort(entries, kind="stable")
        self._entries = entries[by_entry]
        self._likes = owners[chosen][by_entry]
        self._offsets = np.searchsorted(self._entries, np.arange(len(self._table) + 1))

    def _drop_templates(self) -> None:
        """Forget texts found to be made from a template, once they are a tenth of what is there."""
        is_gone = self._is_template[self._likes]
        if 10 * int(is_gone.sum()) > len(is_gone):
            self._entries, self._likes = self._entries[~is_gone], self._likes[~is_gone]
            self._offsets = np.searchsorted(self._entries, np.arange(len(self._table) + 1))

    def _end_of_slice(self, owners: Array, entries: Array, begin: int) -> int:
        """One behind the last hit of as many rows as give a bounded number of pairs."""
        counts = self._offsets[entries[begin:] + 1] - self._offsets[entries[begin:]]
        end = begin + int(np.searchsorted(np.cumsum(counts), _MAX_PAIRS, side="right"))
        if end >= len(owners):
            return len(owners)
        first_of_row = int(np.searchsorted(owners, owners[end]))
        if first_of_row > begin:
            return first_of_row
        return int(np.searchsorted(owners, owners[begin], side="right"))

    def _candidates_of(self, owners: Array, entries: Array, sizes: Array) -> tuple[Array, Array]:
        """Rows and texts that share enough of the texts' rarest shingles, row after row."""
        found, hits = expand(self._offsets[entries], self._offsets[entries + 1])
        pairs, counts = np.unique(
            owners[hits] * len(self._texts) + self._likes[found], return_counts=True
        )
        rows, likes = np.divmod(pairs, len(self._texts))
        is_near = (counts >= self._wanted[likes]) & (sizes[rows] >= self._least[likes])
        rows, likes = rows[is_near], likes[is_near]
        self._candidates += np.bincount(likes, minlength=len(self._texts))
        self._is_template |= self._candidates > _MAX_CANDIDATES
        is_open = ~self._is_template[likes]
        return rows[is_open], likes[is_open]

    def _compare(self, text: str, row: int, own: Array, likes: Array) -> bool:
        """Note the texts that are near duplicates of a row's; whether there are any."""
        likes = likes[~self._is_template[likes]]
        likes = likes[(self._least[likes] <= len(own))]
        likes = likes[_TEMPLATE_THRESHOLD * len(own) <= self._sizes[likes] + 1e-9]
        if not len(likes):
            return False
        sizes = self._sizes[likes]
        found, owners = expand(self._ends[likes] - sizes, self._ends[likes])
        theirs = self._shingles[found]
        places = np.minimum(np.searchsorted(own, theirs), len(own) - 1)
        shared = np.bincount(owners[own[places] == theirs], minlength=len(likes))
        similarities = shared / (len(own) + sizes - shared)
        is_twin = similarities >= _TEMPLATE_THRESHOLD
        for like, similarity in zip(
            likes[is_twin].tolist(), similarities[is_twin].tolist(), strict=True
        ):
            twins = self._twins[like]
            twins[text] = similarity
            if len(twins) > MAX_TWINS:
                self._is_template[like] = True
                near = [other for other, found in twins.items() if found >= NEAR_THRESHOLD]
                if near:
                    self._of_templates[like] = near
                twins.clear()
        if not is_twin.any():
            return False
        self._twin_rows.setdefault(text, []).append(row)
        return True
