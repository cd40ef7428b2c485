"""`bm25`: the candidates that share the rarest words with the task rows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from levertune.data.bm25 import Bm25
from levertune.data.records import Record
from levertune.selection.in_turn import choose_in_turn, selected_rows
from levertune.selection.selection import (
    DIVERSE,
    Budget,
    Diversity,
    Selection,
    canonical_order,
    row_text,
)


def select_bm25(
    task: Sequence[Record],
    candidates: Sequence[Record],
    budget: Budget,
    *,
    seed: int,
    diversity: Diversity = DIVERSE,
    block_rows: int | None = None,
) -> Selection:
    """Give each task row in turn the unused candidate with the highest BM25.

    Args:
        task: Training rows (of a fold); the shared instruction is better lifted out. No test row.
        candidates: The pool.
        budget: How much to choose.
        seed: Decides between equal scores.
        diversity: The caps.
        block_rows: Candidates to score at a time; changes nothing.

    Returns:
        The choice.
    """
    started = time.perf_counter()
    ordered = canonical_order(candidates, seed)
    similarity = Bm25([row_text(r) for r in task], (row_text(r) for r in ordered))
    picks, notes = choose_in_turn(similarity, ordered, budget, diversity, block_rows=block_rows)
    return Selection(
        selector="bm25",
        rows=selected_rows(picks, ordered, task),
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
    )
