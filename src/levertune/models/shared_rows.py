"""Micro-batches in which rows that begin alike share the computation of their beginnings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from levertune.models.batches import (
    CPU_COST,
    GPU_COST,
    BatchCost,
    Batching,
    MicroBatch,
    PaddedRows,
)
from levertune.models.hardware import Hardware
from levertune.models.rendering import IGNORE_INDEX, TokenizedExample
from levertune.models.row_layout import RowLayout
from levertune.models.row_tree import share_prefixes, split_into_passes
from levertune.models.tree_attention import can_share, tree_attention


@dataclass(frozen=True, slots=True)
class SharedRows:
    """Rows packed into one, without padding, what they share at their beginning once.

    Loss and gradients are those of the rows one by one, but for rounding.

    Args:
        max_tokens: Tokens of a pass, shared ones counted once; a longer row still goes alone.
    """

    max_tokens: int

    def split(self, rows: Sequence[TokenizedExample]) -> list[list[int]]:
        """Passes of neighbours in the order of the tokens."""
        return split_into_passes([row.input_ids for row in rows], self.max_tokens)

    def collate(self, rows: Sequence[TokenizedExample]) -> MicroBatch:
        """The rows, packed. A supervised first token has nothing before it and is left out."""
        layout = RowLayout(share_prefixes([row.input_ids for row in rows]))
        index, targets, owners = [], [], []
        for number, row in enumerate(rows):
            places = layout.places_of_row(number)
            for at in range(1, len(places)):
                if row.labels[at] != IGNORE_INDEX:
                    index.append(places[at - 1])
                    targets.append(row.labels[at])
                    owners.append(number)
        inputs = {
            "input_ids": layout.input_ids,
            "position_ids": layout.position_ids,
            "attention_mask": torch.zeros(1, 1, 1, 1),  # or a causal one would be made for nothing
            "row_layout": layout,
        }
        return MicroBatch(inputs, *map(_whole_numbers, (index, targets, owners)))

    def engage(self, model: torch.nn.Module) -> AbstractContextManager[None]:
        """Let the model attend over shared beginnings."""
        return tree_attention(model)


def choose_batching(
    model: torch.nn.Module, hardware: Hardware, *, pad_id: int, share: float = 1.0
) -> Batching:
    """The fastest way for a model on this hardware.

    Args:
        model: The model, wrapped or not.
        hardware: Device and precision.
        pad_id: Id used for padding.
        share: Share of the usual tokens that a pass may hold, where it needs more memory.
    """
    cost = CPU_COST if hardware.device == "cpu" else GPU_COST
    max_tokens = int(cost.max_tokens * share)
    if can_share(model, hardware):
        return SharedRows(max_tokens)
    return PaddedRows(pad_id, BatchCost(cost.overhead_tokens, max_tokens))


def _whole_numbers(values: Sequence[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long)
