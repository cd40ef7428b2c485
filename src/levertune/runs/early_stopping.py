"""How many steps `sft-steps` takes: chosen by rows held out of its own training rows.

The last step counts at which they are not answered worse than at the best one by more than one
standard error (after the one-standard-error rule of Breiman et al., "Classification and Regression
Trees", 1984, section 3.4.3, which takes the simplest such model). The arm is there to have as many
steps as `tell`; it gets fewer where more are seen to harm it, not where ten rows happen to be
answered best early.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levertune.results.files import write_jsonl_atomically

VALIDATION_SHARE = 0.2
CHECKS = 12
"""How often validation is looked at over a whole training."""

PATIENCE = 4
"""Checks in a row that are worse than the best after which the trial ends."""


@dataclass(frozen=True, slots=True)
class Validation:
    """How well the validation rows are answered; the smaller, the better.

    The error comes first, and the NLL only decides between equal errors: on a few rows the NLL
    rises with overconfidence long before the answers get worse, and stopping there would make a
    straw man of the baseline (LOG.md 2026-11-22).

    Args:
        row_errors: For each row the share of its tokens not ranked first.
        nll: NLL per supervised token, in nats.
    """

    row_errors: tuple[float, ...]
    nll: float

    @property
    def token_error(self) -> float:
        """Mean over the rows."""
        return sum(self.row_errors) / len(self.row_errors)

    def is_worse_than(self, other: Validation) -> bool:
        """Whether the error is larger by more than one standard error, row by row."""
        differences = [a - b for a, b in zip(self.row_errors, other.row_errors, strict=True)]
        n = len(differences)
        mean = sum(differences) / n
        if n == 1:
            return mean > 0
        variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
        return mean > math.sqrt(variance / n)


class EarlyStopper:
    """A step hook: looks at validation rows at intervals and stops when they no longer improve.

    What it has seen lies in a file, so that a resumed trial decides as an unbroken one would.

    Args:
        validate: Measures the validation rows under a model.
        num_steps: Steps of the whole training.
        log_path: JSON Lines file of `{"step", "token_error", "nll", "row_errors"}`.
    """

    def __init__(
        self, validate: Callable[[Any], Validation], num_steps: int, log_path: Path
    ) -> None:
        self._validate = validate
        self._num_steps = num_steps
        self._every = max(1, math.ceil(num_steps / CHECKS))
        self._log_path = log_path
        self.seen: list[dict[str, Any]] = []
        if log_path.is_file():
            self.seen = [json.loads(line) for line in log_path.read_text().splitlines() if line]

    def __call__(self, step: int, model: Any) -> bool:
        """Whether to stop after this step."""
        if step % self._every and step != self._num_steps:
            return False
        # A resumed trial takes the steps since its checkpoint again.
        self.seen = [entry for entry in self.seen if entry["step"] < step]
        found = self._validate(model)
        self.seen.append(
            {
                "step": step,
                "token_error": found.token_error,
                "nll": found.nll,
                "row_errors": list(found.row_errors),
            }
        )
        write_jsonl_atomically(self._log_path, self.seen)
        return self._is_out_of_patience

    @property
    def has_decided(self) -> bool:
        """Whether nothing is left to look at: it ran out of patience or of steps."""
        return bool(self.seen) and (
            self._is_out_of_patience or self.seen[-1]["step"] == self._num_steps
        )

    @property
    def curve(self) -> list[dict[str, float]]:
        """What was seen, without the single rows."""
        return [{key: look[key] for key in ("step", "token_error", "nll")} for look in self.seen]

    @property
    def best_step(self) -> int:
        """The last step at which the validation rows were not answered worse than at best."""
        return int(self.seen[self._last_good_index()]["step"])

    @property
    def _is_out_of_patience(self) -> bool:
        return len(self.seen) - 1 - self._last_good_index() >= PATIENCE

    def _last_good_index(self) -> int:
        looks = [Validation(tuple(entry["row_errors"]), entry["nll"]) for entry in self.seen]
        best = min(looks, key=lambda look: (look.token_error, look.nll))
        return max(i for i, look in enumerate(looks) if not look.is_worse_than(best))
