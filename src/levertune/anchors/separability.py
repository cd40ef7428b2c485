"""How far anchored task prompts stand apart from general prompts in a model's states.

Figures without intervals: `scoring` knows how to make those, from what is given here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from levertune.anchors.linear_probe import MIN_ROWS, ProbeAuc, probe_auc

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class LeftOut:
    """A figure of two sets of rows, with what it would be without each one of them.

    Args:
        value: The figure.
        without_task: The figure without each task row.
        without_general: The figure without each general row.
    """

    value: float
    without_task: Array
    without_general: Array


@dataclass(frozen=True, eq=False, slots=True)
class Separability:
    """Figures of task rows against general rows; None where the rows are too few.

    Args:
        num_task: Task rows.
        num_general: General rows.
        auc: Cross-validated AUC of a linear probe.
        silhouette: Mean silhouette of the task rows against the general rows.
        energy: Squared energy distance, estimated without bias.
        centroid_distances: Distance of each task row to their centroid; None below two task rows.
    """

    num_task: int
    num_general: int
    auc: ProbeAuc | None
    silhouette: LeftOut | None
    energy: LeftOut | None
    centroid_distances: Array | None

    @property
    def spread(self) -> float | None:
        """Mean distance of the task rows to their centroid."""
        distances = self.centroid_distances
        return None if distances is None else float(distances.mean())


def measure_separability(task: Array, general: Array, *, seed: int) -> Separability:
    """Measure how far task rows stand apart from general rows, and how far from each other.

    All distances are Euclidean, so that every figure is the same after a rotation of all vectors.

    Args:
        task: Unit vectors of the task rows, `[rows, dimensions]`.
        general: Unit vectors of the general rows, of the same dimensions.
        seed: Seed of the probe's folds.

    Returns:
        The figures.

    Raises:
        ValueError: If the vectors are not two tables of equal width, or a number is not finite.
    """
    if task.ndim != 2 or general.ndim != 2 or task.shape[1] != general.shape[1]:
        raise ValueError(f"need two tables of one width, got {task.shape} and {general.shape}")
    if not (np.isfinite(task).all() and np.isfinite(general).all()):
        raise ValueError("vectors must be finite numbers")
    task, general = task.astype(np.float64), general.astype(np.float64)
    auc = silhouette = energy = spread = None
    if min(len(task), len(general)) >= MIN_ROWS:
        within, between = pairwise(task, task), pairwise(task, general)
        auc = probe_auc(task, general, seed=seed)
        silhouette = _silhouette(within, between)
        energy = _energy(within, between, pairwise(general, general))
    if len(task) >= 2:
        spread = np.linalg.norm(task - task.mean(axis=0), axis=1)
    return Separability(len(task), len(general), auc, silhouette, energy, spread)


def pairwise(rows: Array, others: Array) -> Array:
    """Euclidean distances `[rows, others]`."""
    from scipy.spatial.distance import cdist

    return cdist(rows, others)


def silhouettes(own: Array, other: Array) -> Array:
    """Silhouettes of rows (Rousseeuw, 1987): near 1 far from the others, below 0 among them.

    Args:
        own: Mean distance of each row to the rest of its own set.
        other: Its mean distance to the other set.

    Returns:
        One value a row; 0 where both distances are zero.
    """
    largest = np.maximum(own, other)
    difference = other - own
    values = np.zeros(np.broadcast_shapes(np.shape(own), np.shape(other)))
    np.divide(difference, largest, out=values, where=largest > 0)
    return values


def _silhouette(within: Array, between: Array) -> LeftOut:
    """Mean silhouette of the task rows; those of the general rows say nothing of the task."""
    n, m = between.shape
    to_own, to_other = within.sum(axis=1), between.sum(axis=1)
    value = silhouettes(to_own / (n - 1), to_other / m).mean()
    # One line a row that stays, one column a row left out, which no line of its own is counted for.
    stays = ~np.eye(n, dtype=bool)
    fewer = silhouettes((to_own[:, None] - within) / (n - 2), (to_other / m)[:, None])
    without_task = np.where(stays, fewer, 0.0).sum(axis=0) / (n - 1)
    others = (to_other[:, None] - between) / (m - 1)
    without_general = silhouettes((to_own / (n - 1))[:, None], others).mean(axis=0)
    return LeftOut(float(value), without_task, without_general)


def _energy(within: Array, between: Array, general: Array) -> LeftOut:
    """Squared energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Szekely and Rizzo, 2013).

    Means are over pairs of different rows (the U-statistic): with pairs of a row with itself the
    figure would be too large by an amount that depends on the spread, which anchors change. So it
    may lie below zero, where the sets do not differ.
    """
    n, m = between.shape
    own, others, across = within.sum(axis=1), general.sum(axis=1), between.sum()

    def distance(across: Any, own: Any, others: Any, n: int, m: int) -> Any:
        return 2 * across / (n * m) - own / (n * (n - 1)) - others / (m * (m - 1))

    total_own, total_others = own.sum(), others.sum()
    return LeftOut(
        float(distance(across, total_own, total_others, n, m)),
        distance(across - between.sum(axis=1), total_own - 2 * own, total_others, n - 1, m),
        distance(across - between.sum(axis=0), total_own, total_others - 2 * others, n, m - 1),
    )
