"""What happens after each step: the log file, the progress display, early stopping."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from levertune.models.memory import release_unused_memory
from levertune.training.processes import Team

if TYPE_CHECKING:
    from levertune.training.train import StepHook

_RELEASE_SECONDS = 20.0
"""Memory given back is soon asked for again, page by page: not to be done at every line."""

_KEPT = ("loss", "task_loss", "general_loss", "learning_rate", "grad_norm")


class StepCallback(TrainerCallback):
    """Keeps the curve, advances the display and asks the hook whether to stop.

    Args:
        curve: Log lines so far; new ones are appended.
        log_path: JSON Lines file the lines are appended to.
        on_step: Hook of the caller, or None. Of several processes the first alone calls it.
        team: The processes that train together.
    """

    def __init__(
        self,
        curve: list[dict[str, float]],
        log_path: Path,
        on_step: StepHook | None,
        team: Team,
    ) -> None:
        self.curve = curve
        self.log_path = log_path
        self.on_step = on_step
        self.team = team
        self.stage: Any = None
        self._released = time.perf_counter()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Advance the display and ask the hook."""
        if self.stage is not None:
            self.stage.advance(1)
        on_step = self.on_step
        if on_step is not None:
            model = kwargs["model"]

            def ask() -> bool:
                model.eval()
                devices = [torch.cuda.current_device()] if model.device.type == "cuda" else []
                with torch.random.fork_rng(devices):
                    return on_step(state.global_step, model)

            if self.team.lead(ask):
                control.should_training_stop = True
            model.train()
        if control.should_training_stop:  # the steps since the last line would go unlogged
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append a line to the curve and the file."""
        if not logs or "loss" not in logs:
            return
        line: dict[str, float] = {"step": state.global_step}
        # With a scaler of float16 gradients a norm that is no number is no fault, and the step is
        # skipped; files hold numbers only.
        found = {key: float(logs[key]) for key in _KEPT if key in logs}
        line.update({key: value for key, value in found.items() if math.isfinite(value)})
        self.curve.append(line)
        if self.team.leads:
            with self.log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if time.perf_counter() - self._released > _RELEASE_SECONDS:
            release_unused_memory()
            self._released = time.perf_counter()


class AtBegin(TrainerCallback):
    """Does something once the engine has set up its state, before the first step.

    Args:
        action: What to do.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Do it."""
        self._action()
