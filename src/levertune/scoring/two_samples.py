"""Intervals of figures that compare two samples of rows: an AUC, or anything by leaving out."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from levertune.scoring.intervals import LEVEL, Interval


def auc_interval(
    auc: float, num_first: int, num_second: int, *, folds: int = 1, level: float = LEVEL
) -> Interval:
    """Score interval of an AUC.

    Method 5 of Newcombe (2006, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2: asymptotic methods and evaluation", Statistics in Medicine).
    Its ends are those values whose own standard error the estimate is just within reach of, so it
    holds for an AUC of 1 as well, where an interval from the estimate's standard error is a point.
    A cross-validated AUC compares rows of one fold only; its variance is that of the mean of as
    many AUCs of so many fewer rows. That the folds' probes were fitted on almost the same rows is
    not covered.

    Args:
        auc: The estimate, from 0 to 1.
        num_first: Rows of the first sample.
        num_second: Rows of the second sample.
        folds: Folds within which rows were compared; 1 if every row was with every other.
        level: Confidence level.

    Returns:
        The interval; without low and high where a fold has no row of one kind.

    Raises:
        ValueError: If the AUC does not lie between 0 and 1, or there is no fold.
    """
    if not 0 <= auc <= 1 or folds < 1:
        raise ValueError(f"need an AUC from 0 to 1 and at least 1 fold, got {auc} and {folds}")
    n = num_first + num_second
    if min(num_first, num_second) < max(folds, 2):
        return Interval(auc, None, None, n, "none: fewer than 2 rows of a kind, or a fold", level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    first, second = num_first / folds, num_second / folds
    half = (first + second) / 2 - 1

    def excess(value: float) -> float:
        spread = 1 + half * ((1 - value) / (2 - value) + value / (1 + value))
        variance = value * (1 - value) * spread / (first * second) / folds
        return (auc - value) ** 2 - z**2 * variance

    low = _root(excess, 0.0, auc) if auc > 0 else 0.0
    high = _root(excess, 1.0, auc) if auc < 1 else 1.0
    folded = f" in {folds} folds" if folds > 1 else ""
    method = f"Newcombe's score interval over {num_first} and {num_second} rows{folded}"
    return Interval(auc, low, high, n, f"{method} (rows only)", level)


def jackknife_interval(
    value: float, without_first: np.ndarray, without_second: np.ndarray, *, level: float = LEVEL
) -> Interval:
    """Interval of a figure of two samples, by leaving out one row at a time.

    The jackknife's variances (Tukey, 1958; for two samples Arvesen, 1969, "Jackknifing
    U-statistics") are added, and the degrees of freedom are Welch's and Satterthwaite's; of a
    difference of means this is Welch's interval exactly. Where the samples do not differ at all,
    distances between them are no longer nearly normal, and the interval is a rough one.

    Args:
        value: The figure on all rows.
        without_first: The figure without each row of the first sample.
        without_second: The figure without each row of the second sample.
        level: Confidence level.

    Returns:
        The interval; without low and high below two rows in a sample, or where no row matters.

    Raises:
        ValueError: If a figure is not finite.
    """
    samples = [np.asarray(one, dtype=np.float64) for one in (without_first, without_second)]
    if not np.isfinite(value) or not all(np.isfinite(one).all() for one in samples):
        raise ValueError("figures must be finite numbers")
    sizes = [len(one) for one in samples]
    n = sum(sizes)
    if min(sizes) < 2:
        return Interval(value, None, None, n, "none: fewer than 2 rows in a sample", level)
    parts = [(len(one) - 1) * float(one.var()) for one in samples]
    variance = sum(parts)
    if variance <= (1e-12 * max(1.0, abs(value))) ** 2:
        return Interval(value, None, None, n, "none: leaving out a row changes nothing", level)
    from scipy.special import stdtrit

    freedom = variance**2 / sum(part**2 / (m - 1) for part, m in zip(parts, sizes, strict=True))
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)
    method = f"two-sample jackknife over {sizes[0]} and {sizes[1]} rows (rows only)"
    return Interval(value, value - half, value + half, n, method, level)


def _root(excess: Callable[[float], float], outer: float, auc: float) -> float:
    """Where the excess is zero between an end of the scale and the AUC; there it is negative."""
    inner = min(max(auc, 1e-9), 1 - 1e-9)  # at 0 and 1 the variance vanishes: not the root wanted
    for _ in range(60):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if excess(middle) > 0 else (outer, middle)
    return inner
