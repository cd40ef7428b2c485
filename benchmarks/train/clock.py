"""A callback of transformers' Trainer that notes when a step ended and what it was made of.

It runs inside every side, in that side's own environment, so it needs nothing but transformers.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Trainer, TrainerCallback

PROFILED_STEPS = 2
_PROFILED_ROWS = 20
_TRAINER: Any = Trainer


class Clock(TrainerCallback):
    """Notes the end of each step, the losses logged, and how the side computes."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.losses: dict[int, float] = {}
        self.began: float | None = None
        self.facts: dict[str, Any] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the first step's beginning."""
        if self.began is None:
            self.began = time.perf_counter()
            self.facts = _describe(kwargs["model"], args)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the time."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Note a loss."""
        if logs and "loss" in logs:
            self.losses[state.global_step] = float(logs["loss"])


class Batches:
    """What a side's own collator made of the rows.

    A side that hands its trainer something else than `input_ids` is not looked into.
    """

    def __init__(self) -> None:
        self.tokens: list[dict[str, int]] = []
        self.first: list[dict[str, list[int]]] | None = None

    def watch(self) -> None:
        """Look at each step's batches on their way into the trainer."""
        inner = _TRAINER.get_batch_samples
        noted = self.note

        def get_batch_samples(trainer: Any, *args: Any, **kwargs: Any) -> Any:
            found = inner(trainer, *args, **kwargs)
            noted(found[0])
            return found

        _TRAINER.get_batch_samples = get_batch_samples

    def note(self, batches: list[Any]) -> None:
        """Count the tokens of one step; keep the rows of the first."""
        rows = []
        for batch in batches:
            if not {"input_ids", "attention_mask", "labels"} <= set(batch):
                return
            real = batch["attention_mask"].bool()
            for ids, labels, kept in zip(batch["input_ids"], batch["labels"], real, strict=True):
                rows.append({"ids": ids[kept].tolist(), "labels": labels[kept].tolist()})
        if not rows:
            return
        if self.first is None:
            self.first = rows
        self.tokens.append(
            {
                "real": sum(len(row["ids"]) for row in rows),
                "computed": sum(batch["input_ids"].numel() for batch in batches),
                "supervised": sum(label != -100 for row in rows for label in row["labels"]),
            }
        )


class ProfiledSteps(TrainerCallback):
    """Profiles a few steps with torch.profiler and writes its table.

    Args:
        after: Steps before the first one profiled.
        path: The table's file.
    """

    def __init__(self, after: int, path: Path) -> None:
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self._profiler = torch.profiler.profile(activities=activities)
        self._after = after
        self._path = path

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start before the first step profiled."""
        if state.global_step == self._after:
            self._profiler.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop after the last one."""
        if state.global_step == self._after + PROFILED_STEPS:
            self._profiler.stop()
            device = "cuda" if torch.cuda.is_available() else "cpu"
            table = self._profiler.key_averages().table(
                sort_by=f"self_{device}_time_total",
                row_limit=_PROFILED_ROWS,
                max_name_column_width=48,
            )
            self._path.write_text(table, encoding="utf-8")


def add_callback(callback: TrainerCallback) -> None:
    """Give a callback to every Trainer made from now on, before the trainer's own callbacks."""
    inner = _TRAINER.__init__

    # Not through transformers' list of default callbacks: ms-swift sets that anew.
    @functools.wraps(inner)
    def start(trainer: Any, *args: Any, **kwargs: Any) -> None:
        inner(trainer, *args, **kwargs)
        trainer.callback_handler.callbacks.insert(0, callback)

    _TRAINER.__init__ = start


def peak_device_bytes() -> int | None:
    """Most memory allocated on the GPU, or None without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _describe(model: Any, args: Any) -> dict[str, Any]:
    parameters = list(model.parameters())
    frozen = next((p for p in parameters if not p.requires_grad), None)
    weights = "none frozen" if frozen is None else str(frozen.dtype).removeprefix("torch.")
    autocast = "bfloat16 autocast" if args.bf16 else "float16 autocast" if args.fp16 else None
    return {
        "precision": ", ".join(filter(None, (weights, autocast))),
        "checkpointing": bool(args.gradient_checkpointing),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "threads": torch.get_num_threads(),
        "device": parameters[0].device.type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
