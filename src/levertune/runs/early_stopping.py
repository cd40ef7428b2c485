"""How many steps `sft-steps` takes: chosen by rows held out of its own training rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from levertune.results.files import write_jsonl_atomically

VALIDATION_SHARE = 0.2
CHECKS = 12
"""How often validation is looked at over a whole training."""

PATIENCE = 4
"""Checks without a new best after which the trial ends."""


@dataclass(frozen=True, slots=True, order=True)
class Validation:
    """How well the validation rows are answered; the smaller, the better.

    The error comes first, and the NLL only decides between equal errors: on a few rows the NLL
    rises with overconfidence long before the answers get worse, and stopping there would make a
    straw man of the baseline (LOG.md 2026-11-22).

    Args:
        token_error: Mean over rows of the share of tokens not ranked first.
        nll: NLL per supervised token, in nats.
    """

    token_error: float
    nll: float


class EarlyStopper:
    """A step hook: looks at validation rows at intervals and stops when they no longer improve.

    What it has seen lies in a file, so that a resumed trial decides as an unbroken one would.

    Args:
        validate: Measures the validation rows under a model.
        num_steps: Steps of the whole training.
        log_path: JSON Lines file of `{"step", "token_error", "nll"}`.
    """

    def __init__(
        self, validate: Callable[[Any], Validation], num_steps: int, log_path: Path
    ) -> None:
        self._validate = validate
        self._num_steps = num_steps
        self._every = max(1, math.ceil(num_steps / CHECKS))
        self._log_path = log_path
        self.seen: list[dict[str, float]] = []
        if log_path.is_file():
            self.seen = [json.loads(line) for line in log_path.read_text().splitlines() if line]

    def __call__(self, step: int, model: Any) -> bool:
        """Whether to stop after this step."""
        if step % self._every and step != self._num_steps:
            return False
        # A resumed trial takes the steps since its checkpoint again.
        self.seen = [entry for entry in self.seen if entry["step"] < step]
        self.seen.append({"step": step, **asdict(self._validate(model))})
        write_jsonl_atomically(self._log_path, self.seen)
        return self._is_out_of_patience

    @property
    def has_decided(self) -> bool:
        """Whether nothing is left to look at: it ran out of patience or of steps."""
        return bool(self.seen) and (
            self._is_out_of_patience or self.seen[-1]["step"] == self._num_steps
        )

    @property
    def _is_out_of_patience(self) -> bool:
        return len(self.seen) - 1 - self._best_index() >= PATIENCE

    def _best_index(self) -> int:
        def look(i: int) -> Validation:
            return Validation(self.seen[i]["token_error"], self.seen[i]["nll"])

        return min(range(len(self.seen)), key=look)

    @property
    def best_step(self) -> int:
        """The step at which the validation rows were answered best."""
        return int(self.seen[self._best_index()]["step"])
