"""The exact training order of a plan: which row stands at which position, computed when asked."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from levertune.mixtures.layouts import RoundsLayout, ShuffledLayout
from levertune.mixtures.permutation import Integers
from levertune.mixtures.plan import MixturePlan

TASK_INDEX = 0

# Changes with every change of an order that the sample below might miss.
ORDER_VERSION = 2

_BLOCK_ROWS = 1 << 10
_HASH_BLOCKS = 64


class Position(NamedTuple):
    """What stands at one position.

    Args:
        source: `"task"` or the name of a general source.
        row: Row within that source, counted from 0.
        exposure: How often this row came before; always 0 for a general row.
    """

    source: str
    row: int
    exposure: int


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Consecutive positions as three read-only arrays of one length.

    Args:
        source: Index into `Mixture.sources`; 0 is the task.
        row: Row within that source, counted from 0.
        exposure: How often this row came before.
    """

    source: Integers
    row: Integers
    exposure: Integers

    def __len__(self) -> int:
        return len(self.source)

    @property
    def is_task(self) -> npt.NDArray[np.bool_]:
        """Which of the positions hold a task row."""
        return self.source == TASK_INDEX


class Mixture:
    """The training order: a function from position to (source, row, exposure).

    It is an index, not a list: `positions` computes what is asked for, from the plan alone, at
    any place and at the same cost. So workers and processes that read parts of it agree without
    telling each other anything. General rows take no memory. Task positions take 4 to 16 bytes
    each, because the number of an exposure depends on all other places of the row; there are
    `task_rows` x `exposures` of them, which is small where leverage learning makes sense (5,000
    rows with 40 exposures: 3 MB).

    Args:
        plan: What the order is built from.
    """

    def __init__(self, plan: MixturePlan) -> None:
        self.plan = plan
        self.sources = plan.sources
        self._layout = ShuffledLayout(plan) if plan.order == "shuffle" else RoundsLayout(plan)
        self._ends = np.cumsum([rows for _, rows in plan.general], dtype=np.int64)
        self._starts = np.concatenate([[0], self._ends]).astype(np.int64)
        self._block: tuple[int, Positions] | None = None

    def __len__(self) -> int:
        return self.plan.num_positions

    def positions(self, start: int, stop: int) -> Positions:
        """The positions from `start` up to but not including `stop`.

        Args:
            start: First position, counted from 0.
            stop: One past the last position; what lies past the end is left out.

        Returns:
            Their sources, rows and exposures.

        Raises:
            IndexError: If `start` or `stop` is negative.
        """
        if start < 0 or stop < 0:
            raise IndexError(f"positions are counted from 0; found {start} to {stop}.")
        slots = self._layout.look_up(np.arange(start, min(stop, len(self)), dtype=np.int64))
        source = np.full(len(slots.index), TASK_INDEX, dtype=np.int32)
        row = slots.index
        general = np.flatnonzero(~slots.is_task)
        if len(general):
            of_source = np.searchsorted(self._ends, row[general], side="right")
            source[general] = of_source + 1
            row[general] -= self._starts[of_source]
        for array in (source, row, slots.exposure):
            array.flags.writeable = False
        return Positions(source, row, slots.exposure)

    def __getitem__(self, index: int) -> Position:
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"no position {index}; the mixture has {len(self)}.")
        start = position - position % _BLOCK_ROWS
        block = self._block
        if block is None or block[0] != start:
            # Kept because a position alone costs as much as a block, and the next one is near.
            block = self._block = (start, self.positions(start, start + _BLOCK_ROWS))
        found, place = block[1], position - start
        return Position(
            self.sources[int(found.source[place])],
            int(found.row[place]),
            int(found.exposure[place]),
        )

    def __iter__(self) -> Iterator[Position]:
        return (self[position] for position in range(len(self)))

    def num_steps(self, step_rows: int) -> int:
        """Optimizer steps of `step_rows` rows each; the last may hold fewer, none is left out.

        Args:
            step_rows: Rows a step (`training.effective_batch_size`).

        Returns:
            The number of steps.
        """
        return -(-len(self) // step_rows)

    def step(self, index: int, step_rows: int) -> Positions:
        """The positions of one optimizer step.

        Args:
            index: The step, counted from 0.
            step_rows: Rows a step (`training.effective_batch_size`).

        Returns:
            `step_rows` positions, fewer in the last step.

        Raises:
            IndexError: If there is no such step.
        """
        if not 0 <= index < self.num_steps(step_rows):
            raise IndexError(f"no step {index}; the mixture has {self.num_steps(step_rows)}.")
        return self.positions(index * step_rows, (index + 1) * step_rows)

    @property
    def content_hash(self) -> str:
        """Hash of plan and order, 64 hexadecimal digits; the same on every machine.

        It covers every position of an order of up to 65,536. Of a longer one it covers 64 blocks
        of 1,024 positions, evenly spaced from the first to the last, and `ORDER_VERSION`: plan
        and version determine the order, and the blocks would show a machine that computes it
        otherwise.
        """
        described = self.plan.to_json()
        starts: Sequence[int] = range(0, len(self), _BLOCK_ROWS)
        if len(starts) > _HASH_BLOCKS:
            described["order_version"] = ORDER_VERSION
            last = len(self) - _BLOCK_ROWS
            starts = [number * last // (_HASH_BLOCKS - 1) for number in range(_HASH_BLOCKS)]
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode("ascii"))
        blocks = [self.positions(start, start + _BLOCK_ROWS) for start in starts]
        for name in ("source", "row", "exposure"):
            for block in blocks:
                digest.update(getattr(block, name).astype("<i8").tobytes())
        return digest.hexdigest()


def build_mixture(plan: MixturePlan) -> Mixture:
    """Lay out the training order of a plan.

    Each task row stands at exactly `plan.exposures` positions and each general row at one. The
    order depends on the plan alone, not on the numpy version, on any global state, or on how and by
    whom it is read.

    - `shuffle`: one uniform permutation of all positions.
    - `even`: task exposure j of n stands at position floor((j + 1/2) N / n) of N; the task rows
      come in rounds (all rows once, in a new random order, then again), the general rows in a
      random order fill the rest. Without general rows this is SFT in reshuffled epochs.
    - `general-then-task`, `task-then-general`: the general rows in a random order and the task
      rounds, one after the other.

    Args:
        plan: Rows, exposures, order and seed.

    Returns:
        The order.
    """
    return Mixture(plan)
