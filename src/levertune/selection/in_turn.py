"""Each task row's best unused candidate in turn, within caps that keep the choice diverse.

The round-robin of RDS+ (2503.01807, section 3), so that every task row is served.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from levertune.data.records import Record
from levertune.selection.near_rows import NearRows
from levertune.selection.ranking import Similarity, rank_nearest
from levertune.selection.selection import Budget, Diversity, SelectedRow, row_text

Array = np.ndarray[Any, np.dtype[Any]]

# Entries of the lists kept at a time; a list that runs out is made again from what is left.
_LIST_ENTRIES = 1 << 22
_TOKEN_LIST_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Pick:
    """One choice.

    Args:
        candidate: Index of the candidate.
        task_row: Index of the task row whose turn it was.
        score: The candidate's score for it.
    """

    candidate: int
    task_row: int
    score: float


def choose_in_turn(
    similarity: Similarity,
    candidates: Sequence[Record],
    budget: Budget,
    diversity: Diversity,
    *,
    block_rows: int | None = None,
) -> tuple[list[Pick], list[str]]:
    """Give each task row in turn its best candidate that is not taken yet.

    At most one of near duplicates is taken, and of each source at most its share of the budget.
    Where the budget cannot be met so, the cap by source is lifted first, then rows that have
    nothing in common with any task row are let in, then near duplicates. A candidate is never taken
    twice. One that does not fit into a budget in tokens is passed over, or ends the choice: see
    `Budget`.

    Args:
        similarity: Scores of `candidates`.
        candidates: The pool, in the order that decides ties.
        budget: How much to choose.
        diversity: The caps.
        block_rows: Candidates to score at a time; changes nothing.

    Returns:
        The choices in order, and a note for each cap that was lifted or if too few rows were there.
    """
    if not candidates or not similarity.num_task:
        return [], []
    walk = _Walk(similarity, candidates, budget, diversity, block_rows)
    notes = []
    walk.go_on()
    lifts = (
        (walk.lift_source_cap, "one source gives more than its share, the others had no more rows"),
        (walk.lift_floor, "rows that have nothing in common with any task row were let in"),
        (walk.lift_near_cap, "near duplicates were let in"),
    )
    for lift, consequence in lifts:
        if walk.is_full:
            break
        before = len(walk.picks)
        if lift():
            walk.go_on()
            if len(walk.picks) > before:
                notes.append(f"After {before:,} rows, {consequence}.")
    if (shortfall := walk.describe_shortfall()) is not None:
        notes.append(shortfall)
    return walk.picks, notes


class _Walk:
    """The state of one choice."""

    def __init__(
        self,
        similarity: Similarity,
        candidates: Sequence[Record],
        budget: Budget,
        diversity: Diversity,
        block_rows: int | None,
    ) -> None:
        self.picks: list[Pick] = []
        self.is_full = budget.limit < 1
        self._similarity = similarity
        self._candidates = candidates
        self._budget = budget
        self._block_rows = block_rows
        self._floor = similarity.floor
        names = [diversity.source_of(record) for record in candidates]
        sources = list(dict.fromkeys(names))
        share = diversity.share_of(len(sources))
        self._source_cap = math.ceil(share * budget.limit) if share < 1 else None
        self._near = _open_near(diversity)
        self._taken = np.zeros(len(candidates), dtype=bool)
        self._refused_source = np.zeros(len(candidates), dtype=bool)
        self._refused_near = np.zeros(len(candidates), dtype=bool)
        self._too_long = np.zeros(len(candidates), dtype=bool)
        number = {name: i for i, name in enumerate(sources)}
        self._source_of = np.array([number[name] for name in names])
        self._used = np.zeros(len(sources))
        self._total = 0
        self._turn = 0

    def lift_source_cap(self) -> bool:
        """Let each source give what it has; whether that changes anything."""
        changes = self._source_cap is not None and bool(self._refused_source.any())
        self._source_cap = None
        self._refused_source[:] = False
        return changes

    def lift_floor(self) -> bool:
        """Let rows in that have nothing in common with the task rows."""
        changes = self._floor is not None
        self._floor = None
        return changes

    def lift_near_cap(self) -> bool:
        """Let near duplicates in."""
        self._near = None
        changes = bool(self._refused_near.any())
        self._refused_near[:] = False
        return changes

    def describe_shortfall(self) -> str | None:
        """Say that less was taken than was asked for; None where it was not."""
        asked = f"{self._budget.limit:,.0f} {self._budget.unit} were asked for"
        num_taken, there = len(self.picks), len(self._candidates)
        if num_taken == there and not self.is_full:
            return f"{asked}; all {num_taken:,} rows there are were taken."
        if self._budget.count_tokens is not None:
            if self._budget.limit < 1 or not self._budget.is_short(self._total):
                return None
            return (
                f"{asked}; {num_taken:,} of {there:,} rows were taken, with {self._total:,} "
                "tokens: the next did not fit."
            )
        if self.is_full:
            return None
        return f"{asked}; {num_taken:,} rows of {there:,} could be taken."

    def go_on(self) -> None:
        """Choose in turn until the budget is spent or nothing allowed is left."""
        again = True
        while again and not self.is_full:
            refused = self._refused_source | self._refused_near | self._too_long
            allowed = ~(self._taken | refused)
            again = self._take_turns(*self._lists(allowed))

    def _lists(self, allowed: Array) -> tuple[list[Iterator[tuple[int, float]]], list[bool]]:
        """Each task row's list of what is left, and whether it holds all of that."""
        wanted = self._budget.limit if self._budget.count_tokens is None else _TOKEN_LIST_ROWS
        most = _LIST_ENTRIES // self._similarity.num_task + 1
        k = int(min(allowed.sum(), math.ceil(wanted), most))
        if not k:
            return [], []
        indices, scores = rank_nearest(
            self._similarity, k, allowed, floor=self._floor, block_rows=self._block_rows
        )
        sizes = (indices >= 0).sum(axis=1)
        is_whole = [bool(size < k or k == allowed.sum()) for size in sizes]
        return [self._open(*row) for row in zip(indices, scores, sizes, strict=True)], is_whole

    def _open(self, indices: Array, scores: Array, size: int) -> Iterator[tuple[int, float]]:
        """The entries of a list that may still be taken when their turn comes."""
        for candidate, score in zip(indices[:size].tolist(), scores[:size].tolist(), strict=True):
            if not self._taken[candidate] and self._admits(candidate):
                yield candidate, score

    def _take_turns(self, lists: list[Iterator[tuple[int, float]]], is_whole: list[bool]) -> bool:
        """Go round until the budget is spent or a list must be made again; whether one must."""
        empty: set[int] = set()
        while len(empty) < len(lists):
            if self._turn not in empty:
                found = next(lists[self._turn], None)
                if found is not None:
                    if not self._take(self._turn, *found):
                        return False
                elif is_whole[self._turn]:
                    empty.add(self._turn)
                else:
                    return True
            self._turn = (self._turn + 1) % len(lists)
        return False

    def _take(self, task_row: int, candidate: int, score: float) -> bool:
        size = self._budget.size(self._candidates[candidate])
        if self._total + size > self._budget.limit:
            self.is_full = True
            return False
        self._total += size
        self._used[self._source_of[candidate]] += size
        self._taken[candidate] = True
        self.picks.append(Pick(candidate, task_row, score))
        self.is_full = self._total >= self._budget.limit
        return not self.is_full

    def _admits(self, candidate: int) -> bool:
        """Whether the caps let a row in; one that is refused stays refused while they hold."""
        if self._refused_source[candidate] or self._refused_near[candidate]:
            return False
        source, size = self._source_of[candidate], self._budget.size(self._candidates[candidate])
        if self._total + size > self._budget.limit and not self._budget.ends_at(self._total):
            self._too_long[candidate] = True
            return False
        if self._source_cap is not None and self._used[source] + size > self._source_cap:
            if self._budget.count_tokens is None:
                self._refused_source[self._source_of == source] = True
            self._refused_source[candidate] = True
            return False
        if self._near is not None:
            text = row_text(self._candidates[candidate])
            if not self._near.add_unless_near(text):
                self._refused_near[candidate] = True
                return False
        return True


def _open_near(diversity: Diversity) -> NearRows | None:
    """What near duplicates are looked up in, with the rows chosen elsewhere; None without a cap."""
    if diversity.near_threshold is None:
        return None
    near = NearRows(diversity.near_threshold)
    for record in diversity.beside:
        near.add(row_text(record))
    return near


def selected_rows(
    picks: Sequence[Pick], ordered: Sequence[Record], task: Sequence[Record]
) -> tuple[SelectedRow, ...]:
    """Choices by index as rows by id."""
    return tuple(
        SelectedRow(
            ordered[pick.candidate].source,
            ordered[pick.candidate].id,
            round(pick.score, 6),
            task[pick.task_row].id,
        )
        for pick in picks
    )
