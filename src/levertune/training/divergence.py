"""A training that has diverged: found at the step it happens, before the weights take it in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from levertune.errors import DivergedError
from levertune.models.rendering import TokenizedExample

WINDOW = 10
"""Steps over which a loss that is too high must last; one step's rows say little."""

_ROWS_NAMED = 8

RowLoss = tuple[TokenizedExample, float]
"""A row of a step and its loss, per supervised token."""


class LossWatch:
    """Tells when a loss has exploded.

    A model that guesses among all tokens alike has a loss of ln(vocabulary); more is a model that
    is sure of what is wrong. Over `WINDOW` steps a mean above that, and above twice the loss of the
    first step, counts as exploded; for a single step both twice over do.

    Args:
        vocab_size: Tokens of the vocabulary.
        first: Loss of the first step; None before it is taken.
        recent: Losses of the last steps.
    """

    def __init__(
        self, vocab_size: int, first: float | None = None, recent: Sequence[float] = ()
    ) -> None:
        self._guessing = math.log(vocab_size)
        self.first = first
        self.recent = list(recent)

    def judge(self, loss: float) -> tuple[str, int] | None:
        """Look at the loss of the next step.

        Args:
            loss: The loss.

        Returns:
            What is wrong with it and over how many steps; None if nothing is.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss}", 1
        if self.first is None:
            self.first = loss
        self.recent = [*self.recent, loss][-WINDOW:]
        limit = max(self._guessing, 2 * self.first)
        if loss > 2 * limit:
            return f"the loss is {loss:.4g}, more than {2 * limit:.4g}", 1
        mean = sum(self.recent) / len(self.recent)
        if len(self.recent) == WINDOW and mean > limit:
            return f"the mean loss of {WINDOW} steps is {mean:.4g}, more than {limit:.4g}", WINDOW
        return None


def diverged(
    fault: str, *, step: int, rows: Sequence[RowLoss], checkpoint: Path | None
) -> DivergedError:
    """The error that stops a training.

    Args:
        fault: What is wrong.
        step: Number of the step.
        rows: Its rows.
        checkpoint: The last checkpoint from before; None if there is none.
    """
    # Those without a number first, then those with the largest loss.
    worst = sorted(rows, key=lambda row: -row[1] if math.isfinite(row[1]) else -math.inf)
    named = [f"{row.source}:{row.id}" for row, _ in worst]
    more = f" and {len(named) - _ROWS_NAMED} more" if len(named) > _ROWS_NAMED else ""
    good = "there is no checkpoint yet" if checkpoint is None else f"{checkpoint} is good"
    return DivergedError(
        f"step {step}: {fault}; the training has diverged, with the rows "
        f"{', '.join(named[:_ROWS_NAMED])}{more} (the worst first); {good}. Look at these rows; "
        "lower training.learning_rate, or set model.dtype=float32, with another output_dir=..."
    )
