"""Two axes to draw states on: fitted before an anchor is put on, and kept for after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Plane:
    """The first two principal components of some vectors.

    Args:
        origin: Mean of the vectors it was fitted on.
        axes: The two axes, `[2, dimensions]`; zero where the vectors have no second or first.
        shares: Share of their variance along each axis.
    """

    origin: Array
    axes: Array
    shares: tuple[float, float]

    def project(self, vectors: Array) -> Array:
        """Places of vectors on the plane, `[rows, 2]`."""
        return (vectors.astype(np.float64) - self.origin) @ self.axes.T


def fit_plane(task: Array, general: Array) -> Plane:
    """Fit a plane on states without an anchor, so that before and after share their axes.

    Either set counts as much as the other, whatever its rows: else a few task rows among many
    general ones would have no part in the axes. Each axis points where its largest entry is
    positive.

    Args:
        task: Vectors of the task rows without an anchor, at least one.
        general: Vectors of the general rows, of the same dimensions, at least one.

    Returns:
        The plane.

    Raises:
        ValueError: If either set is empty.
    """
    if not len(task) or not len(general):
        raise ValueError(f"need rows of both kinds, got {len(task)} and {len(general)}")
    rows = np.concatenate((task, general)).astype(np.float64)
    weights = np.repeat((0.5 / len(task), 0.5 / len(general)), (len(task), len(general)))
    origin = weights @ rows
    _, sizes, found = np.linalg.svd(
        (rows - origin) * np.sqrt(weights)[:, None], full_matrices=False
    )
    axes, shares = np.zeros((2, rows.shape[1])), [0.0, 0.0]
    variances = sizes**2
    for i in range(min(2, len(sizes))):
        if sizes[i] > 1e-10 * max(sizes[0], 1e-30):
            largest = found[i][np.argmax(np.abs(found[i]))]
            axes[i] = found[i] * np.sign(largest)
            shares[i] = float(variances[i] / variances.sum())
    return Plane(origin, axes, (shares[0], shares[1]))
