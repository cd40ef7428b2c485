"""Work in several processes: the first does it, the others join in each of its trainings.

They are a launcher's, which starts the same command in each, or helpers this process has started.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from levertune.errors import DivergedError, RunError, Terminated
from levertune.models.rendering import TokenizedExample
from levertune.recipes.recipe import Recipe
from levertune.runs.helper_processes import current_helpers
from levertune.runs.jobs import limited_threads
from levertune.runs.workspace import Workspace
from levertune.training import sharded
from levertune.training.breaking import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    ended_together,
)
from levertune.training.processes import (
    AbandonedError,
    Team,
    current_team,
    join_team,
    leave_team,
)
from levertune.training.train import StepHook, TrainingConfig, TrainSummary, train_adapter


@dataclass(frozen=True, slots=True)
class _Order:
    """A training, as the first process tells the others.

    Args:
        recipe: Its `model` section says which base model.
        longest_row: Tokens of the longest row.
        num_rows: Rows; they are sent step by step.
        config: Settings.
        folder: Where the first process writes, and reads checkpoints from.
        pad_id: Id used for padding.
        has_hook: Whether the first process looks at the model after each step.
    """

    recipe: Recipe
    longest_row: int
    num_rows: int
    config: TrainingConfig
    folder: Path
    pad_id: int
    has_hook: bool


class _RowsElsewhere(Sequence[TokenizedExample]):
    """How many rows there are; the first process has them."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> NoReturn:
        raise RuntimeError("only the first process looks at rows")


def do_together(work: Callable[[], int]) -> int:
    """Do a command's work in the processes a launcher started for it.

    Args:
        work: The command, for the first of them; gives its exit status.

    Returns:
        The exit status, the same in all of them.

    Raises:
        UserError: In the one process that says what went wrong.
        EndedElsewhereError: In the others then.
    """
    team = join_team()
    try:
        return _lead(team, work) if team.leads else follow(team)
    finally:
        if not team.is_training:  # in the middle of one the connections are broken
            leave_team()


def train_together(
    recipe: Recipe,
    workspace: Workspace,
    longest_row: int,
    rows: Sequence[TokenizedExample],
    config: TrainingConfig,
    folder: Path,
    *,
    tokens: int,
    on_step: StepHook | None = None,
    **options: Any,
) -> TrainSummary:
    """Train an adapter with all processes there are, those that pay, or this one alone.

    Args:
        recipe: The recipe.
        workspace: The model.
        longest_row: Tokens of the longest row.
        rows: The rows, in training order.
        config: Settings.
        folder: The training's folder.
        tokens: Tokens of the rows, about: for so many it may pay to start helpers.
        on_step: Hook after each step.
        **options: As for `training.train.train_adapter`.

    Raises:
        UserError: As `train_adapter`; or if a hook must look at a model that no process has whole.
    """
    helpers = current_helpers()
    if helpers is not None:
        helpers.start(workspace, tokens, config.effective_batch_size)
    is_alone = current_team().size == 1 and (helpers is None or helpers.threads is None)
    is_sharded = not is_alone and sharded.is_asked_for(os.environ)
    if is_sharded:
        sharded.require_version_2(os.environ)
    if is_sharded and on_step is not None:
        raise RunError(
            f"{folder}: this training looks at held-out rows between its steps (arm sft-steps, or "
            "anchor.schedule=refine), and under FSDP no process has the whole model to ask. Train "
            "it without FSDP, or other arms with --arm."
        )
    base = workspace.base(longest_row)
    team = current_team() if helpers is None else helpers.meet()
    threads = None if helpers is None else helpers.threads  # a launcher's have those it gave them
    pad_id = workspace.tokenizer.pad_id
    if team.size > 1:
        team.send(_Order(recipe, longest_row, len(rows), config, folder, pad_id, bool(on_step)))
    with ended_together(team, folder), limited_threads(threads):
        summary = train_adapter(
            base,
            rows,
            config,
            folder,
            hardware=workspace.hardware,
            pad_id=pad_id,
            on_step=on_step,
            **options,
        )
    if is_sharded:
        workspace.forget_base()  # this process has but a share of it
    return summary


def _lead(team: Team, work: Callable[[], int]) -> int:
    status = EXIT_ERROR
    try:
        status = work()
    except KeyboardInterrupt as error:
        status = EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED
        raise
    finally:
        # In the middle of a training the others wait for gradients, not for a word.
        if team.size > 1 and not team.is_training:
            team.send(status)
    return status


def follow(team: Team) -> int:
    """Join in the trainings that the first process begins, until it is done.

    Args:
        team: The processes; this is not the first.

    Returns:
        The exit status the first process ends with.

    Raises:
        UserError: If this process must say what went wrong.
        EndedElsewhereError: If another does.
    """
    workspaces: dict[str, Workspace] = {}
    while True:
        with ended_together(team):
            order: _Order | int = team.send()
        if not isinstance(order, _Order):
            return order
        with contextlib.suppress(DivergedError, AbandonedError), ended_together(team, order.folder):
            name = order.recipe.model.model_dump_json()
            workspace = workspaces.setdefault(name, Workspace(order.recipe))
            _join_in(order, workspace)


def _join_in(order: _Order, workspace: Workspace) -> None:
    train_adapter(
        workspace.base(order.longest_row),
        _RowsElsewhere(order.num_rows),
        order.config,
        order.folder,
        hardware=workspace.hardware,
        pad_id=order.pad_id,
        fingerprint={},
        on_step=_ask_nobody if order.has_hook else None,
    )
    if sharded.is_asked_for(os.environ):
        workspace.forget_base()


def _ask_nobody(step: int, model: object) -> bool:
    raise RuntimeError("only the first process looks at the model")
