"""Leaks: rows of one set that are, or are nearly, rows of another one that must not hold them.

One set is indexed, the other passes by once: the time is linear in the rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from levertune.data.agreement import are_one_prompt
from levertune.data.near_duplicates import MAX_NEAR_ROWS
from levertune.data.near_index import NearIndex
from levertune.data.prepared_rows import Chunk, PreparedRows, in_chunks, texts_of
from levertune.data.records import Record
from levertune.data.reworded import RewordedIndex
from levertune.data.row_texts import RowTexts
from levertune.data.shingles import distinct, hash_shingles
from levertune.data.word_runs import RunIndex, SharedHalves, hash_halves

LeakKind = Literal["exact", "prompt", "near", "contained", "13-gram"]

LEAK_KINDS: tuple[LeakKind, ...] = ("exact", "prompt", "near", "contained", "13-gram")
"""Strongest first."""

# After each of its many short calls of numpy the thread that looks for near copies wants the
# interpreter back. At Python's 5 ms it waits longer than it works, and the search takes a quarter
# longer.
_SWITCH_SECONDS = 1e-4


@dataclass(frozen=True, slots=True)
class Leak:
    """A row that is like a row of another set.

    Args:
        id: Id of the row.
        source: Its source.
        like_id: Id of the row of the other set.
        like_source: Its source.
        kind: `exact`: prompt and completion are equal. `prompt`: the prompts are. `near`: the
            prompts are nearly equal (a Jaccard index of their shingles of 0.8, or one word of 6 to
            25 differs), with the same numbers and answers that agree. `contained`: the whole of the
            other row, 8 to 12 words, stands in it. `13-gram`: they share a run of 13 words.
        similarity: 1 for equal prompts; the Jaccard index of the prompts' shingles for `near`; for
            the last two the share of the other row's words that stand in shared runs.
    """

    id: str
    source: str
    like_id: str
    like_source: str
    kind: LeakKind
    similarity: float


@dataclass(frozen=True, slots=True)
class FoundLeaks:
    """What a search found.

    Args:
        leaks: The pairs, in the order of the rows, then of those looked for; each pair once, with
            its strongest kind.
        passed_over: Rows looked for that no leak names, though some row holds all their runs of
            words or nearly equals them: more than ten rows do, which makes them a template's.
    """

    leaks: tuple[Leak, ...]
    passed_over: tuple[Record, ...]


def find_leaks(
    rows: Iterable[Record], like: Sequence[Record], *, instruction: str | None = None
) -> list[Leak]:
    """Find the rows that are like a row of another set.

    Case, white space and an instruction that rows share do not count. Of rows that are equal to one
    another each is found, though not each pair of them. Rows of a template are no leaks of each
    other: see `RunIndex`, `RewordedIndex` and `NearIndex`, and nearly equal prompts with other
    numbers or answers that do not agree.

    Args:
        rows: Rows to look through, as general rows; they pass by once.
        like: Rows to look for, as test rows; they are held in memory. Of more than 20,000 only
            copies and shared runs of words are looked for: more takes gigabytes.
        instruction: The instruction the task rows share, taken off before comparing.

    Returns:
        The pairs, in the order of `rows`, then of `like`; each pair once, with its strongest kind.
    """
    return list(search_leaks(rows, like, instruction=instruction).leaks)


def search_leaks(
    rows: Iterable[Record] | PreparedRows,
    like: Sequence[Record] | PreparedRows,
    *,
    instruction: str | None = None,
) -> FoundLeaks:
    """As `find_leaks`, and the rows of `like` that the rules for templates passed over.

    Args:
        rows: Rows to look through.
        like: Rows to look for.
        instruction: The instruction the task rows share.

    Returns:
        What was found.
    """
    if not len(like):
        return FoundLeaks((), ())
    with_near = len(like) <= MAX_NEAR_ROWS
    if not with_near and isinstance(rows, (Sequence, PreparedRows)):
        like = _without_strangers(like, rows, instruction)
    sought = like.records if isinstance(like, PreparedRows) else like
    with _Search(sought, instruction, with_near=with_near) as search:
        for chunk in in_chunks(rows, instruction):
            search.add(chunk)
        return search.found()


def find_twins(
    rows: Sequence[Record], like: Sequence[Record], *, instruction: str | None = None
) -> list[tuple[int, int]]:
    """The pairs that `find_leaks` calls `exact`, `prompt` or `near`, found without the others.

    Args:
        rows: Rows to look through.
        like: Rows to look for.
        instruction: The instruction the task rows share.

    Returns:
        Indices into both; of rows with equal prompts not every pair.
    """
    if not like:
        return []
    with _Search(like, instruction, with_runs=False) as search:
        for chunk in in_chunks(rows, instruction):
            search.add(chunk)
        return sorted(search.pairs())


def strongest_by_row(leaks: Sequence[Leak]) -> list[Leak]:
    """For each row that leaks its strongest leak, in the order of the leaks."""
    best: dict[tuple[str, str], Leak] = {}
    for leak in leaks:
        key = (leak.source, leak.id)
        if key not in best or _weakness(leak) < _weakness(best[key]):
            best[key] = leak
    return list(best.values())


def turned_round(leaks: Sequence[Leak]) -> list[Leak]:
    """The same pairs seen from the other set, in the order of its rows' ids."""
    turned = [
        replace(
            leak,
            id=leak.like_id,
            source=leak.like_source,
            like_id=leak.id,
            like_source=leak.source,
        )
        for leak in leaks
    ]
    return sorted(turned, key=lambda leak: (leak.source, len(leak.id), leak.id))


