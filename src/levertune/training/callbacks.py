"""What happens after each step: the log file, the progress display, early stopping."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from levertune.errors import DivergedError
from levertune.models.memory import release_unused_memory
from levertune.training.processes import Team

if TYPE_CHECKING:
    from levertune.training.train import StepHook

_WISHES = ("should_log", "should_save", "should_epoch_stop", "should_training_stop")
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
        """Append a line to the curve and the file.

        Raises:
            DivergedError: If the loss is no number: the training has diverged.
        """
        if not logs or "loss" not in logs:
            return
        line: dict[str, float] = {"step": state.global_step}
        line.update({key: float(logs[key]) for key in _KEPT if key in logs})
        if not math.isfinite(line["loss"]):
            raise DivergedError(
                f"step {state.global_step}: the loss is {line['loss']}; the training has diverged. "
                "Lower training.learning_rate, or set model.dtype=float32."
            )
        self.curve.append(line)
        if not self.team.leads:
            return
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        release_unused_memory()


class AgreeCallback(TrainerCallback):
    """Lets all processes log, save and stop after the same step, whichever of them wants to.

    A signal, a clock or the step hook can reach one process alone; it comes last of all callbacks.

    Args:
        team: The processes that train together.
    """

    def __init__(self, team: Team) -> None:
        self.team = team

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Agree."""
        wishes = [getattr(control, name) for name in _WISHES]
        for name, wish in zip(_WISHES, self.team.any(wishes), strict=True):
            setattr(control, name, wish)
