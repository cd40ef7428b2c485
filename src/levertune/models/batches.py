"""Rows to tensors: which rows share a micro-batch, padding, loss weights."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from levertune.models.rendering import IGNORE_INDEX, TokenizedExample


@dataclass(frozen=True, slots=True)
class BatchCost:
    """What a micro-batch costs, in the time of one token.

    Args:
        overhead_tokens: Fixed cost of one forward and backward pass.
        max_tokens: Padded tokens one micro-batch may hold; a single longer row still goes alone.
    """

    overhead_tokens: int
    max_tokens: int


CPU_COST = BatchCost(overhead_tokens=55, max_tokens=512)
"""Measured on two cores with SmolLM2-135M (LOG.md 2026-11-22): 4 x 100 tokens take 0.93 s and
8 x 100 take 1.74 s, so a pass costs about 55 tokens beside its own. Passes of 512 tokens are as
fast as of 1,024 and need half the memory, about 2 MB a token."""

GPU_COST = BatchCost(overhead_tokens=4096, max_tokens=16384)


def split_by_length(lengths: Sequence[int], cost: BatchCost) -> list[list[int]]:
    """Partition the rows of a step into micro-batches of least cost.

    Rows are sorted by length; the cheapest cuts between neighbours are found exactly by dynamic
    programming, where a micro-batch costs its padded tokens plus the overhead.

    Args:
        lengths: Length of each row, in tokens.
        cost: The cost model.

    Returns:
        Indices into `lengths`, each once, longest micro-batch first.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    best: list[tuple[float, int]] = [(0.0, 0)]  # (cost of the first j rows, start of the last cut)
    for end in range(1, len(order) + 1):
        candidates = []
        for start in range(end - 1, -1, -1):
            tokens = (end - start) * lengths[order[start]]
            if tokens > cost.max_tokens and end - start > 1:
                break
            candidates.append((best[start][0] + tokens + cost.overhead_tokens, start))
        best.append(min(candidates))
    cuts, end = [], len(order)
    while end > 0:
        start = best[end][1]
        cuts.append(order[start:end])
        end = start
    return cuts[::-1]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A few rows as a model is called with them.

    Args:
        inputs: What the model is called with, besides what every pass says.
        index: `[targets]`: places in the flattened `[rows, length]` whose next token is supervised.
        targets: Those next tokens, row by row.
        rows: `[targets]`: index of each target's row in the list given.
    """

    inputs: dict[str, Any]
    index: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor

    def to(self, device: torch.device | str) -> MicroBatch:
        """The same on another device."""
        inputs = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in self.inputs.items()
        }
        return MicroBatch(
            inputs, self.index.to(device), self.targets.to(device), self.rows.to(device)
        )


class Batching(Protocol):
    """A way to put the rows of a step into micro-batches. It decides speed, not results."""

    def split(self, rows: Sequence[TokenizedExample]) -> list[list[int]]:
        """Indices of the rows of each micro-batch, each row once."""

    def collate(self, rows: Sequence[TokenizedExample]) -> MicroBatch:
        """The rows of one micro-batch."""

    def engage(self, model: torch.nn.Module) -> AbstractContextManager[None]:
        """Make a model ready for these micro-batches while the context lasts."""


@dataclass(frozen=True, slots=True)
class PaddedRows:
    """Rows of about one length side by side, padded on the right.

    Args:
        pad_id: Id used for padding.
        cost: The cost model for the split.
    """

    pad_id: int
    cost: BatchCost

    def split(self, rows: Sequence[TokenizedExample]) -> list[list[int]]:
        """The micro-batches of least cost."""
        return split_by_length([len(row.input_ids) for row in rows], self.cost)

    def collate(self, rows: Sequence[TokenizedExample]) -> MicroBatch:
        """The rows, padded."""
        return collate(rows, self.pad_id)

    def engage(self, model: torch.nn.Module) -> AbstractContextManager[None]:
        """Nothing to do."""
        return contextlib.nullcontext()


def collate(examples: Sequence[TokenizedExample], pad_id: int) -> MicroBatch:
    """Pad examples on the right to the longest of them.

    A supervised first token has nothing before it to be predicted from and is left out, as in
    every causal language model loss.
    """
    length = max(len(example.input_ids) for example in examples)
    input_ids = torch.full((len(examples), length), pad_id, dtype=torch.long)
    labels = torch.full((len(examples), length), IGNORE_INDEX, dtype=torch.long)
    mask = torch.zeros((len(examples), length), dtype=torch.long)
    for i, example in enumerate(examples):
        n = len(example.input_ids)
        input_ids[i, :n] = torch.tensor(example.input_ids)
        labels[i, :n] = torch.tensor(example.labels)
        mask[i, :n] = 1
    shifted = torch.full_like(labels, IGNORE_INDEX)
    shifted[:, :-1] = labels[:, 1:]
    predicting = shifted != IGNORE_INDEX
    return MicroBatch(
        inputs={"input_ids": input_ids, "attention_mask": mask},
        index=predicting.view(-1).nonzero().squeeze(-1),
        targets=shifted[predicting],
        rows=predicting.nonzero()[:, 0],
    )
