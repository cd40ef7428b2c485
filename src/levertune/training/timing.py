"""How fast this machine trains: one step, timed as the engine takes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from levertune.models.adapters import attach_lora
from levertune.models.hardware import Hardware
from levertune.models.head import select_logits
from levertune.models.lora_linear import autocast_for, grouped_lora
from levertune.models.rendering import TokenizedExample
from levertune.models.shared_rows import choose_batching

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_REPEATS = 2  # the first pass also pays for allocations and kernel choices


def time_step(
    base: PreTrainedModel,
    rows: Sequence[TokenizedExample],
    *,
    r: int,
    hardware: Hardware,
    pad_id: int,
) -> float:
    """Seconds of the forward and backward passes of one step.

    The adapter it needs is thrown away, and the random state it draws from is put back.

    Args:
        base: Base model, without adapter.
        rows: Rows of the step.
        r: Rank of the adapter.
        hardware: Device and precision.
        pad_id: Id used for padding.

    Returns:
        The shortest of two repeats.
    """
    import torch

    state = torch.get_rng_state()
    model = attach_lora(base, r=r, alpha=2 * r, dropout=0.0, target_modules="all-linear")
    batching = choose_batching(model, hardware, pad_id=pad_id)
    seconds = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter()
        with batching.engage(model), grouped_lora(model):
            for part in batching.split(rows):
                batch = batching.collate([rows[i] for i in part]).to(hardware.device)
                with autocast_for(model, hardware):
                    logits = select_logits(model, batch.inputs, batch.index)
                torch.nn.functional.cross_entropy(logits.float(), batch.targets).backward()
        if hardware.device == "cuda":
            torch.cuda.synchronize()
        seconds = min(seconds, time.perf_counter() - started)
    model.unload()
    vars(base).pop("peft_config", None)
    torch.set_rng_state(state)
    return seconds
