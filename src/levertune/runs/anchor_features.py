"""The way `features` on the rows of a recipe: its base model's states, and words of prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from levertune.anchors.anchor import plain_example
from levertune.anchors.candidates import AnchorCandidate, DesignCost
from levertune.anchors.features import (
    anchor_parts,
    describe_features,
    find_features,
    join_parts,
    leave_each_out,
)
from levertune.data.draws import sample_items
from levertune.data.general import read_general
from levertune.data.row_texts import make_own_text
from levertune.errors import DataError
from levertune.progress import Progress
from levertune.runs.task_view import TaskView

Array = np.ndarray[Any, np.dtype[Any]]

WAY = "features"

# Prompts of all kinds, so that words no task owns (you, can, was) are not taken for its domain.
_EVERYDAY = "embedded-self"
_SEED = 0
_MAX_ROWS = 1_000
"""Task rows looked at: each pair of them is compared, which of 30,000 rows takes 7 GB."""


def write_features(
    view: TaskView,
    answer: str,
    max_length: int,
    progress: Progress,
    *,
    ablate: bool = False,
) -> tuple[list[AnchorCandidate], str | None]:
    """Write a candidate from what sets the task rows apart.

    Args:
        view: The rows.
        answer: What the rows say of their answers' form.
        max_length: Most tokens of a prompt that is looked at.
        progress: Where to show progress.
        ablate: Whether to add the candidate without each of its sentences.

    Returns:
        The candidate, then those of the ablation, which cost nothing more; and a note on rows that
        were not looked at, being too long or too many, if any were.

    Raises:
        DataError: If all task rows are too long.
    """
    started = time.perf_counter()
    encode = view.workspace.tokenizer.encode_prompt
    own_text = make_own_text(None)
    task, general = (
        [(row, ids) for row in rows if len(ids := encode(plain_example(row))) <= max_length]
        for rows in (sample_items(view.train, _MAX_ROWS), view.general)
    )
    if not task:
        raise DataError(
            f"anchor suggest: no task row is within training.max_length={max_length}. Raise it."
        )
    task_ids, general_ids = ([ids for _, ids in rows] for rows in (task, general))
    features = find_features(
        [own_text(row) for row, _ in task],
        [own_text(row) for row, _ in general],
        _prompt_states(view, task_ids, "states of task prompts", progress),
        _prompt_states(view, general_ids, "states of general prompts", progress),
        seed=_SEED,
        more_texts=[own_text(row) for file in read_general(_EVERYDAY) for row in file.records],
    )
    cost = DesignCost(
        tokens=sum(map(len, (*task_ids, *general_ids))), seconds=time.perf_counter() - started
    )
    parts = anchor_parts(features, answer)
    notes = describe_features(features, [row.id for row, _ in task])
    candidates = [AnchorCandidate(join_parts(parts), WAY, cost, notes)]
    if ablate:
        candidates += [
            AnchorCandidate(
                text,
                f"{WAY} without {feature}",
                notes=(f"The anchor of features without its sentence on the {feature}.",),
            )
            for feature, text in leave_each_out(parts)
        ]
    return candidates, _describe_left_out(view, len(task), len(general), max_length)


def _describe_left_out(
    view: TaskView, num_task: int, num_general: int, max_length: int
) -> str | None:
    drawn = min(len(view.train), _MAX_ROWS)
    counts = (
        (drawn - num_task, drawn, "task rows"),
        (len(view.general) - num_general, len(view.general), "general prompts"),
    )
    notes = []
    if drawn < len(view.train):
        notes.append(f"features: {drawn:,} of {len(view.train):,} task rows, a sample, are taken.")
    over = [f"{left_out} of {of} {what}" for left_out, of, what in counts if left_out]
    if over:
        notes.append(
            f"features: {' and '.join(over)} were not looked at, being longer than "
            f"training.max_length={max_length}."
        )
    return " ".join(notes) or None


def _prompt_states(
    view: TaskView, prompts: Sequence[Sequence[int]], label: str, progress: Progress
) -> Array:
    from levertune.selection.encoder import LAYER_SHARE
    from levertune.selection.states import count_layers, last_states

    workspace = view.workspace
    model = workspace.base()
    return last_states(
        model,
        list(prompts),
        num_layers=max(1, round(LAYER_SHARE * count_layers(model))),
        hardware=workspace.hardware,
        pad_id=workspace.tokenizer.pad_id,
        progress=progress,
        label=label,
    )
