"""A training that has diverged: found at the step it happens, before the weights take it in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from levertune.errors import DivergedError
from levertune.models.rendering import TokenizedExample

_TIMES_GUESSING = 2.0
_TIMES_START = 4.0
_ROWS_NAMED = 8

RowLoss = tuple[TokenizedExample, float]
"""A row of a step and its loss, per supervised token."""


def loss_limit(vocab_size: int, first_loss: float) -> float:
    """The loss of a step from which on a training counts as exploded.

    A model that guesses among all tokens alike has a loss of ln(vocabulary). Twice that, and four
    times the loss that training began with, is a model that is sure of what is wrong.

    Args:
        vocab_size: Tokens of the vocabulary.
        first_loss: Loss of the first step.
    """
    return max(_TIMES_GUESSING * math.log(vocab_size), _TIMES_START * first_loss)


def require_sane_loss(
    loss: float, limit: float, *, step: int, rows: Sequence[RowLoss], checkpoint: Path | None
) -> None:
    """Stop a training whose loss is no number, or has exploded.

    Args:
        loss: The step's loss.
        limit: `loss_limit`.
        step: Number of the step.
        rows: Its rows.
        checkpoint: The last checkpoint, which is from before the step; None if there is none.

    Raises:
        DivergedError: If so.
    """
    if math.isfinite(loss) and loss <= limit:
        return
    if math.isfinite(loss):
        found = f"the loss is {loss:.4g}, more than {limit:.4g}"
    else:
        found = f"the loss is {loss}"
    raise _diverged(found, step, rows, checkpoint)


def require_sane_gradient(
    norm: float, *, step: int, rows: Sequence[RowLoss], checkpoint: Path | None
) -> None:
    """Stop a training whose gradient is no number.

    Args:
        norm: The gradient's norm.
        step: Number of the step.
        rows: Its rows.
        checkpoint: The last checkpoint, which is from before the step; None if there is none.

    Raises:
        DivergedError: If so.
    """
    if not math.isfinite(norm):
        raise _diverged(f"the gradient's norm is {norm}", step, rows, checkpoint)


def _diverged(
    found: str, step: int, rows: Sequence[RowLoss], checkpoint: Path | None
) -> DivergedError:
    # Those without a number first, then those with the largest loss.
    worst = sorted(rows, key=lambda row: -row[1] if math.isfinite(row[1]) else -math.inf)
    named = [f"{row.source}:{row.id}" for row, _ in worst]
    more = f" and {len(named) - _ROWS_NAMED} more" if len(named) > _ROWS_NAMED else ""
    good = "there is no checkpoint yet" if checkpoint is None else f"{checkpoint} is good"
    return DivergedError(
        f"step {step}: {found}; the training has diverged, with the rows "
        f"{', '.join(named[:_ROWS_NAMED])}{more} (the worst first); {good}. Lower "
        "training.learning_rate, or set model.dtype=float32; look at these rows."
    )
