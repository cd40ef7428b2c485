"""The rows of a training order, looked up position by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from levertune.data.records import TASK_SOURCE
from levertune.mixtures.dropout import is_anchored
from levertune.mixtures.order import Mixture
from levertune.models.rendering import TokenizedExample
from levertune.results.cells import TokenCounts

_BLOCK_ROWS = 1 << 16


class MixtureRows(Sequence[TokenizedExample]):
    """The row at each position of a mixture, looked up and never copied.

    Args:
        mixture: The order.
        task: Tokenized task rows, anchored where the arm is.
        unanchored: The task rows without the anchor, for dropout; empty without dropout.
        general: Tokenized general rows by source.
        num_positions: How many positions count; `sft-steps` stops inside its last exposure.
        dropout: Share of task exposures without the anchor.
        seed: Seed of the dropout.
    """

    def __init__(
        self,
        mixture: Mixture,
        task: Sequence[TokenizedExample],
        general: dict[str, list[TokenizedExample]],
        *,
        unanchored: Sequence[TokenizedExample] = (),
        num_positions: int | None = None,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.mixture = mixture
        self._task = task
        self._general = general
        self._unanchored = unanchored
        self._num_positions = len(mixture) if num_positions is None else num_positions
        self._dropout = dropout
        self._seed = seed

    def __len__(self) -> int:
        return self._num_positions

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < self._num_positions:
            raise IndexError(index)
        position = self.mixture[index]
        if position.source != TASK_SOURCE:
            return self._general[position.source][position.row]
        if self._unanchored and not is_anchored(
            self._seed, position.row, position.exposure, self._dropout
        ):
            return self._unanchored[position.row]
        return self._task[position.row]

    def first(self, num_positions: int) -> MixtureRows:
        """The same order, cut after so many positions."""
        return MixtureRows(
            self.mixture,
            self._task,
            self._general,
            unanchored=self._unanchored,
            num_positions=num_positions,
            dropout=self._dropout,
            seed=self._seed,
        )

    def count_tokens(self) -> TokenCounts:
        """Tokens of the order by source, all and supervised."""
        sources = [self._task, *(self._general[name] for name in self.mixture.sources[1:])]
        sizes = [_sizes(rows) for rows in sources]
        bare = _sizes(self._unanchored)
        task, general = np.zeros((2, 2), dtype=np.int64)  # of each, all tokens and supervised
        for start in range(0, len(self), _BLOCK_ROWS):
            block = self.mixture.positions(start, min(start + _BLOCK_ROWS, len(self)))
            for index, of_source in enumerate(sizes):
                here = block.source == index
                found = of_source[block.row[here]]
                if index:
                    general += found.sum(axis=0)
                    continue
                if self._unanchored:
                    rows, exposures = block.row[here], block.exposure[here]
                    dropped = [
                        not is_anchored(self._seed, row, exposure, self._dropout)
                        for row, exposure in zip(rows.tolist(), exposures.tolist(), strict=True)
                    ]
                    found = np.where(np.array(dropped, dtype=bool)[:, None], bare[rows], found)
                task += found.sum(axis=0)
        return TokenCounts(
            task=int(task[0]),
            general=int(general[0]),
            supervised_task=int(task[1]),
            supervised_general=int(general[1]),
        )


def _sizes(rows: Sequence[TokenizedExample]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """All tokens and supervised ones of each row."""
    sizes = [(len(row.input_ids), row.num_supervised) for row in rows]
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)
