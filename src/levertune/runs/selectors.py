"""A selector by its name in the recipe, with what it needs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from levertune.data.records import Record
from levertune.progress import Progress
from levertune.runs.workspace import Workspace
from levertune.selection.bm25 import select_bm25
from levertune.selection.selection import Budget, Selection

DRAWS = ("stratified", "random")
"""Selectors that look at no task row."""

WITH_MODEL = ("rds", "dissimilar", "loss", "gradient")
"""Selectors that run the base model."""


def select(
    name: str,
    task: Sequence[Record],
    candidates: Sequence[Record],
    budget: Budget,
    *,
    seed: int,
    max_length: int,
    workspace: Workspace,
    progress: Progress,
) -> Selection:
    """Choose rows with the selector of that name.

    Args:
        name: A value of `general.select` that is no draw.
        task: Training rows, their shared instruction lifted out.
        candidates: The pool.
        budget: How much to choose.
        seed: Decides ties, and any random projection.
        max_length: Longest row that can be trained on, in tokens.
        workspace: The model.
        progress: Where to show progress.

    Returns:
        The choice.
    """
    if name == "bm25":
        return select_bm25(task, candidates, budget, seed=seed)
    raise ValueError(f"no selector is called {name!r}")


def selector_settings(name: str) -> dict[str, Any]:
    """What a selector's choice depends on besides its arguments."""
    return {}
