"""`dissimilar`: the control. The candidates farthest from every task row."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from levertune.data.bm25 import Bm25
from levertune.data.records import Record
from levertune.progress import Progress
from levertune.selection.encoder import Encoder, encode_similarity
from levertune.selection.in_turn import choose_in_turn
from levertune.selection.ranking import ScoreTable, Similarity, best_match
from levertune.selection.selection import (
    DIVERSE,
    Budget,
    Diversity,
    SelectedRow,
    Selection,
    canonical_order,
    row_text,
)


def select_dissimilar(
    task: Sequence[Record],
    candidates: Sequence[Record],
    budget: Budget,
    *,
    seed: int,
    encoder: Encoder | None = None,
    diversity: Diversity = DIVERSE,
    progress: Progress | None = None,
) -> Selection:
    """Choose the candidates whose nearest task row is farthest.

    Args:
        task: Training rows (of a fold). No test row.
        candidates: The pool.
        budget: How much to choose.
        seed: Decides between equal scores.
        encoder: Gives rows the vectors `rds` compares; None to compare by BM25.
        diversity: The caps.
        progress: Where to show progress.

    Returns:
        The choice; a row's score is that of its nearest task row, which is named.
    """
    started = time.perf_counter()
    before = 0 if encoder is None else encoder.tokens_run
    ordered = canonical_order(candidates, seed)
    similarity: Similarity
    if encoder is None:
        similarity = Bm25([row_text(r) for r in task], (row_text(r) for r in ordered))
    else:
        similarity = encode_similarity(encoder, task, ordered, progress=progress)
    rows, notes = choose_farthest(similarity, task, ordered, budget, diversity)
    if encoder is None:
        return Selection("dissimilar", rows, notes, time.perf_counter() - started)
    notes, tokens = (*encoder.notes, *notes), encoder.tokens_run - before
    return Selection("dissimilar", rows, notes, time.perf_counter() - started, tokens)


def choose_farthest(
    similarity: Similarity,
    task: Sequence[Record],
    ordered: Sequence[Record],
    budget: Budget,
    diversity: Diversity,
) -> tuple[tuple[SelectedRow, ...], tuple[str, ...]]:
    """The candidates with the lowest highest score, within the caps.

    Args:
        similarity: Scores of `ordered`.
        task: The task rows.
        ordered: The pool, in the order that decides ties.
        budget: How much to choose.
        diversity: The caps.

    Returns:
        The rows, and notes on caps that were lifted.
    """
    if not ordered or not task:
        return (), ()
    best, nearest = best_match(similarity)
    table = ScoreTable(-best[np.newaxis])
    picks, notes = choose_in_turn(table, ordered, budget, diversity)
    rows = tuple(
        SelectedRow(
            ordered[pick.candidate].source,
            ordered[pick.candidate].id,
            round(float(best[pick.candidate]), 6),
            task[nearest[pick.candidate]].id,
        )
        for pick in picks
    )
    return rows, tuple(notes)
