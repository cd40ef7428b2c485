"""Ends of the intervals of a proportion and of a difference of paired proportions."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np


def wilson_ends(proportion: float, n: int, level: float) -> tuple[float, float]:
    """Ends of the score interval of a proportion (Wilson, 1927).

    Args:
        proportion: Share of successes, from 0 to 1.
        n: Number of rows, at least 1.
        level: Confidence level.

    Returns:
        The lower and the upper end.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (proportion + z**2 / (2 * n)) / (1 + z**2 / n)
    half = math.sqrt(proportion * (1 - proportion) / n + z**2 / (4 * n**2)) * z / (1 + z**2 / n)
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if proportion == 0 else centre - half
    high = 1.0 if proportion == 1 else centre + half
    return low, high


def newcombe_ends(first: np.ndarray, second: np.ndarray, level: float) -> tuple[float, float]:
    """Ends of the interval of a difference of paired proportions (Newcombe, 1998, method 10).

    Args:
        first: True where the first arm succeeded, one element a row, at least one row.
        second: The same of the second arm, of the same rows.
        level: Confidence level.

    Returns:
        The lower and the upper end of first minus second.
    """
    n = len(first)
    p1, p2 = float(first.mean()), float(second.mean())
    (low1, high1), (low2, high2) = wilson_ends(p1, n, level), wilson_ends(p2, n, level)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_a, only_b = int((first & ~second).sum()), int((~first & second).sum())
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    agreement = both * neither - only_a * only_b
    # Newcombe's continuity correction: a positive correlation is taken for a little smaller.
    corrected = max(agreement - n / 2, 0.0) if agreement > 0 else float(agreement)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    down = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    up = (high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2
    return p1 - p2 - math.sqrt(max(down, 0.0)), p1 - p2 + math.sqrt(max(up, 0.0))
