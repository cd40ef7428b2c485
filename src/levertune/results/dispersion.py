"""Where the task rows fell in a training order, as the result files hold it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A number that every step has.

    Args:
        mean: Mean over steps.
        min: Lowest.
        max: Highest.
    """

    mean: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """Distances between one task position and the next; 1 means side by side.

    The expected values are those of independent geometric gaps at the mixture's task share, which
    a uniform shuffle approaches; the expected maximum is the middle of the bounds of Eisenberg,
    On the expectation of the maximum of IID geometric random variables (2008).

    Args:
        min: Shortest.
        median: Middle.
        mean: Mean.
        max: Longest.
        expected_median: What a uniform shuffle would give, as the two that follow.
        expected_mean: For the mean.
        expected_max: For the longest.
    """

    min: int
    median: float
    mean: float
    max: int
    expected_median: float
    expected_mean: float
    expected_max: float


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How a mixture spread the task rows (`mixtures.dispersion` measures it).

    Args:
        positions: Length of the mixture.
        task_positions: Positions that hold a task row.
        gaps: Distances between task positions; None below two of them.
        longest_task_run: Most task rows in unbroken succession.
        step_rows: Rows a step.
        steps: Optimizer steps.
        steps_without_task: Steps that hold no task row.
        task_rows_per_step: Task rows in a step (the last, perhaps shorter step included).
        task_loss_tokens: Supervised tokens at task positions; None if not known.
        general_loss_tokens: The same at general positions.
        task_loss_share: Task share of the loss: of all supervised tokens, those of general rows
            counted `general.loss_weight` times. None if not known.
        task_loss_share_per_step: The same within each step that has such tokens.
        histogram: Task rows in each of equal stretches of the order, first to last.
        histogram_rows: All rows in each of these stretches.
    """

    positions: int
    task_positions: int
    gaps: Gaps | None
    longest_task_run: int
    step_rows: int
    steps: int
    steps_without_task: int
    task_rows_per_step: Spread
    task_loss_tokens: int | None
    general_loss_tokens: int | None
    task_loss_share: float | None
    task_loss_share_per_step: Spread | None
    histogram: tuple[int, ...]
    histogram_rows: tuple[int, ...]
