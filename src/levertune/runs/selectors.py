"""A selector by its name in the recipe, with what it needs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from levertune.data.records import Record
from levertune.progress import Progress
from levertune.runs.workspace import Workspace
from levertune.selection.bm25 import select_bm25
from levertune.selection.selection import Budget, Diversity, Selection

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
    diversity: Diversity,
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
        diversity: The caps.
        max_length: Longest row that can be trained on, in tokens.
        workspace: The model.
        progress: Where to show progress.

    Returns:
        The choice.

    Raises:
        ValueError: If no selector has that name.
    """
    if name == "bm25":
        return select_bm25(task, candidates, budget, seed=seed, diversity=diversity)
    shared: dict[str, Any] = {"seed": seed, "diversity": diversity, "progress": progress}
    if name == "rds":
        from levertune.selection.rds import select_rds

        return select_rds(task, candidates, budget, encoder=workspace.encoder, **shared)
    if name == "dissimilar":
        from levertune.selection.dissimilar import select_dissimilar

        return select_dissimilar(task, candidates, budget, encoder=workspace.encoder, **shared)
    from levertune.models.embedded import cache_folder

    settings: dict[str, Any] = {
        "model": workspace.base(),
        "tokenizer": workspace.tokenizer,
        "hardware": workspace.hardware,
        "max_length": max_length,
        **shared,
        "identity": workspace.model_hash + workspace.tokenizer_hash,
        "folder": cache_folder() / "scores",
    }
    if name == "loss":
        from levertune.selection.losses import select_loss

        return select_loss(task, candidates, budget, **settings)
    if name == "gradient":
        from levertune.selection.gradients import select_gradient

        return select_gradient(task, candidates, budget, **settings)
    raise ValueError(f"no selector is called {name!r}")


def selector_settings(name: str) -> dict[str, Any]:
    """What a choice by a selector with a model depends on besides its arguments.

    Args:
        name: The selector.
    """
    from levertune.selection.encoder import LAYER_SHARE, MAX_TOKENS
    from levertune.selection.shortlist import SHORTLIST_FACTOR, SHORTLIST_VERSION

    if name in ("rds", "dissimilar"):
        return {"max_tokens": MAX_TOKENS, "layer_share": LAYER_SHARE}
    shortlist = {"factor": SHORTLIST_FACTOR, "shortlist": SHORTLIST_VERSION}
    if name == "gradient":
        from levertune.selection.gradients import SETTINGS

        return {**shortlist, "warm_up_from": "pool", **asdict(SETTINGS)}
    return shortlist