def _weakness(leak: Leak) -> tuple[Any, ...]:
    return LEAK_KINDS.index(leak.kind), -leak.similarity, leak.like_source, leak.like_id


class _Search:
    """What was found so far."""

    def __init__(
        self,
        like: Sequence[Record],
        instruction: str | None,
        *,
        with_runs: bool = True,
        with_near: bool = True,
    ) -> None:
        self._like = like
        self._texts = texts_of(like, instruction)
        self._by_prompt: dict[tuple[str, str], list[int]] = {}
        for i in sorted(range(len(like)), key=lambda i: _rank(like[i])):
            self._by_prompt.setdefault(self._texts[i].prompt_key, []).append(i)
        self._runs = RunIndex(self._texts) if with_runs else None
        near = self._texts if with_near and len(like) <= MAX_NEAR_ROWS else []
        self._reworded = RewordedIndex(near)
        self._near = NearIndex([texts.prompt for texts in near])
        # Near copies are numpy's work, which leaves the interpreter to the other searches.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._num_rows = 0
        self._rows: dict[int, tuple[Record, RowTexts]] = {}  # those that may leak
        self._same_prompt: dict[tuple[str, str], list[int]] = {}

    def __enter__(self) -> _Search:
        self._switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._switch_interval)
        self._thread.shutdown()

    def add(self, chunk: Chunk) -> None:
        """Look at more rows."""
        first, texts = self._num_rows, chunk.texts
        self._num_rows += len(texts)
        near = self._thread.submit(self._near.add, [row.prompt for row in texts], first)
        touched: set[int] = set()
        for i, row in enumerate(texts, start=first):
            key = row.prompt_key
            if key in self._by_prompt:
                self._same_prompt.setdefault(key, []).append(i)
                touched.add(i)
        if self._runs is not None:
            touched.update(self._runs.add(texts, chunk.hashed, first))
        touched.update(self._reworded.add(texts, first))
        touched.update(near.result())
        for i in touched:
            self._rows[i] = chunk.records[i - first], texts[i - first]

    def found(self) -> FoundLeaks:
        """The leaks, and what was passed over."""
        pairs = self.pairs()
        leaks = []
        for (row, like), (kind, similarity) in sorted(pairs.items()):
            record, other = self._rows[row][0], self._like[like]
            leaks.append(
                Leak(record.id, record.source, other.id, other.source, kind, round(similarity, 4))
            )
        leaking = {like for _, like in pairs}
        over = sorted(set(self._passed_over()) - leaking)
        return FoundLeaks(tuple(leaks), tuple(self._like[like] for like in over))

    def pairs(self) -> dict[tuple[int, int], tuple[LeakKind, float]]:
        """Kind and similarity of each pair of indices."""
        found: dict[tuple[int, int], tuple[LeakKind, float]] = {}
        for row, like, kind in self._equal_prompts():
            found[row, like] = (kind, 1.0)
        for row, like, similarity in self._near.pairs():
            if self._agree(row, like):
                found.setdefault((row, like), ("near", similarity))
        for row, like in self._reworded.pairs():
            if (row, like) not in found and self._agree(row, like):
                similarity = _jaccard(self._rows[row][1].prompt, self._texts[like].prompt)
                found[row, like] = ("near", similarity)
        for run in self._runs.pairs() if self._runs is not None else ():
            found.setdefault((run.row, run.like), (run.kind, run.share))
        return found

    def _passed_over(self) -> Iterator[int]:
        if self._runs is not None:
            yield from self._runs.passed_over()
        for index in (self._near, self._reworded):
            for row, like in index.passed_over():
                if self._agree(row, like):
                    yield like

    def _equal_prompts(self) -> Iterator[tuple[int, int, LeakKind]]:
        """For each row with an equal prompt on the other side one such row, an equal one first."""
        for key, found in self._same_prompt.items():
            likes = self._by_prompt[key]
            rows = sorted(found, key=lambda i: _rank(self._rows[i][0]))
            equal_like = {self._texts[i].row_key: i for i in reversed(likes)}
            equal_row = {self._rows[i][1].row_key: i for i in reversed(rows)}
            for row in rows:
                like = equal_like.get(self._rows[row][1].row_key)
                yield row, likes[0] if like is None else like, "prompt" if like is None else "exact"
            for like in likes:
                equal = equal_row.get(self._texts[like].row_key)
                if equal is not None:
                    yield equal, like, "exact"
                else:
                    yield rows[0], like, "prompt"

    def _agree(self, row: int, like: int) -> bool:
        return are_one_prompt(self._rows[row][1], self._texts[like])


