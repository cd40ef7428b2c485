"""Exact tests of paired differences: sign flips for figures, McNemar for right and wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EXACT_SIGN_FLIPS = 20
"""Up to so many pairs every flip of signs is tried (about a million)."""


def sign_flip_p(
    differences: Sequence[float], *, seed: int = 0, draws: int = 100_000
) -> float | None:
    """Two-sided p of a mean difference of zero, by flipping signs (Fisher, 1935).

    Args:
        differences: One difference a pair, a seed for one.
        seed: Seed of the draws beyond 20 pairs; up to there every flip is tried.
        draws: Flips drawn beyond 20 pairs.

    Returns:
        The p value, never below 2 / 2^pairs; None without pairs.

    Raises:
        ValueError: If a difference is not finite.
    """
    array = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("differences must be finite numbers")
    if not len(array):
        return None
    observed = abs(array.sum()) - 1e-12 * np.abs(array).sum()
    if len(array) <= EXACT_SIGN_FLIPS:
        sums = np.zeros(1)
        for difference in array:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((np.abs(sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    signs = (rng.choice((-1.0, 1.0), size=len(array)) for _ in range(draws))
    extreme = sum(bool(abs(flips @ array) >= observed) for flips in signs)
    # The data as they are count as one of the flips, so p is never zero.
    return (extreme + 1) / (draws + 1)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p of McNemar's test (1947): the binomial test of b against c.

    Args:
        b: Pairs only the first arm got right.
        c: Pairs only the second arm got right.

    Returns:
        The p value, 1.0 where no pair differs.

    Raises:
        ValueError: If a count is negative.
    """
    if b < 0 or c < 0:
        raise ValueError(f"counts must not be negative, got {b} and {c}")
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    return min(1.0, 2 * tail / 2 ** (b + c))
