"""The rows of a training order, looked up position by position."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.data.records import TASK_SOURCE
from levertune.mixtures.dropout import is_anchored
from levertune.mixtures.order import Mixture
from levertune.models.rendering import TokenizedExample
from levertune.results.cells import TokenCounts


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


def count_tokens(rows: Sequence[TokenizedExample]) -> TokenCounts:
    """Tokens of a training order by source, all and supervised."""
    counts = {"task": 0, "general": 0, "supervised_task": 0, "supervised_general": 0}
    for i in range(len(rows)):
        row = rows[i]
        kind = "task" if row.source == TASK_SOURCE else "general"
        counts[kind] += len(row.input_ids)
        counts[f"supervised_{kind}"] += row.num_supervised
    return TokenCounts(**counts)
