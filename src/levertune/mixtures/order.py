"""The exact training order of a plan: which row stands at which position."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from levertune.mixtures.plan import MixturePlan

Integers = npt.NDArray[np.signedinteger]

TASK_INDEX = 0

_HASH_CHUNK = 1 << 16
# One stream of random numbers for each use, so that adding general rows leaves the order of the
# task rows' rounds alone.
_SHUFFLE_STREAM, _GENERAL_STREAM, _TASK_STREAM = 0, 1, 2


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

    Read it through `positions`, `step` or an index; how it is stored may change. Make one with
    `build_mixture`.

    Args:
        plan: What the order was built from.
        order: All its positions.
    """

    def __init__(self, plan: MixturePlan, order: Positions) -> None:
        self.plan = plan
        self.sources = plan.sources
        self._order = Positions(
            order.source.astype(np.int32),
            order.row.astype(np.int64),
            order.exposure.astype(np.int32),
        )
        for array in (self._order.source, self._order.row, self._order.exposure):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self._order)

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
        order = self._order
        return Positions(
            order.source[start:stop], order.row[start:stop], order.exposure[start:stop]
        )

    def __getitem__(self, index: int) -> Position:
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"no position {index}; the mixture has {len(self)}.")
        found = self.positions(position, position + 1)
        return Position(
            self.sources[int(found.source[0])], int(found.row[0]), int(found.exposure[0])
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
        """Hash of plan and order, 64 hexadecimal digits; the same on every machine."""
        digest = hashlib.sha256(json.dumps(self.plan.to_json(), sort_keys=True).encode("ascii"))
        for start in range(0, len(self), _HASH_CHUNK):
            chunk = self.positions(start, start + _HASH_CHUNK)
            for array in (chunk.source, chunk.row, chunk.exposure):
                digest.update(array.astype("<i8").tobytes())
        return digest.hexdigest()


def build_mixture(plan: MixturePlan) -> Mixture:
    """Lay out the training order of a plan.

    Each task row stands at exactly `plan.exposures` positions and each general row at one. The
    order depends on the plan alone, not on the numpy version or on any global state.

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
    if plan.order == "shuffle":
        return Mixture(plan, _shuffle(plan))
    positions = np.arange(plan.num_positions)
    if plan.order == "even":
        places = np.arange(plan.num_task)
        is_task = np.zeros(plan.num_positions, dtype=bool)
        if plan.num_task:
            # At least one position apart, because there are no more exposures than positions.
            is_task[(2 * places + 1) * plan.num_positions // (2 * plan.num_task)] = True
    elif plan.order == "general-then-task":
        is_task = positions >= plan.num_general
    else:
        is_task = positions < plan.num_task
    return Mixture(plan, _fill(plan, is_task))


def _shuffle(plan: MixturePlan) -> Positions:
    source, row = _general_rows(plan)
    source = np.concatenate([np.full(plan.num_task, TASK_INDEX), source])
    row = np.concatenate([np.tile(np.arange(plan.task_rows), plan.exposures), row])
    permutation = _draw_permutation(plan.num_positions, plan.seed, _SHUFFLE_STREAM)
    source, row = source[permutation], row[permutation]
    # Number the exposures of each row as they come: positions sorted by row, ties in order.
    exposure = np.zeros(plan.num_positions, dtype=np.int64)
    places = np.flatnonzero(source == TASK_INDEX)
    by_row = places[np.argsort(row[places], kind="stable")]
    exposure[by_row] = np.tile(np.arange(plan.exposures), plan.task_rows)
    return Positions(source, row, exposure)


def _fill(plan: MixturePlan, is_task: npt.NDArray[np.bool_]) -> Positions:
    """Task rounds at the positions of `is_task`, shuffled general rows at the others."""
    source = np.full(plan.num_positions, TASK_INDEX)
    row = np.zeros(plan.num_positions, dtype=np.int64)
    exposure = np.zeros(plan.num_positions, dtype=np.int64)
    if plan.num_task:
        rounds = [
            _draw_permutation(plan.task_rows, plan.seed, _TASK_STREAM, number)
            for number in range(plan.exposures)
        ]
        row[is_task] = np.concatenate(rounds)
        exposure[is_task] = np.repeat(np.arange(plan.exposures), plan.task_rows)
    permutation = _draw_permutation(plan.num_general, plan.seed, _GENERAL_STREAM)
    general_source, general_row = _general_rows(plan)
    source[~is_task] = general_source[permutation]
    row[~is_task] = general_row[permutation]
    return Positions(source, row, exposure)


def _general_rows(plan: MixturePlan) -> tuple[Integers, Integers]:
    """Source index and row of every general row, source after source."""
    sizes = [rows for _, rows in plan.general]
    source = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    row = np.concatenate([np.arange(size) for size in [0, *sizes]])
    return source, row


def _draw_permutation(size: int, seed: int, *stream: int) -> Integers:
    """A uniform permutation that no numpy release will change.

    `Generator.permutation` may draw differently in a later numpy (NEP 19), which would break a
    resume; the raw output of PCG64 is guaranteed. Sorting 64-bit keys gives every order the same
    chance up to ties, which at 10^6 rows have a probability of 3e-8.
    """
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    sequence = np.random.SeedSequence(seed, spawn_key=stream)
    keys = np.random.PCG64(sequence).random_raw(size)
    return np.argsort(keys, kind="stable").astype(np.int64)
