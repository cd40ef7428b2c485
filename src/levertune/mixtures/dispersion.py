"""How a mixture spreads the task rows: gaps, runs, and their share of each step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from levertune.mixtures.order import Mixture, Positions
from levertune.results.dispersion import Dispersion, Gaps, Spread

NUM_BINS = 50

_CHUNK_ROWS = 1 << 16

TokenCounts = Mapping[str, Sequence[int] | npt.NDArray[np.integer]]


def describe_dispersion(
    mixture: Mixture,
    *,
    step_rows: int,
    loss_tokens: TokenCounts | None = None,
    general_weight: float = 1.0,
) -> Dispersion:
    """Measure how a mixture spreads the task rows.

    Args:
        mixture: The training order.
        step_rows: Rows a step (`training.effective_batch_size`).
        loss_tokens: For each source, the number of supervised tokens of each of its rows; None
            where nothing has been tokenized, which leaves the token shares None.
        general_weight: Loss weight of a general row's token against a task row's
            (`general.loss_weight`); the shares of the loss count it, the token counts do not.

    Returns:
        The measures.

    Raises:
        ValueError: If `step_rows` is below 1, or `loss_tokens` lacks a source or a row.
    """
    if step_rows < 1:
        raise ValueError(f"step_rows must be at least 1; found {step_rows}.")
    tokens = None if loss_tokens is None else _check_tokens(mixture, loss_tokens)
    places, rows_by_step, tokens_by_step, task_tokens_by_step = [], [], [], []
    chunk_rows = step_rows * max(1, _CHUNK_ROWS // step_rows)
    for start in range(0, len(mixture), chunk_rows):
        chunk = mixture.positions(start, start + chunk_rows)
        steps = np.arange(0, len(chunk), step_rows)
        is_task = chunk.is_task
        places.append(start + np.flatnonzero(is_task))
        rows_by_step.append(np.add.reduceat(is_task.astype(np.int64), steps))
        if tokens is not None:
            counts = _tokens_at(chunk, tokens)
            tokens_by_step.append(np.add.reduceat(counts, steps))
            task_tokens_by_step.append(np.add.reduceat(counts * is_task, steps))
    task_places = np.concatenate(places)
    task_rows = np.concatenate(rows_by_step)
    task_tokens = general_tokens = share = share_per_step = None
    if tokens is not None:
        in_step = np.concatenate(tokens_by_step)
        of_task = np.concatenate(task_tokens_by_step)
        task_tokens = int(of_task.sum())
        general_tokens = int(in_step.sum()) - task_tokens
        weighted = of_task + general_weight * (in_step - of_task)
        if weighted.any():
            share = float(task_tokens / weighted.sum())
            share_per_step = _spread(of_task[weighted > 0] / weighted[weighted > 0])
    return Dispersion(
        positions=len(mixture),
        task_positions=len(task_places),
        gaps=_describe_gaps(task_places, len(mixture)),
        longest_task_run=_longest_run(task_places),
        step_rows=step_rows,
        steps=len(task_rows),
        steps_without_task=int((task_rows == 0).sum()),
        task_rows_per_step=_spread(task_rows),
        task_loss_tokens=task_tokens,
        general_loss_tokens=general_tokens,
        task_loss_share=share,
        task_loss_share_per_step=share_per_step,
        histogram=_count_by_bin(task_places, len(mixture)),
        histogram_rows=_rows_by_bin(len(mixture)),
    )


def _check_tokens(mixture: Mixture, loss_tokens: TokenCounts) -> list[npt.NDArray[np.int64]]:
    plan = mixture.plan
    sizes = [plan.task_rows, *(rows for _, rows in plan.general)]
    tokens = []
    for name, size in zip(mixture.sources, sizes, strict=True):
        counts = np.asarray(loss_tokens.get(name, ()), dtype=np.int64)
        if len(counts) < size:
            raise ValueError(
                f"loss_tokens has {len(counts)} rows of {name!r}; the mixture uses {size}."
            )
        tokens.append(counts)
    return tokens


def _tokens_at(positions: Positions, tokens: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    counts = np.zeros(len(positions), dtype=np.int64)
    for index, of_source in enumerate(tokens):
        here = positions.source == index
        counts[here] = of_source[positions.row[here]]
    return counts


def _describe_gaps(places: npt.NDArray[np.int64], length: int) -> Gaps | None:
    if len(places) < 2:
        return None
    gaps = np.diff(places)
    share = len(places) / length
    if share == 1.0:
        expected_median = expected_max = 1.0
    else:
        rate = -math.log1p(-share)
        expected_median = float(math.ceil(math.log(2) / rate))
        harmonic = float(np.sum(1.0 / np.arange(1, len(gaps) + 1)))
        expected_max = harmonic / rate + 0.5
    return Gaps(
        min=int(gaps.min()),
        median=float(np.median(gaps)),
        mean=float(gaps.mean()),
        max=int(gaps.max()),
        expected_median=expected_median,
        expected_mean=1 / share,
        expected_max=expected_max,
    )


def _longest_run(places: npt.NDArray[np.int64]) -> int:
    if not len(places):
        return 0
    breaks = np.flatnonzero(np.diff(places) > 1)
    ends = np.concatenate([[-1], breaks, [len(places) - 1]])
    return int(np.diff(ends).max())


def _spread(values: npt.NDArray[Any]) -> Spread:
    return Spread(float(values.mean()), float(values.min()), float(values.max()))


def _count_by_bin(places: npt.NDArray[np.int64], length: int) -> tuple[int, ...]:
    counts = np.bincount(places * NUM_BINS // length, minlength=NUM_BINS)
    return tuple(int(count) for count in counts)


def _rows_by_bin(length: int) -> tuple[int, ...]:
    starts = [-(-number * length // NUM_BINS) for number in range(NUM_BINS + 1)]
    return tuple(stop - start for start, stop in pairwise(starts))
