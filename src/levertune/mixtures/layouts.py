"""How the four orders lay task exposures and general rows out over the positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from levertune.mixtures.permutation import Integers, draw_permutation
from levertune.mixtures.plan import MixturePlan

# One stream of random numbers for each use, so that adding general rows leaves the order of the
# task rows' rounds alone.
SHUFFLE_STREAM, GENERAL_STREAM, TASK_STREAM = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """What stands at some positions, sources not yet told apart.

    Args:
        is_task: Which of them hold a task row.
        index: The task row; or the general row, counted over all sources one after the other.
        exposure: How often this task row came before; 0 for a general row.
    """

    is_task: npt.NDArray[np.bool_]
    index: Integers
    exposure: Integers


class ShuffledLayout:
    """One uniform permutation of all exposures and general rows.

    Item e x task_rows + r is the task row r, for e below `exposures`; the general rows follow.

    Args:
        plan: Rows, exposures and seed.
    """

    def __init__(self, plan: MixturePlan) -> None:
        self._task_rows, self._num_task = plan.task_rows, plan.num_task
        self._permutation = draw_permutation(plan.num_positions, plan.seed, SHUFFLE_STREAM)
        # The exposures of a row are numbered as they come, not as they are counted above.
        places = self._permutation.inverse(np.arange(plan.num_task))
        came = np.argsort(places.reshape(plan.exposures, plan.task_rows), axis=0)
        numbers = np.arange(plan.exposures, dtype=np.int32)[:, None]
        exposures = np.empty(came.shape, dtype=np.int32)
        np.put_along_axis(exposures, came, numbers, axis=0)
        self._exposures = exposures.ravel()

    def look_up(self, positions: Integers) -> Slots:
        """What stands at these positions.

        Args:
            positions: Positions of the mixture.

        Returns:
            As many slots.
        """
        items = self._permutation.forward(positions)
        is_task = items < self._num_task
        index = items - self._num_task
        exposure = np.zeros(len(items), dtype=np.int32)
        task = np.flatnonzero(is_task)
        if len(task):
            index[task] = items[task] % self._task_rows
            exposure[task] = self._exposures[items[task]]
        return Slots(is_task, index, exposure)


class RoundsLayout:
    """Task rows in rounds at fixed positions; the general rows, permuted, fill the others.

    Args:
        plan: Rows, exposures, order and seed; any order but `shuffle`.
    """

    def __init__(self, plan: MixturePlan) -> None:
        self._task_rows, self._num_task = plan.task_rows, plan.num_task
        self._first = plan.num_general if plan.order == "general-then-task" else 0
        self._places = _even_places(plan) if plan.order == "even" else None
        self._permutation = draw_permutation(plan.num_general, plan.seed, GENERAL_STREAM)
        self._rows = np.empty(plan.num_task, dtype=np.int64)
        for number in range(plan.exposures if plan.task_rows else 0):
            start = number * plan.task_rows
            drawn = draw_permutation(plan.task_rows, plan.seed, TASK_STREAM, number)
            self._rows[start : start + plan.task_rows] = drawn.forward(np.arange(plan.task_rows))

    def look_up(self, positions: Integers) -> Slots:
        """What stands at these positions.

        Args:
            positions: Positions of the mixture.

        Returns:
            As many slots.
        """
        before = self._count_before(positions)
        is_task = self._count_before(positions + 1) > before
        index = np.empty(len(positions), dtype=np.int64)
        exposure = np.zeros(len(positions), dtype=np.int32)
        if self._num_task:
            index[is_task] = self._rows[before[is_task]]
            exposure[is_task] = before[is_task] // self._task_rows
        index[~is_task] = self._permutation.forward((positions - before)[~is_task])
        return Slots(is_task, index, exposure)

    def _count_before(self, positions: Integers) -> Integers:
        """How many task exposures stand before each position."""
        if self._places is not None:
            return np.searchsorted(self._places, positions)
        return np.clip(positions - self._first, 0, self._num_task)


def _even_places(plan: MixturePlan) -> Integers:
    """Position floor((j + 1/2) N / n) of each exposure j, without a product beyond 64 bits.

    At least one position apart, because there are no more exposures than positions.
    """
    if not plan.num_task:
        return np.zeros(0, dtype=np.int64)
    odd = 2 * np.arange(plan.num_task, dtype=np.int64) + 1
    whole, rest = divmod(plan.num_positions, 2 * plan.num_task)
    return odd * whole + odd * rest // (2 * plan.num_task)
