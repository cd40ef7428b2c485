"""Hidden states of a model's lower layers, one vector a row: pooled, or that of the last token."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from levertune.errors import ModelError
from levertune.models.batches import CPU_COST, GPU_COST, split_by_length
from levertune.models.hardware import Hardware
from levertune.models.head import unwrap_model
from levertune.models.lora_linear import autocast_for
from levertune.models.micro_batch_limit import MicroBatchLimit, unless_out_of_memory
from levertune.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Array = np.ndarray[Any, np.dtype[Any]]

RowName = tuple[str, str]
"""Source and id of a row."""

_Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Mask and states of a batch to one vector a row."""


@dataclass(frozen=True, slots=True)
class _Row:
    source: str
    id: str
    input_ids: Sequence[int]


def count_layers(model: PreTrainedModel) -> int:
    """Layers of a model's stack.

    Raises:
        ModelError: If it has none that is known.
    """
    return len(_find_stack(model)[2])


@contextlib.contextmanager
def lower_layers(model: PreTrainedModel, num_layers: int) -> Iterator[None]:
    """Run only the first layers of a model while the context lasts; its last norm stays.

    Args:
        model: The model, put back as it was whatever happens.
        num_layers: Layers to run.

    Raises:
        ModelError: If its layers cannot be found.
    """
    parent, name, stack = _find_stack(model)
    setattr(parent, name, stack[:num_layers])
    try:
        yield
    finally:
        setattr(parent, name, stack)


def _find_stack(model: PreTrainedModel) -> tuple[torch.nn.Module, str, torch.nn.ModuleList]:
    """Where a model keeps its layers: the one list of modules as long as its configuration says."""
    base = unwrap_model(model)
    wanted = base.config.get_text_config().num_hidden_layers
    for path, module in base.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == wanted:
            parent, _, name = path.rpartition(".")
            return base.get_submodule(parent), name, module
    raise ModelError(
        f"{base.config.model_type}: its layers cannot be found; looked for a list of {wanted}. "
        "Choose general rows without its states: general.select=bm25."
    )


def pool_states(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    *,
    num_layers: int,
    hardware: Hardware,
    pad_id: int,
    names: Sequence[RowName] | None = None,
    limit: MicroBatchLimit | None = None,
) -> Array:
    """Position-weighted means of the states after some layers, as unit vectors.

    Token i of n weighs i (SGPT, 2202.08904, section 3; used by RDS+, 2503.01807): in a causal model
    later tokens have seen more of the row. The model's last norm is applied to the states: it keeps
    the first token, whose state is far larger than all others in many models, from deciding alone.

    Args:
        model: The base model.
        rows: Token ids of each row, at least one.
        num_layers: Layers to run.
        hardware: Device and precision.
        pad_id: Id used for padding.
        names: What errors call the rows; None for their numbers.
        limit: Keeps, from one call to the next, how much goes into memory at once.

    Returns:
        `[rows, width]` in float16.

    Raises:
        RunError: If memory runs out at a single row.
    """
    pooled: dict[int, Array] = {}
    with lower_layers(model, num_layers), torch.inference_mode(), autocast_for(model, hardware):
        named = _named(rows, names)
        for batch, means in _batches(
            model, named, hardware, pad_id, _weighted_means, limit or MicroBatchLimit(), "states"
        ):
            pooled.update(zip(batch, means.astype(np.float16), strict=True))
    return np.stack([pooled[i] for i in range(len(rows))])


def _weighted_means(mask: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    weights = mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return (states.float() * weights[:, :, None]).sum(dim=1)


def last_states(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    *,
    num_layers: int,
    hardware: Hardware,
    pad_id: int,
    progress: Progress | None = None,
    label: str = "states",
) -> Array:
    """States of each row's last token after some layers, the last norm applied, as unit vectors.

    This is how prompts with an anchor are looked at. A mean over a prompt's tokens mostly measures
    the anchor itself, which is the same on every row; a mean over the row's own tokens does not
    see an anchor that stands behind them (`suffix`) at all, in a model that only looks back. The
    last token of a rendered prompt is the template's, the same in every row, has seen anchor and
    row wherever the anchor stands, and is where the model begins its answer: what differs there is
    what the model makes of the prompt. It works alike for prompts without an anchor.

    Args:
        model: The base model.
        rows: Token ids of each row, none empty.
        num_layers: Layers to run.
        hardware: Device and precision.
        pad_id: Id used for padding.
        progress: Where to show progress.
        label: Name of the stage.

    Returns:
        `[rows, width]` in float32; without a row, `[0, width]`.

    Raises:
        ModelError: If the model's layers cannot be found.
        RunError: If memory runs out at a single row.
    """
    found: dict[int, Array] = {}
    with (
        (progress or SilentProgress()).stage(label, len(rows), "row") as stage,
        lower_layers(model, num_layers),
        torch.inference_mode(),
        autocast_for(model, hardware),
    ):
        named = _named(rows, None)
        for batch, ends in _batches(
            model, named, hardware, pad_id, _last_of_each, MicroBatchLimit(), label
        ):
            found.update(zip(batch, ends, strict=True))
            stage.advance(len(batch))
    if not found:
        width = unwrap_model(model).config.get_text_config().hidden_size
        return np.zeros((0, width), dtype=np.float32)
    return np.stack([found[i] for i in range(len(rows))])


def _last_of_each(mask: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    last = mask.sum(dim=1) - 1
    return states[torch.arange(len(last), device=last.device), last].float()


def _named(rows: Sequence[Sequence[int]], names: Sequence[RowName] | None) -> list[_Row]:
    if names is None:
        names = [("number", str(i + 1)) for i in range(len(rows))]
    return [_Row(*name, ids) for name, ids in zip(names, rows, strict=True)]


def _batches(
    model: PreTrainedModel,
    rows: Sequence[_Row],
    hardware: Hardware,
    pad_id: int,
    pool: _Pool,
    limit: MicroBatchLimit,
    where: str,
) -> Iterator[tuple[Sequence[int], Array]]:
    """Batches of rows: their indices, and a unit vector of each row."""
    cost = CPU_COST if hardware.device == "cpu" else GPU_COST
    planned = split_by_length([len(row.input_ids) for row in rows], cost)
    waiting = deque(limit.split(rows, planned))
    while waiting:
        batch = waiting.popleft()
        ids = [rows[i].input_ids for i in batch]
        found = unless_out_of_memory(
            partial(_unit_vectors, model, ids, hardware, pad_id, pool), hardware.device
        )
        if found is None:
            limit.lower(rows, batch, where=where)
            waiting = deque(limit.split(rows, [batch, *waiting]))
            continue
        yield batch, found


def _unit_vectors(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    hardware: Hardware,
    pad_id: int,
    pool: _Pool,
) -> Array:
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    ids, mask = ids.to(hardware.device), mask.to(hardware.device)
    base = unwrap_model(model).base_model
    # The last norm has been applied to these.
    states = base(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    vectors: Array = torch.nn.functional.normalize(pool(mask, states), dim=1).cpu().numpy()
    return vectors
