"""What a generation remembers of its rows: keys and values, each row's own side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

# Places that are made at once when rows outgrow a memory: a product over all places, some of them
# masked, takes a fraction of the time of one over the first few of more.
_BLOCK = 16


class RowMemory:
    """Keys and values of rows that are continued token by token.

    A row's keys lie in the order of its tokens from place 0 on, so that a key's place is its
    position; what a shorter row leaves free is masked.

    Args:
        places: For each row the places of its tokens in the packed pass that is kept.
    """

    def __init__(self, places: Sequence[Sequence[int]]) -> None:
        self._lengths = torch.tensor([len(own) for own in places])
        self._places = torch.zeros(len(places), int(self._lengths.max()), dtype=torch.long)
        for row, own in enumerate(places):
            self._places[row, : len(own)] = torch.tensor(own)
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._masks: dict[tuple[torch.dtype, int | None], torch.Tensor] = {}

    @property
    def position_ids(self) -> torch.Tensor:
        """Position of each row's next token, `[rows, 1]`."""
        return self._lengths[:, None]

    def keep(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Take a layer's keys and values from the packed pass.

        Args:
            layer: Number of the layer.
            key: `[1, key heads, packed tokens, size]`.
            value: As the keys.
        """
        self._kept[layer] = (self._laid_out(key), self._laid_out(value))

    def _laid_out(self, packed: torch.Tensor) -> torch.Tensor:
        """`[rows, key heads, places, size]`."""
        rows, longest = self._places.shape
        heads, size = packed.shape[1], packed.shape[3]
        own = packed[0].index_select(1, self._places.view(-1)).view(heads, rows, longest, size)
        return _with_room(own.transpose(0, 1))

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Add each row's next token to a layer, and attend its row from there.

        Args:
            layer: Number of the layer.
            query: `[rows, heads, 1, size]`, scaled.
            key: `[rows, key heads, 1, size]`.
            value: As the keys.
            window: Tokens the layer looks back on, or None.
            softcap: What scores are bent to stay below, or None.

        Returns:
            Output `[rows, 1, heads, size]`.
        """
        keys, values = self._kept[layer]
        if int(self._lengths.max()) == keys.shape[2]:
            keys, values = self._kept[layer] = (_with_room(keys), _with_room(values))
        rows, groups, places, size = keys.shape
        row = torch.arange(rows)
        keys[row, :, self._lengths] = key[:, :, 0]
        values[row, :, self._lengths] = value[:, :, 0]
        # The heads of one group of queries see the same keys, so that these need no copies.
        flat = query.reshape(rows * groups, -1, size)
        scores = torch.bmm(flat, keys.view(rows * groups, places, size).transpose(1, 2))
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        scores = scores.view(rows, -1, places) + self._mask(scores.dtype, window, places)
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype)
        found = torch.bmm(
            weights.view(rows * groups, -1, places), values.view(rows * groups, places, size)
        )
        return found.view(rows, 1, -1, size)

    def _mask(self, dtype: torch.dtype, window: int | None, places: int) -> torch.Tensor:
        """What is added to scores, `[rows, 1, places]`: 0 where a key is seen."""
        found = self._masks.get((dtype, window))
        if found is None:
            behind = self._lengths[:, None] - torch.arange(places)
            is_seen = behind >= 0
            if window is not None:
                is_seen &= behind < window
            found = torch.zeros(is_seen.shape, dtype=dtype)
            found.masked_fill_(~is_seen, torch.finfo(dtype).min)
            found = self._masks[dtype, window] = found[:, None]
        return found

    def advance(self) -> None:
        """Every row has one more token; called after all layers have attended."""
        self._lengths += 1
        self._masks.clear()

    def leave(self, staying: Sequence[int]) -> None:
        """Forget all rows but those that stay, in their order.

        Args:
            staying: Their indices.
        """
        index = torch.tensor(staying, dtype=torch.long)
        self._lengths = self._lengths[index]
        self._masks.clear()
        self._kept = {
            layer: (keys.index_select(0, index), values.index_select(0, index))
            for layer, (keys, values) in self._kept.items()
        }


def _with_room(kept: torch.Tensor) -> torch.Tensor:
    """The same with a block of free places at the end."""
    return functional.pad(kept, (0, 0, 0, _BLOCK)).contiguous()
