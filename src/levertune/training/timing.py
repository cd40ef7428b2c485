"""How fast this machine trains: one step, timed as the engine takes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from levertune.models.batches import Batching
from levertune.models.hardware import Hardware
from levertune.models.head import select_logits
from levertune.models.lora_linear import autocast_for, grouped_lora
from levertune.models.memory import release_unused_memory
from levertune.models.micro_batch_limit import (
    NO_ROOM_FOR_A_ROW,
    MicroBatchLimit,
    is_out_of_memory,
)
from levertune.models.rendering import TokenizedExample
from levertune.models.shared_rows import choose_batching
from levertune.training.borrowed import borrowed
from levertune.training.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from levertune.training.train import TrainingConfig

_REPEATS = 2  # the first pass also pays for allocations and kernel choices


def time_step(
    base: PreTrainedModel,
    rows: Sequence[TokenizedExample],
    config: TrainingConfig,
    *,
    hardware: Hardware,
    pad_id: int,
) -> float:
    """Seconds of the forward and backward passes of one step.

    The adapter it needs is thrown away, and the random state it draws from is put back. Where
    memory runs out, the rows are taken in smaller pieces, as the training will take them.

    Args:
        base: Base model, without adapter.
        rows: Rows of the step.
        config: Settings of the training.
        hardware: Device and precision.
        pad_id: Id used for padding.

    Returns:
        The shortest of two repeats.

    Raises:
        RunError: If memory runs out at a single row.
    """
    import torch

    device = torch.device(hardware.device)
    state = random_state(device)
    try:
        with borrowed(base, config) as model:
            model.train()
            if config.gradient_checkpointing:
                base.gradient_checkpointing_enable()
                base.enable_input_require_grads()
            batching = choose_batching(model, hardware, pad_id=pad_id)
            with batching.engage(model), grouped_lora(model):
                return _shortest(model, rows, batching, hardware)
    finally:
        set_random_state(state, device)


def _shortest(
    model: PeftModel, rows: Sequence[TokenizedExample], batching: Batching, hardware: Hardware
) -> float:
    import torch

    limit = MicroBatchLimit()
    times: list[float] = []
    while len(times) < _REPEATS:
        started = time.perf_counter()
        parts = limit.split(rows, batching.split(rows))
        failed = _take_step(model, rows, parts, batching, hardware)
        if failed is not None:
            limit.lower(rows, failed, where="estimate", advice=NO_ROOM_FOR_A_ROW)
            model.zero_grad()
            release_unused_memory()
            if hardware.device == "cuda":
                torch.cuda.empty_cache()
            continue
        if hardware.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def _take_step(
    model: PeftModel,
    rows: Sequence[TokenizedExample],
    parts: Sequence[Sequence[int]],
    batching: Batching,
    hardware: Hardware,
) -> Sequence[int] | None:
    """Forward and backward passes; the part that did not fit into memory, or None if all did."""
    import torch

    for part in parts:
        try:
            batch = batching.collate([rows[i] for i in part]).to(hardware.device)
            with autocast_for(model, hardware):
                logits = select_logits(model, batch.inputs, batch.index)
            torch.nn.functional.cross_entropy(logits.float(), batch.targets).backward()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return part
    return None