def _jaccard(left: str, right: str) -> float:
    ours, theirs = (distinct(hash_shingles([text])[0]) for text in (left, right))
    shared = len(np.intersect1d(ours, theirs, assume_unique=True))
    return shared / (len(ours) + len(theirs) - shared)


def _without_strangers(
    like: Sequence[Record] | PreparedRows,
    rows: Sequence[Record] | PreparedRows,
    instruction: str | None,
) -> list[Record]:
    """The rows to look for whose prompt, or six words in a row, stand in the rows to look through.

    No leak but a near one needs the others, nor does telling what is a template's. Of many rows to
    look for and few to look through they are nearly all, and an index of them the larger work.
    """
    prompts: set[tuple[str, str]] = set()
    halves = []
    for chunk in in_chunks(rows, instruction):
        prompts.update(text.prompt_key for text in chunk.texts)
        halves.append(hash_halves(chunk.hashed))
    if not halves:
        return []
    index = SharedHalves(np.concatenate(halves))
    kept: list[Record] = []
    for chunk in in_chunks(like, instruction):
        shared = index.find(chunk.hashed)
        kept += [
            record
            for i, (record, text) in enumerate(zip(chunk.records, chunk.texts, strict=True))
            if i in shared or text.prompt_key in prompts
        ]
    return kept


def _rank(record: Record) -> tuple[str, int, str]:
    """An order of rows that does not depend on where they stand."""
    return record.source, len(record.id), record.id
