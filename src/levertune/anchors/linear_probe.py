"""How well a linear probe tells task rows from general rows: cross-validated AUC of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

MIN_ROWS = 4
"""Of each kind; with fewer, most of a probe's training rows would be one row."""
FOLDS = 5
REPEATS = 5
MAX_COMPONENTS = 32


@dataclass(frozen=True, slots=True)
class ProbeAuc:
    """Area under the ROC curve of a linear probe on rows it was not fitted on.

    Args:
        value: Chance that a task row scores above a general row of the same fold, ties half.
        num_task: Task rows.
        num_general: General rows.
        folds: Folds of each division.
        repeats: Seeded divisions into folds; the value is the mean over them.
    """

    value: float
    num_task: int
    num_general: int
    folds: int
    repeats: int


def probe_auc(
    task: Array, general: Array, *, seed: int, folds: int = FOLDS, repeats: int = REPEATS
) -> ProbeAuc | None:
    """Cross-validated AUC of a linear probe between two sets of vectors.

    The probe is Fisher's linear discriminant on the first principal components, its covariance
    within the sets shrunk to a sphere as Ledoit and Wolf (2004, "A well-conditioned estimator for
    large-dimensional covariance matrices") prescribe: closed form, nothing to tune, sound with
    fewer rows than dimensions, and the same after any rotation of the vectors. Mean, components,
    covariance and direction are all fitted on a fold's training rows alone.

    Scores are compared within a fold only, since each fold has a probe, and a scale, of its own
    (Airola et al., 2011, "An experimental comparison of cross-validation techniques for estimating
    the area under the ROC curve"). On two sets that do not differ, the value varies around 0.5 and
    may well lie below it.

    Args:
        task: Vectors of the task rows, `[rows, dimensions]`.
        general: Vectors of the general rows, of the same dimensions.
        seed: Seed of the folds. The same seed and numbers of rows give the same folds, so that
            anchors are compared on equal terms.
        folds: Folds, stratified; fewer where a set has fewer rows.
        repeats: Divisions into folds.

    Returns:
        The AUC; None if either set has fewer than four rows.
    """
    fewest = min(len(task), len(general))
    if fewest < MIN_ROWS:
        return None
    folds = min(folds, fewest)
    rng = np.random.default_rng(seed)
    wins = pairs = 0.0
    for _ in range(repeats):
        task_folds = rng.permutation(len(task)) % folds
        general_folds = rng.permutation(len(general)) % folds
        for fold in range(folds):
            in_task, in_general = task_folds == fold, general_folds == fold
            origin, direction = fit_probe(task[~in_task], general[~in_general])
            above = (task[in_task] - origin) @ direction
            below = (general[in_general] - origin) @ direction
            ahead = above[:, None] - below[None, :]
            wins += float((ahead > 0).sum()) + 0.5 * float((ahead == 0).sum())
            pairs += ahead.size
    return ProbeAuc(wins / pairs, len(task), len(general), folds, repeats)


def fit_probe(task: Array, general: Array) -> tuple[Array, Array]:
    """Fit the probe.

    Args:
        task: Vectors of task rows, at least one.
        general: Vectors of general rows, at least one.

    Returns:
        Origin and direction: a row's score is the product of the direction with its vector less
        the origin, and is higher the more the row is like the task rows.
    """
    rows = np.concatenate((task, general)).astype(np.float64)
    origin = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - origin, full_matrices=False)
    # Beyond the rank there is rounding only; and two degrees of freedom go into the two means.
    rank = int((sizes > sizes[0] * 1e-10).sum()) if sizes[0] > 0 else 0
    axes = axes[: min(rank, MAX_COMPONENTS, max(1, len(rows) - 2))]
    low_task, low_general = (task - origin) @ axes.T, (general - origin) @ axes.T
    difference = low_task.mean(axis=0) - low_general.mean(axis=0)
    within = np.concatenate(
        (low_task - low_task.mean(axis=0), low_general - low_general.mean(axis=0))
    )
    scale = float((within**2).mean()) if within.size else 0.0
    if scale <= 0:  # every set is one point
        return origin, difference @ axes
    shrinkage = ledoit_wolf(within)
    covariance = (1 - shrinkage) * (within.T @ within) / len(within)
    # The floor keeps a covariance that is not shrunk at all from being singular.
    covariance += np.eye(len(axes)) * scale * max(shrinkage, 1e-8)
    return origin, np.linalg.solve(covariance, difference) @ axes


def ledoit_wolf(centred: Array) -> float:
    """How far to shrink a covariance to a sphere of the same trace (Ledoit and Wolf, 2004, s. 3.2).

    Args:
        centred: Rows about their mean, at least one, not all zero.

    Returns:
        From 0, not at all, to 1, to the sphere.
    """
    num_rows, width = centred.shape
    covariance = centred.T @ centred / num_rows
    squares = centred**2
    mean_variance = float(np.trace(covariance)) / width
    norm = float((covariance**2).sum())
    distance = norm / width - mean_variance**2
    noise = (float((squares.T @ squares).sum()) / num_rows - norm) / (width * num_rows)
    return min(max(noise, 0.0) / distance, 1.0) if distance > 0 else 1.0
