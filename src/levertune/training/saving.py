"""When a training is saved: every so many steps, every so many minutes, and before it ends."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from levertune.training.interruption import StopRequest

if TYPE_CHECKING:
    from levertune.training.train import TrainingConfig

_CHECKPOINTS = 8
_FEWEST_STEPS = 5


class SaveCallback(TrainerCallback):
    """Asks for a checkpoint when it is time, and ends the training when the process must end.

    It goes behind the callbacks that decide something after a step: what they decided is saved too.

    Args:
        config: Settings of the training.
        num_steps: Optimizer steps of the whole training.
        request: Notes that the process was asked to end.
    """

    def __init__(self, config: TrainingConfig, num_steps: int, request: StopRequest) -> None:
        self._steps = config.save_steps
        if self._steps is None:
            self._steps = max(_FEWEST_STEPS, math.ceil(num_steps / _CHECKPOINTS))
        self._seconds = 60 * config.save_minutes
        self._request = request
        self._last = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Decide, the same in every process."""
        step, is_late = state.global_step, time.monotonic() - self._last >= self._seconds
        is_due = bool(self._steps) and step % (self._steps or 1) == 0
        is_due |= bool(self._seconds) and is_late
        is_due |= bool(self._steps or self._seconds) and step >= state.max_steps
        is_due, must_end = _any_process(args, is_due, self._request.is_made)
        if is_due or must_end:
            control.should_save = True
        if must_end:
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock again."""
        self._last = time.monotonic()


def _any_process(args: TrainingArguments, *flags: bool) -> list[bool]:
    """Whether a flag is set in any of the processes that train together; clocks differ."""
    if args.world_size == 1:
        return list(flags)
    found = torch.tensor(flags, dtype=torch.int32, device=args.device)
    torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return [bool(flag) for flag in found.tolist()]
