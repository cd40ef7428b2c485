"""In which form each exposure of a task row is trained: with which anchor, or without."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from levertune.mixtures.dropout import is_anchored

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class FormPlan:
    """Forms that follow one another along the order, and a share of exposures without the anchor.

    Everything depends on the arguments alone, so it survives a resume.

    Args:
        num_positions: Positions of the order.
        starts: Share of the order before each form, the first 0, none smaller than the one before.
        dropout: Share of task exposures without the anchor.
        bare: The form without the anchor, for these.
        seed: Seed of the dropout.
    """

    num_positions: int
    starts: tuple[float, ...] = (0.0,)
    dropout: float = 0.0
    bare: int = 0
    seed: int = 0

    @property
    def _bounds(self) -> list[int]:
        # Rounded first: of a share that is position / num_positions the product may be a hair more.
        return [math.ceil(round(start * self.num_positions, 6)) for start in self.starts]

    def form_at(self, position: int, row: int, exposure: int) -> int:
        """The form of one exposure.

        Args:
            position: Where it stands in the order.
            row: Row of the task data.
            exposure: How often the row came before.
        """
        if self.dropout and not is_anchored(self.seed, row, exposure, self.dropout):
            return self.bare
        return bisect_right(self._bounds, position) - 1

    def forms_at(self, positions: Array, rows: Array, exposures: Array) -> Array:
        """The same for many exposures at once."""
        forms = np.searchsorted(self._bounds, positions, side="right") - 1
        if self.dropout:
            forms[~self._are_anchored(rows.tolist(), exposures.tolist())] = self.bare
        return forms

    def _are_anchored(self, rows: Sequence[int], exposures: Sequence[int]) -> Array:
        pairs = zip(rows, exposures, strict=True)
        anchored = [is_anchored(self.seed, row, exposure, self.dropout) for row, exposure in pairs]
        return np.array(anchored, dtype=bool)
