"""How long a run will take, from one timed step on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from levertune.anchors.rewrite import MAX_TOKENS as REWRITE_TOKENS
from levertune.recipes.recipe import Recipe
from levertune.runs.cells import CellData
from levertune.runs.challenges import NUM_POOL
from levertune.runs.inputs import Inputs
from levertune.runs.refiner import check_steps
from levertune.runs.train_cell import training_config
from levertune.runs.workspace import Workspace

if TYPE_CHECKING:
    from levertune.models.rendering import TokenizedExample

# A forward pass without gradients against forward and backward, in time.
_FORWARD_SHARE = 1 / 3
_LOAD_SECONDS = 5.0
# A generated token against one that is read, on a small batch.
_GENERATED_COST = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take.

    Args:
        cell_seconds: Wall time of each cell, in the order given.
        num_jobs: Cells worked on at once.
        memory_bytes: Peak memory of one process, or None where it cannot be read.
        tokens: Tokens to train on.
        tokens_per_second: Measured on one step.
        num_processes: Processes that share each training; the step was timed in one of them.
        final_seconds: Wall time of the last training, on all rows, once the cells are done.
    """

    cell_seconds: tuple[float, ...]
    num_jobs: int
    memory_bytes: int | None
    tokens: int
    tokens_per_second: float
    num_processes: int = 1
    final_seconds: float = 0.0

    @property
    def longest_first(self) -> list[int]:
        """Indices of the cells, the longest first: handed out so, they end close together."""
        return sorted(range(len(self.cell_seconds)), key=lambda i: (-self.cell_seconds[i], i))

    @property
    def seconds(self) -> float:
        """Wall time of all, cells handed out the longest first to whoever is free."""
        free_at = [_LOAD_SECONDS] * self.num_jobs
        for i in self.longest_first:
            free_at.sort()
            free_at[0] += self.cell_seconds[i]
        return max(free_at) + self.final_seconds

    @property
    def sentence(self) -> str:
        """The estimate in words."""
        minutes = self.seconds / 60
        span = f"{minutes:.0f} minutes" if minutes >= 2 else f"{self.seconds:.0f} seconds"
        each = " each" if max(self.num_jobs, self.num_processes) > 1 else ""
        memory = (
            f", {self.memory_bytes / 2**30:.1f} GiB of memory{each}" if self.memory_bytes else ""
        )
        # What the others add is not known before they train.
        bound, where = ("about", "on this machine")
        if self.num_processes > 1:
            bound, where = ("at most about", f"in one of {self.num_processes} processes")
        final = ", the final adapter's among them," if self.final_seconds else ""
        return (
            f"estimate: {bound} {span}{memory} ({self.tokens:,} tokens to train on{final} at "
            f"{self.tokens_per_second:.0f} a second, timed {where})"
        )


def estimate_run(
    recipe: Recipe,
    inputs: Inputs,
    workspace: Workspace,
    cells: Sequence[CellData],
    *,
    num_jobs: int = 1,
    num_processes: int = 1,
    finalists: Sequence[CellData] = (),
) -> Estimate:
    """Time one training step and scale it to the cells still to be done.

    Args:
        recipe: The recipe, resolved.
        inputs: The inputs.
        workspace: The model.
        cells: Cells that are not done; at least one.
        num_jobs: Cells worked on at once; they are taken not to slow one another down.
        num_processes: Processes that share each training.
        finalists: Cells one arm of which is trained afresh on all task rows at the end; which one
            is not known, so the dearest counts.

    Returns:
        The estimate. `sft-steps` counts twice: its trial may take every step.
    """
    from levertune.models.hardware import peak_memory_bytes

    trained = [cell for cell in cells if cell.plan.arm.is_trained]
    heaviest = max(trained or cells, key=lambda cell: cell.longest_row)
    rate = measure_rate(recipe, workspace, heaviest)
    tokens = [_training_tokens(cell) for cell in cells]
    seconds = tuple(
        (count + _FORWARD_SHARE * (
            _evaluation_tokens(recipe, inputs, workspace, cell) + _check_tokens(recipe, cell)
        )) / rate
        for count, cell in zip(tokens, cells, strict=True)
    )  # fmt: skip
    final = max((_final_tokens(inputs, cell) for cell in finalists), default=0)
    return Estimate(
        cell_seconds=seconds,
        num_jobs=min(num_jobs, len(cells)),
        memory_bytes=peak_memory_bytes(workspace.hardware.device),
        tokens=sum(tokens) + final,
        tokens_per_second=rate,
        num_processes=num_processes,
        final_seconds=final / rate,
    )


def _training_tokens(cell: CellData) -> int:
    if not cell.plan.arm.is_trained:
        return 0
    count = cell.tokens.task + cell.tokens.general
    return 2 * count if cell.plan.arm.matches_steps else count


def _final_tokens(inputs: Inputs, cell: CellData) -> int:
    """As `_training_tokens`, with all task rows in the place of the cell's."""
    if not cell.plan.arm.is_trained:
        return 0
    more = len(inputs.task.records) / len(cell.records) - 1
    passes = 2 if cell.plan.arm.matches_steps else 1
    return _training_tokens(cell) + round(passes * cell.tokens.task * more)


def _longest_step(cell: CellData, recipe: Recipe) -> list[TokenizedExample]:
    rows = [*cell.task, *(row for source in cell.general.values() for row in source)]
    rows.sort(key=lambda row: len(row.input_ids))
    # The middle of the lengths stands for speed, the longest row for memory.
    size = recipe.training.effective_batch_size
    middle = max(0, len(rows) // 2 - size // 2)
    return [*rows[middle : middle + size - 1], rows[-1]]


def measure_rate(recipe: Recipe, workspace: Workspace, cell: CellData) -> float:
    """Tokens a second in training, timed on one step of a cell.

    Args:
        recipe: The recipe, resolved.
        workspace: The model.
        cell: The cell.
    """
    from levertune.training.timing import time_step

    rows = _longest_step(cell, recipe)
    seconds = time_step(
        workspace.base(cell.longest_row),
        rows,
        training_config(recipe, cell.plan.seed),
        hardware=workspace.hardware,
        pad_id=workspace.tokenizer.pad_id,
    )
    return sum(len(row.input_ids) for row in rows) / seconds


def _evaluation_tokens(
    recipe: Recipe, inputs: Inputs, workspace: Workspace, cell: CellData
) -> float:
    """Tokens of the forward passes of one cell's evaluation, generation included."""
    split = inputs.splits[cell.plan.fold or 0]
    per_row = sum(len(row.input_ids) for row in cell.task) / len(cell.task)
    probes = recipe.evaluation.general_heldout + recipe.evaluation.retention_rows
    passes = 2 if cell.plan.arm.is_trained else 1  # the divergence needs the base model's too
    answers = len(split.test) * int(recipe.evaluation.max_new_tokens) * _GENERATED_COST
    return 2 * len(split.test) * per_row + passes * probes * per_row + answers


def _check_tokens(recipe: Recipe, cell: CellData) -> float:
    """Tokens of the forward passes that challenge a cell's anchor, rewrites included."""
    if cell.refine_rows is None:
        return 0.0
    checks = len(check_steps(recipe, cell))
    per_row = sum(len(row.input_ids) for row in cell.task) / len(cell.task)
    # Those in use and the challengers at each check, and once all that are ordered by proxy.
    passes = checks * (1 + recipe.anchor.challengers) + NUM_POOL + 2
    rewrites = checks * REWRITE_TOKENS * _GENERATED_COST
    return len(cell.refine_rows.judging) * per_row * passes + rewrites
