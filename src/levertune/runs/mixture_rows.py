"""The rows of a training order, looked up position by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from levertune.data.records import TASK_SOURCE
from levertune.mixtures.forms import FormPlan
from levertune.mixtures.order import Mixture
from levertune.models.rendering import TokenizedExample
from levertune.results.cells import TokenCounts

_BLOCK_ROWS = 1 << 16


class MixtureRows(Sequence[TokenizedExample]):
    """The row at each position of a mixture, looked up and never copied.

    Args:
        mixture: The order.
        task: Tokenized task rows, in each form they are trained in.
        general: Tokenized general rows by source.
        num_positions: How many positions count; `sft-steps` stops inside its last exposure.
        forms: Which form an exposure has; the first, if it is left out.
    """

    def __init__(
        self,
        mixture: Mixture,
        task: Sequence[Sequence[TokenizedExample]],
        general: dict[str, list[TokenizedExample]],
        *,
        num_positions: int | None = None,
        forms: FormPlan | None = None,
    ) -> None:
        self.mixture = mixture
        self._task = task
        self._general = general
        self._num_positions = len(mixture) if num_positions is None else num_positions
        self._forms = FormPlan(self._num_positions) if forms is None else forms

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
        return self._task[self.form_at(index)][position.row]

    def form_at(self, index: int) -> int:
        """In which form the task row at a position is trained."""
        position = self.mixture[index]
        return self._forms.form_at(index, position.row, position.exposure)

    def first(self, num_positions: int) -> MixtureRows:
        """The same order, cut after so many positions."""
        return MixtureRows(
            self.mixture,
            self._task,
            self._general,
            num_positions=num_positions,
            forms=self._forms,
        )

    def count_tokens(self) -> TokenCounts:
        """Tokens of the order by source, all and supervised."""
        of_task = np.stack([_sizes(rows) for rows in self._task])
        of_general = [_sizes(self._general[name]) for name in self.mixture.sources[1:]]
        task, general = np.zeros((2, 2), dtype=np.int64)  # of each, all tokens and supervised
        for start in range(0, len(self), _BLOCK_ROWS):
            block = self.mixture.positions(start, min(start + _BLOCK_ROWS, len(self)))
            here = np.flatnonzero(block.source == 0)
            rows = block.row[here]
            forms = self._forms.forms_at(start + here, rows, block.exposure[here])
            task += of_task[forms, rows].sum(axis=0)
            for index, sizes in enumerate(of_general, start=1):
                general += sizes[block.row[block.source == index]].sum(axis=0)
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
