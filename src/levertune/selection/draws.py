"""Selectors that look at no task row: a stratified and a uniform draw."""

from __future__ import annotations

import time
from collections.abc import Sequence

from levertune.data.draws import draw_rows
from levertune.data.records import Record
from levertune.selection.selection import Budget, SelectedRow, Selection


def select_stratified(
    task: Sequence[Record], candidates: Sequence[Record], budget: Budget, *, seed: int
) -> Selection:
    """Draw every source and family in proportion to its rows.

    Args:
        task: Training rows; not looked at.
        candidates: The pool.
        budget: How much to draw.
        seed: Seed of the draw.

    Returns:
        The rows, without scores.
    """
    return _draw("stratified", candidates, budget, seed, stratified=True)


def select_random(
    task: Sequence[Record], candidates: Sequence[Record], budget: Budget, *, seed: int
) -> Selection:
    """Draw uniformly.

    Args:
        task: Training rows; not looked at.
        candidates: The pool.
        budget: How much to draw.
        seed: Seed of the draw.

    Returns:
        The rows, without scores.
    """
    return _draw("random", candidates, budget, seed, stratified=False)


def _draw(
    name: str, candidates: Sequence[Record], budget: Budget, seed: int, *, stratified: bool
) -> Selection:
    started = time.perf_counter()
    chosen: list[SelectedRow] = []
    total = 0
    for record in draw_rows(candidates, len(candidates), seed=seed, stratified=stratified):
        total += budget.size(record)
        if total > budget.limit:
            break
        chosen.append(SelectedRow(record.source, record.id))
    return Selection(name, tuple(chosen), seconds=time.perf_counter() - started)
