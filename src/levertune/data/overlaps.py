"""Rows that stand in two sets, or twice in one: equal, equal prompts, long shared runs, near twins.

Everything is found by hashing, in time linear in the rows.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import numpy as np

from levertune.data.near_duplicates import MAX_NEAR_ROWS, find_near_duplicates
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text, normalize_text, prompt_key, split_words

OverlapKind = Literal["exact", "prompt", "13-gram", "near"]

OVERLAP_KINDS: tuple[OverlapKind, ...] = ("exact", "prompt", "13-gram", "near")
"""Strongest first: equal prompt and completion; equal prompt; a run of 13 words of the prompt (the
whole prompt where it is shorter) stands in the other row; nearly equal prompts."""

NGRAM_WORDS = 13
# So many words of one letter with a space between; a shorter text has no run.
_MIN_RUN_CHARACTERS = 2 * NGRAM_WORDS - 1

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A row of one set that another set holds too.

    Args:
        left_id: Id of the row.
        right_id: Id of the first row of the other set that it overlaps with.
        left_source: Source of the row.
        right_source: Source of the other row.
        kind: The strongest kind of overlap there is.
    """

    left_id: str
    right_id: str
    left_source: str
    right_source: str
    kind: OverlapKind


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of one file that belong together.

    Args:
        ids: Ids of the rows, in file order.
    """

    ids: tuple[str, ...]


def find_overlaps(
    left: Sequence[Record],
    right: Sequence[Record],
    *,
    instruction: str | None = None,
    kinds: Sequence[OverlapKind] = OVERLAP_KINDS,
) -> list[Overlap]:
    """Find the rows of `left` that `right` holds too.

    Case and white space do not count, nor does an instruction that rows share. Near twins are
    looked for in up to 20,000 rows of both sets together.

    Args:
        left: Rows to look up, as the test rows.
        right: Rows to look in, as the training rows.
        instruction: The instruction the rows share, taken off before comparing.
        kinds: The kinds to look for.

    Returns:
        For each left row that overlaps the strongest kind, with the first such right row, in the
        order of `left`.
    """
    own_text = make_own_text(instruction)
    left_keys = [prompt_key(record, own_text, instruction) for record in left]
    right_keys = [prompt_key(record, own_text, instruction) for record in right]
    found: dict[int, tuple[int, OverlapKind]] = {}
    if "exact" in kinds:
        rows = _first_indices(_row_keys(right, right_keys))
        for i, key in enumerate(_row_keys(left, left_keys)):
            if key in rows:
                found[i] = (rows[key], "exact")
    if "prompt" in kinds:
        prompts = _first_indices(right_keys)
        for i, prompt in enumerate(left_keys):
            if i not in found and prompt in prompts:
                found[i] = (prompts[prompt], "prompt")
    if "13-gram" in kinds:
        left_texts = [[own_text(record)] for record in left]
        right_texts = [list(dict.fromkeys((own_text(r), r.completion))) for r in right]
        for i, j in _find_shared_runs(left_texts, right_texts):
            found.setdefault(i, (j, "13-gram"))
    if "near" in kinds and len(left) + len(right) <= MAX_NEAR_ROWS:
        rest = [i for i in range(len(left)) if i not in found]
        texts = [normalize_text(own_text(left[i])) for i in rest]
        others = [normalize_text(own_text(record)) for record in right]
        for position, j in find_near_duplicates(texts, others).items():
            found[rest[position]] = (j, "near")
    return [
        Overlap(left[i].id, right[j].id, left[i].source, right[j].source, kind)
        for i, (j, kind) in sorted(found.items())
    ]


def find_duplicates(records: Sequence[Record], *, instruction: str | None = None) -> list[RowGroup]:
    """Rows with equal prompt and completion, case and white space aside.

    Args:
        records: The rows of one file.
        instruction: The instruction the rows share.

    Returns:
        The groups of two rows or more.
    """
    own_text = make_own_text(instruction)
    prompts = [prompt_key(record, own_text, instruction) for record in records]
    groups: dict[tuple[str, str], list[str]] = {}
    for record, key in zip(records, _row_keys(records, prompts), strict=True):
        groups.setdefault(key, []).append(record.id)
    return [RowGroup(tuple(ids)) for ids in groups.values() if len(ids) > 1]


def find_conflicts(records: Sequence[Record]) -> list[RowGroup]:
    """Rows that answer one prompt differently.

    Prompts are compared as written, ends trimmed: a task may be about capitals or spacing.

    Args:
        records: The rows of one file.

    Returns:
        The groups of rows with one prompt and two completions or more.
    """
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if not record.is_text:
            key = tuple(f"{turn.role}\n{turn.content.strip()}" for turn in record.prompt)
            groups.setdefault(key, []).append(record)
    return [
        RowGroup(tuple(record.id for record in group))
        for group in groups.values()
        if len({record.completion.strip() for record in group}) > 1
    ]


def _row_keys(records: Sequence[Record], prompts: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (prompt, normalize_text(record.completion))
        for prompt, record in zip(prompts, records, strict=True)
    ]


def _first_indices(keys: Sequence[Any]) -> dict[Any, int]:
    first: dict[Any, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    return first


def _find_shared_runs(
    left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]
) -> Iterator[tuple[int, int]]:
    """Left rows of which a run of 13 words, or all words if fewer, is one in a right row."""
    # Gives each new word the next number; 0 is kept for filling.
    vocabulary: dict[str, int] = defaultdict(count(1).__next__)
    left_runs, left_rows = _hash_runs(left, vocabulary)
    right_runs, right_rows = _hash_runs(right, vocabulary)
    if not len(left_runs) or not len(right_runs):
        return
    known, first = np.unique(right_runs, return_index=True)
    places = np.minimum(np.searchsorted(known, left_runs), len(known) - 1)
    for position in np.flatnonzero(known[places] == left_runs):
        yield int(left_rows[position]), int(right_rows[first[places[position]]])


def _hash_runs(rows: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> tuple[Array, Array]:
    """Hashes of all runs of 13 words, and the row of each; a short text is one run itself.

    The first text of a row is its prompt. Of a row's other texts only full runs count: short
    completions are labels, which rows share by rights.
    """
    words = array("Q")
    starts: list[int] = []
    sizes: list[int] = []
    owners: list[int] = []
    for number, texts in enumerate(rows):
        for position, text in enumerate(texts):
            if position > 0 and len(text) < _MIN_RUN_CHARACTERS:
                continue
            found = [vocabulary[word] for word in split_words(text)]
            if not found or (position > 0 and len(found) < NGRAM_WORDS):
                continue
            found += [0] * (NGRAM_WORDS - len(found))
            starts.append(len(words))
            sizes.append(len(found) - NGRAM_WORDS + 1)
            owners.append(number)
            words.extend(found)
    if not words:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    ids = np.frombuffer(words, dtype=np.uint64)
    hashes = np.zeros(len(ids) - NGRAM_WORDS + 1, dtype=np.uint64)
    for offset in range(NGRAM_WORDS):
        # The multiplier is odd and large, so that neighbouring word numbers spread over 64 bits.
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += ids[offset : offset + len(hashes)]
        hashes ^= hashes >> np.uint64(29)
    counts = np.array(sizes)
    ends = np.cumsum(counts)
    positions = np.arange(ends[-1]) + np.repeat(np.array(starts) - (ends - counts), counts)
    return hashes[positions], np.repeat(np.array(owners), counts)
