"""Words of many texts as 64-bit hashes, and hashes of the runs of words in them.

A run's hash is a polynomial modulo 2**64, so that those of all runs come from running sums.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
# What every word with a digit becomes where all numbers are taken for equal.
_ANY_NUMBER = 0x2545F4914F6CDD1D
# Scripts have digits of their own, so that only words of ASCII are told apart at once.
_MAY_BE_DIGIT = re.compile(r"[0-9]|[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class WordHashes:
    """The words of texts, one text after the other.

    Args:
        values: Hash of each word; the same in one process only, as Python's `hash` is.
        masked: The same with one value for all words that hold a digit.
        starts: Index of the first word of each text.
        sizes: Number of words of each text.
    """

    values: Array
    masked: Array
    starts: Array
    sizes: Array

    @property
    def ends(self) -> Array:
        """One behind the last word of each text."""
        ends: Array = self.starts + self.sizes
        return ends

    @property
    def texts(self) -> Array:
        """The text of each word."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def text_of(self, places: Array) -> Array:
        """The text of each of some words."""
        texts: Array = np.searchsorted(self.starts, places, side="right") - 1
        return texts


def hash_words(texts: Sequence[str], split: Callable[[str], list[str]]) -> WordHashes:
    """Split texts into words and hash these.

    Args:
        texts: The texts.
        split: Gives the words of a text.
    """
    values = array("q")
    sizes, numbers = [], []
    for text in texts:
        words = split(text)
        if _MAY_BE_DIGIT.search(text):
            first = len(values)
            # Nearly all words are letters: to be told so at once, without a call of ours.
            numbers += [
                first + i for i, word in enumerate(words) if not word.isalpha() and has_digit(word)
            ]
        values.extend(map(hash, words))
        sizes.append(len(words))
    counts = np.array(sizes, dtype=np.int64)
    hashes = np.array(values, dtype=np.int64).view(np.uint64)
    masked = hashes.copy()
    masked[numbers] = _ANY_NUMBER
    return WordHashes(hashes, masked, np.cumsum(counts) - counts, counts)


def hash_windows(values: Array, length: int) -> Array:
    """A hash of each run of `length` values.

    Args:
        values: Hashes of words.
        length: Words of a run.

    Returns:
        One hash for each place a run can begin at; runs of other lengths have other hashes.
    """
    count = len(values) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    sums = _running_sums(values)
    hashes = (sums[length:] - sums[:count]) * _powers(_INVERSE, count)
    return hashes + np.uint64(length)


def hash_texts(values: Array, words: WordHashes) -> Array:
    """A hash of all words of each text.

    Args:
        values: `values` or `masked` of `words`.
        words: The texts.
    """
    sums = _running_sums(values)
    factors = _powers(_INVERSE, len(sums))
    return (sums[words.ends] - sums[words.starts]) * factors[words.starts]


def hash_shortened(values: Array, words: WordHashes) -> Array:
    """For each word the hash of its text without it; that of a text of the other words is the same.

    Args:
        values: `values` or `masked` of `words`.
        words: The texts.
    """
    sums = _running_sums(values)
    factors = _powers(_INVERSE, len(sums))
    places = np.arange(len(values))
    starts = np.repeat(words.starts, words.sizes)
    ends = np.repeat(words.ends, words.sizes)
    before = (sums[places] - sums[starts]) * factors[starts]
    # One word fewer stands before these: they move up by a power.
    behind = (sums[ends] - sums[places + 1]) * factors[starts + 1]
    return before + behind


def has_digit(word: str) -> bool:
    """Whether a word is, or holds, a number."""
    return not word.isalpha() and any(character.isdigit() for character in word)


def _running_sums(values: Array) -> Array:
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * _powers(_BASE, len(values)), out=sums[1:])
    return sums


def _powers(base: int, count: int) -> Array:
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors)
