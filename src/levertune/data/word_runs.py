"""Runs of words that the rows of two sets share, found in one pass over the larger set."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from levertune.data.key_table import CommonKeys, KeyTable, expand
from levertune.data.row_texts import RowTexts, split_tokens, split_words
from levertune.data.shingles import mix_bits

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

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_NUMBER = 1  # the word that every word with a digit becomes where templates are looked for


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


class _Vocabulary(dict[str, int]):
    """Numbers of words: while open a new word gets the next one, then one that no word has."""

    is_open = True

    def __missing__(self, word: str) -> int:
        if self.is_open:
            self[word] = number = len(self) + 2
            return number
        return _NUMBER if has_digit(word) else 0


@dataclass(frozen=True, slots=True)
class _Words:
    """Texts as numbered words, one text after the other."""

    ids: Array
    ends: Array  # one behind the last word of the text, for each word
    texts: Array  # the text of each word
    starts: Array
    sizes: Array


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
        self._vocabulary = _Vocabulary()
        words, owners, is_answer = self._encode(rows)
        self._vocabulary.is_open = False
        self._values, self._masked = _word_values(self._vocabulary)
        self._sizes = words.sizes
        self._owners, self._is_answer = owners, is_answer
        lengths = np.full(len(words.sizes), RUN_WORDS)
        is_short = (words.sizes < RUN_WORDS) & (words.sizes >= SHORT_WORDS) & ~is_answer
        is_short &= np.array([len(rows[i].prompt) >= _SHORT_CHARACTERS for i in owners], dtype=bool)
        lengths[is_short] = words.sizes[is_short]
        self._lengths = sorted({RUN_WORDS, *lengths[is_short].tolist()})
        keys, places = [], []
        for length in self._lengths:
            hashes = _hash_windows(self._values[words.ids], length)
            found = np.flatnonzero(words.ends[: len(hashes)] - np.arange(len(hashes)) >= length)
            found = found[lengths[words.texts[found]] == length]
            keys.append(hashes[found])
            places.append(found)
        self._table = KeyTable(np.concatenate(keys))
        _, runs = self._table.find(np.concatenate(keys))
        order = np.argsort(runs, kind="stable")
        self._places = np.concatenate(places)[order]  # where each run stands, run after run
        self._offsets = np.searchsorted(runs[order], np.arange(len(self._table) + 1))
        self._texts = words.texts[self._places]
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

    def add(self, rows: Sequence[RowTexts], first: int) -> set[int]:
        """Look up the runs of more rows.

        Args:
            rows: The rows.
            first: Index of the first of them.

        Returns:
            The indices of those that may be in `pairs`.
        """
        touched: set[int] = set()
        words, owners, is_answer = self._encode(rows)
        contents = np.array([hash(row.row_key) for row in rows], dtype=np.int64)
        self._count_halves(self._seen_halves, words, contents[owners])
        for length in self._lengths:
            hashes = _hash_windows(self._values[words.ids], length)
            places, runs = self._table.find(hashes)
            fits = words.ends[places] - places >= length
            places, runs = places[fits], runs[fits]
            self._is_met[runs] = True
            texts = words.texts[places]
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

    def _encode(self, rows: Sequence[RowTexts]) -> tuple[_Words, Array, Array]:
        """The rows' prompts, and those completions that can hold a run."""
        texts = [(i, False, row.prompt) for i, row in enumerate(rows)]
        texts += [
            (i, True, row.answer)
            for i, row in enumerate(rows)
            if len(row.answer) >= _SHORT_CHARACTERS
        ]
        number = self._vocabulary.__getitem__
        ids = array("q")
        sizes = []
        for _, _, text in texts:
            before = len(ids)
            ids.extend(map(number, split_tokens(text)))
            sizes.append(len(ids) - before)
        counts = np.array(sizes, dtype=np.int64)
        ends = np.cumsum(counts)
        words = _Words(
            ids=np.array(ids, dtype=np.int64),
            ends=np.repeat(ends, counts),
            texts=np.repeat(np.arange(len(counts)), counts),
            starts=ends - counts,
            sizes=counts,
        )
        owners = np.array([i for i, _, _ in texts], dtype=np.int64)
        return words, owners, np.array([is_answer for _, is_answer, _ in texts], dtype=bool)

    def _index_halves(self, words: _Words) -> None:
        """The first and the last six words of each run of 13; a shorter run's are never common."""
        first = self._offsets[:-1]
        places = self._places[first]
        is_long = self._sizes[self._texts[first]] >= RUN_WORDS
        hashes = _hash_windows(self._masked[words.ids], _HALF_WORDS)
        starts = places[is_long]
        ends = starts + RUN_WORDS - _HALF_WORDS
        self._halves = KeyTable(np.concatenate((hashes[starts], hashes[ends])))
        none = len(self._halves)
        self._first_halves = np.full(len(places), none)
        self._last_halves = np.full(len(places), none)
        self._first_halves[is_long] = self._halves.find(hashes[starts])[1]
        self._last_halves[is_long] = self._halves.find(hashes[ends])[1]

    def _count_halves(self, counter: CommonKeys, words: _Words, contents: Array) -> None:
        hashes = _hash_windows(self._masked[words.ids], _HALF_WORDS)
        places, halves = self._halves.find(hashes)
        fits = words.ends[places] - places >= _HALF_WORDS
        counter.add(halves[fits], contents[words.texts[places[fits]]])

    def _counters(self) -> tuple[CommonKeys, CommonKeys]:
        return (
            CommonKeys(len(self._table), MAX_ROWS_OF_A_RUN),
            CommonKeys(len(self._halves) + 1, MAX_ROWS_OF_A_RUN),
        )


def numbers_in(text: str) -> Counter[str]:
    """The words of a text that have a digit."""
    return Counter(word for word in split_words(text) if has_digit(word))


def has_digit(word: str) -> bool:
    """Whether a word is, or holds, a number."""
    return not word.isalpha() and any(character.isdigit() for character in word)


def _word_values(vocabulary: dict[str, int]) -> tuple[Array, Array]:
    """A random value for each word, and the same with one value for all words with a digit."""
    values = mix_bits(np.arange(len(vocabulary) + 2, dtype=np.uint64) + np.uint64(_BASE))
    masked = values.copy()
    masked[[number for word, number in vocabulary.items() if has_digit(word)]] = values[_NUMBER]
    return values, masked


def _hash_windows(values: Array, length: int) -> Array:
    """A hash of each run of `length` values: a polynomial modulo 2**64, by running sums."""
    count = len(values) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * _powers(_BASE, len(values)), out=sums[1:])
    hashes = (sums[length:] - sums[:count]) * _powers(_INVERSE, count)
    return hashes + np.uint64(length)


def _powers(base: int, count: int) -> Array:
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors)
