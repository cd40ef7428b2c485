"""Runs of words that the rows of two sets share, found in one pass over the larger set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from levertune.data.key_table import CommonKeys, KeyTable, expand
from levertune.data.row_texts import RowTexts, split_tokens, split_words
from levertune.data.word_hashes import WordHashes, has_digit, hash_windows, hash_words

Array = np.ndarray[Any, np.dtype[Any]]
RunKind = Literal["contained", "13-gram"]

RUN_WORDS = 13
SHORT_WORDS = 8
"""A shorter row standing whole inside another one says nothing: such rows are stock phrases."""
_SHORT_CHARACTERS = 30
_HALF_WORDS = 6
MAX_ROWS_OF_A_RUN = 10
"""What more rows of a set hold is no row's own text but what a template or a custom repeats (the
limit of Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C)."""


@dataclass(frozen=True, slots=True)
class SharedRun:
    """Two rows that share a run of words.

    Args:
        row: Index of the row passed to `add`.
        like: Index of the row the index was built from.
        kind: Whether a short row stands whole in the other, or 13 words are shared.
        share: Share of the latter row's words that stand in shared runs.
    """

    row: int
    like: int
    kind: RunKind
    share: float


@dataclass(frozen=True, slots=True)
class HashedRows:
    """The words of rows: of their prompts, and of those completions that can hold a run.

    Args:
        words: The words, text after text.
        owners: Index of the row of each text.
        is_answer: Which texts are completions.
    """

    words: WordHashes
    owners: Array
    is_answer: Array


def hash_rows(rows: Sequence[RowTexts]) -> HashedRows:
    """Hash the words of rows."""
    answers = [i for i, row in enumerate(rows) if len(row.answer) >= _SHORT_CHARACTERS]
    texts = [*(row.prompt for row in rows), *(rows[i].answer for i in answers)]
    owners = np.concatenate((np.arange(len(rows)), np.array(answers, dtype=np.int64)))
    is_answer = np.arange(len(texts)) >= len(rows)
    return HashedRows(hash_words(texts, split_tokens), owners, is_answer)


class RunIndex:
    """The runs of words of some rows, to be looked up in many others.

    A run of 13 words counts if at most ten different rows of either set hold it, and as many each
    of its halves with all numbers taken for equal: else it belongs to a template. Prompts are
    compared with prompts and completions, completions (from 13 words) with prompts only: rows
    rightly share their answers.

    Args:
        rows: The rows.
    """

    def __init__(self, rows: Sequence[RowTexts]) -> None:
        hashed = hash_rows(rows)
        words, owners, is_answer = hashed.words, hashed.owners, hashed.is_answer
        self._sizes = words.sizes
        self._owners, self._is_answer = owners, is_answer
        lengths = np.full(len(words.sizes), RUN_WORDS)
        is_short = (words.sizes < RUN_WORDS) & (words.sizes >= SHORT_WORDS) & ~is_answer
        is_short &= np.array([len(rows[i].prompt) >= _SHORT_CHARACTERS for i in owners], dtype=bool)
        lengths[is_short] = words.sizes[is_short]
        self._lengths = sorted({RUN_WORDS, *lengths[is_short].tolist()})
        texts, ends = words.texts, np.repeat(words.ends, words.sizes)
        keys, places = [], []
        for length in self._lengths:
            hashes = hash_windows(words.values, length)
            found = np.flatnonzero(ends[: len(hashes)] - np.arange(len(hashes)) >= length)
            found = found[lengths[texts[found]] == length]
            keys.append(hashes[found])
            places.append(found)
        self._table = KeyTable(np.concatenate(keys))
        _, runs = self._table.find(np.concatenate(keys))
        order = np.argsort(runs, kind="stable")
        self._places = np.concatenate(places)[order]  # where each run stands, run after run
        self._offsets = np.searchsorted(runs[order], np.arange(len(self._table) + 1))
        self._texts = texts[self._places]
        self._positions = self._places - words.starts[self._texts]
        self._index_halves(words)
        contents = np.array([hash(row.row_key) for row in rows], dtype=np.int64)
        # Common among the rows themselves; the same is counted among the rows that are added.
        self._own, self._own_halves = self._counters()
        self._own.add(runs[order], contents[owners[self._texts]])
        self._count_halves(self._own_halves, words, contents[owners])
        self._seen, self._seen_halves = self._counters()
        self._is_met = np.zeros(len(self._table), dtype=bool)
        self._hits: list[Array] = []

    def add(self, rows: Sequence[RowTexts], hashed: HashedRows, first: int) -> set[int]:
        """Look up the runs of more rows.

        Args:
            rows: The rows.
            hashed: Their words.
            first: Index of the first of them.

        Returns:
            The indices of those that may be in `pairs`.
        """
        touched: set[int] = set()
        words, owners, is_answer = hashed.words, hashed.owners, hashed.is_answer
        contents = np.array([hash(row.row_key) for row in rows], dtype=np.int64)
        self._count_halves(self._seen_halves, words, contents[owners])
        text_of_word, ends = words.texts, np.repeat(words.ends, words.sizes)
        for length in self._lengths:
            places, runs = self._table.find(hash_windows(words.values, length))
            fits = ends[places] - places >= length
            places, runs = places[fits], runs[fits]
            self._is_met[runs] = True
            texts = text_of_word[places]
            self._seen.add(runs, contents[owners[texts]])
            is_open = ~(self._seen.is_common | self._own.is_common)[runs]
            hits = np.stack((owners[texts] + first, is_answer[texts], runs))[:, is_open]
            self._hits.append(np.unique(hits, axis=1) if hits.size else hits)
            touched.update(hits[0].tolist())
        return touched

    def pairs(self) -> Iterator[SharedRun]:
        """The rows that share runs no template accounts for."""
        if not self._hits:
            return
        is_common = self._is_common()
        rows, in_answer, runs = np.concatenate(self._hits, axis=1)
        is_open = ~is_common[runs]
        rows, in_answer, runs = rows[is_open], in_answer[is_open], runs[is_open]
        found, owners = expand(self._offsets[runs], self._offsets[runs + 1])
        texts = self._texts[found]
        covered: dict[tuple[int, int], set[int]] = defaultdict(set)
        for row, from_answer, text, position in zip(
            rows[owners].tolist(), in_answer[owners].tolist(), texts.tolist(),
            self._positions[found].tolist(), strict=True,
        ):  # fmt: skip
            if not (from_answer and self._is_answer[text]):
                length = min(RUN_WORDS, int(self._sizes[text]))
                covered[row, text].update(range(position, position + length))
        for (row, text), positions in sorted(covered.items()):
            size = int(self._sizes[text])
            kind: RunKind = "contained" if size < RUN_WORDS else "13-gram"
            yield SharedRun(row, int(self._owners[text]), kind, len(positions) / size)

    def passed_over(self) -> Iterator[int]:
        """Rows of the index whose prompt's every run was met, yet each is a template's."""
        runs = np.repeat(np.arange(len(self._table)), np.diff(self._offsets))
        is_passed_over = (self._is_met & self._is_common())[runs]
        sizes = np.bincount(self._texts, minlength=len(self._owners))
        found = np.bincount(self._texts[is_passed_over], minlength=len(self._owners))
        whole = (found == sizes) & (sizes > 0) & ~self._is_answer
        yield from self._owners[whole].tolist()

    def _is_common(self) -> Array:
        """Which runs are a template's."""
        halves = self._own_halves.is_common | self._seen_halves.is_common
        common: Array = self._own.is_common | self._seen.is_common
        return common | halves[self._first_halves] | halves[self._last_halves]

    def _index_halves(self, words: WordHashes) -> None:
        """The first and the last six words of each run of 13; a shorter run's are never common."""
        first = self._offsets[:-1]
        places = self._places[first]
        is_long = self._sizes[self._texts[first]] >= RUN_WORDS
        hashes = hash_windows(words.masked, _HALF_WORDS)
        starts = places[is_long]
        ends = starts + RUN_WORDS - _HALF_WORDS
        self._halves = KeyTable(np.concatenate((hashes[starts], hashes[ends])))
        none = len(self._halves)
        self._first_halves = np.full(len(places), none)
        self._last_halves = np.full(len(places), none)
        self._first_halves[is_long] = self._halves.find(hashes[starts])[1]
        self._last_halves[is_long] = self._halves.find(hashes[ends])[1]

    def _count_halves(self, counter: CommonKeys, words: WordHashes, contents: Array) -> None:
        places, halves = self._halves.find(hash_windows(words.masked, _HALF_WORDS))
        texts = words.text_of(places)
        fits = words.ends[texts] - places >= _HALF_WORDS
        counter.add(halves[fits], contents[texts[fits]])

    def _counters(self) -> tuple[CommonKeys, CommonKeys]:
        return (
            CommonKeys(len(self._table), MAX_ROWS_OF_A_RUN),
            CommonKeys(len(self._halves) + 1, MAX_ROWS_OF_A_RUN),
        )


def hash_halves(rows: HashedRows) -> Array:
    """Hashes of all six words in a row, all numbers taken for equal.

    Among them are some that reach from one text into the next: where rows are only told apart by
    what they cannot share, these let one more through by chance.
    """
    return hash_windows(rows.words.masked, _HALF_WORDS)


class SharedHalves:
    """Tells which rows can share a run with some others, or count for one's being a template's.

    Such a row shares six words in a row with one of the others, all numbers taken for equal: every
    run of eight words or more, and each half of a longer one, begins with six.

    Args:
        halves: What `hash_halves` gives for the others.
    """

    def __init__(self, halves: Array) -> None:
        self._table = KeyTable(halves)

    def find(self, rows: HashedRows) -> set[int]:
        """Indices of the rows that share such words."""
        words = rows.words
        places, _ = self._table.find(hash_windows(words.masked, _HALF_WORDS))
        texts = words.text_of(places)
        fits = words.ends[texts] - places >= _HALF_WORDS
        return set(rows.owners[texts[fits]].tolist())


def numbers_in(text: str) -> Counter[str]:
    """The words of a text that have a digit."""
    return Counter(word for word in split_words(text) if has_digit(word))
