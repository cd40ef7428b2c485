"""Clusters of vectors: k-means with seeded starts, and how many clusters there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from levertune.anchors.separability import pairwise, silhouettes

Array = np.ndarray[Any, np.dtype[Any]]

MAX_CLUSTERS = 6
MIN_CLUSTER_ROWS = 4
MIN_SILHOUETTE = 0.25
"""Below this "no substantial structure has been found" (Kaufman and Rousseeuw, 1990, table 4)."""
_STARTS = 10
_MAX_ROUNDS = 100


def k_means(vectors: Array, num_clusters: int, *, seed: int, starts: int = _STARTS) -> Array:
    """Group vectors by Lloyd's rounds from starts of k-means++ (Arthur and Vassilvitskii, 2007).

    Args:
        vectors: `[rows, dimensions]`.
        num_clusters: Clusters; fewer come out where there are fewer different vectors.
        seed: Seed of the starts.
        starts: Starts, of which the closest grouping is kept.

    Returns:
        The cluster of each row; 0 is the largest, equals in order of their first rows.

    Raises:
        ValueError: If there are not as many rows as clusters, or no cluster.
    """
    if not 1 <= num_clusters <= len(vectors):
        raise ValueError(f"cannot make {num_clusters} clusters of {len(vectors)} rows")
    rows = vectors.astype(np.float64)
    rng = np.random.default_rng(seed)
    best, best_cost = np.zeros(len(rows), dtype=np.int64), np.inf
    for _ in range(starts):
        labels, cost = _lloyd(rows, _plus_plus(rows, num_clusters, rng))
        if cost < best_cost * (1 - 1e-12):
            best, best_cost = labels, cost
    names, firsts, sizes = np.unique(best, return_index=True, return_counts=True)
    ranked = sorted(range(len(names)), key=lambda i: (-sizes[i], firsts[i]))
    place = {int(names[i]): rank for rank, i in enumerate(ranked)}
    return np.array([place[int(label)] for label in best], dtype=np.int64)


def find_clusters(vectors: Array, *, seed: int, most: int = MAX_CLUSTERS) -> Array:
    """Group vectors into as many clusters as fit them best by their mean silhouette.

    Args:
        vectors: `[rows, dimensions]`, at least one row.
        seed: Seed of the starts.
        most: Most clusters.

    Returns:
        The cluster of each row; all in one where no grouping has a mean silhouette of 0.25, or a
        cluster of it fewer than four rows.
    """
    one = np.zeros(len(vectors), dtype=np.int64)
    best, best_value = one, MIN_SILHOUETTE
    distances = pairwise(vectors.astype(np.float64), vectors.astype(np.float64))
    for num_clusters in range(2, min(most, len(vectors) // MIN_CLUSTER_ROWS) + 1):
        labels = k_means(vectors, num_clusters, seed=seed)
        sizes = np.bincount(labels)
        if len(sizes) == num_clusters and sizes.min() >= MIN_CLUSTER_ROWS:
            value = float(cluster_silhouettes(distances, labels).mean())
            if value > best_value:
                best, best_value = labels, value
    return best


def cluster_silhouettes(distances: Array, labels: Array) -> Array:
    """Silhouette of each row against the nearest other cluster (Rousseeuw, 1987).

    Args:
        distances: Distances between all rows.
        labels: The cluster of each row: at least two, each of at least two rows.
    """
    sizes = np.bincount(labels)
    is_in = labels[:, None] == np.arange(len(sizes))
    sums = distances @ is_in
    own = sums[is_in] / (sizes[labels] - 1)
    means = np.where(is_in, np.inf, sums / sizes)
    return silhouettes(own, means.min(axis=1))


def _plus_plus(rows: Array, num_clusters: int, rng: np.random.Generator) -> Array:
    """Centres drawn from the rows, each with a chance in proportion to its squared distance."""
    centres = [rows[rng.integers(len(rows))]]
    nearest = ((rows - centres[0]) ** 2).sum(axis=1)
    while len(centres) < num_clusters and nearest.sum() > 0:
        centres.append(rows[rng.choice(len(rows), p=nearest / nearest.sum())])
        nearest = np.minimum(nearest, ((rows - centres[-1]) ** 2).sum(axis=1))
    return np.stack(centres)


def _lloyd(rows: Array, centres: Array) -> tuple[Array, float]:
    labels = np.full(len(rows), -1)
    for _ in range(_MAX_ROUNDS):
        distances = pairwise(rows, centres)
        nearest = distances.argmin(axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        # A cluster that lost all its rows keeps its centre, and may win some back.
        for i in np.unique(labels):
            centres[i] = rows[labels == i].mean(axis=0)
    return labels, float((pairwise(rows, centres).min(axis=1) ** 2).sum())
