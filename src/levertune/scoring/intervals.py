"""Confidence intervals of metrics, of differences between arms and of means.

An interval that cannot be had is None with the reason in `method`; no number is made up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from levertune.scoring.proportions import newcombe_ends, wilson_ends
from levertune.scoring.resampling import metric_draws, studentised_draws
from levertune.scoring.scored import Scored

LEVEL = 0.95
DRAWS = 2000
ROWS_ONLY = "rows only, the luck of training is not covered"

# Beyond this share of draws without a value, those left no longer stand for the rest.
_MAX_UNDEFINED_FRACTION = 0.05
# Below this many values the studentised bootstrap meets draws without spread.
_MIN_STUDENTISED = 10


@dataclass(frozen=True)
class Interval:
    """A figure with its uncertainty.

    Args:
        value: The estimate, None where it is undefined.
        low: Lower end, None where no interval can be had.
        high: Upper end, None where no interval can be had.
        n: Rows (or seeds, for `t_interval`) it rests on.
        method: How it was computed and what it covers, or why there is none.
        level: Share of such intervals meant to hold the truth.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    level: float = LEVEL

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high is not None and self.high < 0


def wilson(successes: float, n: int, *, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson, 1927).

    Args:
        successes: Rows that succeeded.
        n: Rows in all.
        level: Confidence level.

    Returns:
        The interval; without low and high below two rows.

    Raises:
        ValueError: If there are more successes than rows, or fewer than none.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and {n}, got {successes}")
    if n < 2:
        return _without_interval(successes / n if n else None, n, level)
    low, high = wilson_ends(successes / n, n, level)
    return Interval(successes / n, low, high, n, f"Wilson interval over {n} rows", level)


def bootstrap_metric(
    scored: Scored, *, seed: int, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """Interval of one arm's metric over rows: Wilson's for a proportion, else the bootstrap's.

    Args:
        scored: The arm's scored rows.
        seed: Seed of the draws.
        draws: Bootstrap draws.
        level: Confidence level.

    Returns:
        The interval. It covers the choice of rows alone.
    """
    return crossed_bootstrap([scored], seed=seed, draws=draws, level=level)


def bootstrap_difference(
    a: Scored, b: Scored, *, seed: int, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """Interval of a minus b, paired by row: Newcombe's for proportions, else the bootstrap's.

    Args:
        a: One arm's scored rows.
        b: The other arm's, of the same rows in the same order.
        seed: Seed of the draws.
        draws: Bootstrap draws.
        level: Confidence level.

    Returns:
        The interval. It covers the choice of rows alone.

    Raises:
        ValueError: If the arms differ in metric or number of rows.
    """
    return crossed_difference([a], [b], seed=seed, draws=draws, level=level)


def crossed_bootstrap(
    scored_by_seed: Sequence[Scored], *, seed: int, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """Interval of an arm's mean metric over training seeds, drawing rows and seeds.

    Args:
        scored_by_seed: The arm's scored rows, once for each seed, the same rows in the same order.
        seed: Seed of the draws.
        draws: Bootstrap draws.
        level: Confidence level.

    Returns:
        The interval. With one seed it covers the choice of rows alone, and `method` says so.

    Raises:
        ValueError: If there is no seed, or seeds differ in metric or number of rows.
    """
    _check_alike(scored_by_seed)
    first = scored_by_seed[0]
    if len(scored_by_seed) == 1 and first.is_proportion:
        has_score = ~np.isnan(first.per_row)
        exact = wilson(float(first.per_row[has_score].sum()), int(has_score.sum()), level=level)
        return replace(exact, method=f"{exact.method} ({ROWS_ONLY})")
    return _bootstrap(scored_by_seed, [], seed=seed, draws=draws, level=level)


def crossed_difference(
    a_by_seed: Sequence[Scored],
    b_by_seed: Sequence[Scored],
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Interval of the mean over seeds of a minus b, paired by row and by seed.

    Args:
        a_by_seed: One arm's scored rows for each seed.
        b_by_seed: The other arm's for the same seeds; a single element (an arm that is not
            trained) is compared with every seed of `a_by_seed`.
        seed: Seed of the draws.
        draws: Bootstrap draws.
        level: Confidence level.

    Returns:
        The interval. With one seed it covers the choice of rows alone, and `method` says so.

    Raises:
        ValueError: If there is no seed, or arms or seeds do not match.
    """
    _check_alike([*a_by_seed, *b_by_seed])
    if not a_by_seed or len(b_by_seed) not in (1, len(a_by_seed)):
        raise ValueError(f"{len(a_by_seed)} seeds cannot be paired with {len(b_by_seed)}")
    if len(a_by_seed) == 1 and a_by_seed[0].is_proportion:
        return _paired_proportions(a_by_seed[0].per_row, b_by_seed[0].per_row, level)
    return _bootstrap(a_by_seed, b_by_seed, seed=seed, draws=draws, level=level)


def t_interval(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Student's t interval of a mean over seeds.

    Args:
        values: One figure a seed.
        level: Confidence level.

    Returns:
        The interval; without low and high below two seeds.

    Raises:
        ValueError: If a value is not finite: leave a failed seed out, and say so.
    """
    array = _finite(values)
    n = len(array)
    if n < 2:
        return _without_interval(float(array[0]) if n else None, n, level, unit="seeds")
    mean = float(array.mean())
    half = _t_half_width(array, level)
    return Interval(mean, mean - half, mean + half, n, f"t interval over {n} seeds", level)


def mean_interval(
    values: Sequence[float] | np.ndarray, *, seed: int, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """Interval of a mean over rows, for skewed figures such as NLLs: the studentised bootstrap.

    Below ten rows it is Student's t interval, and `method` says so.

    Args:
        values: One figure a row; for a paired difference, one difference a row.
        seed: Seed of the draws.
        draws: Bootstrap draws.
        level: Confidence level.

    Returns:
        The interval; without low and high below two rows or where all rows are equal.

    Raises:
        ValueError: If a value is not finite.
    """
    array = _finite(values)
    n = len(array)
    if n < 2:
        return _without_interval(float(array[0]) if n else None, n, level)
    mean = float(array.mean())
    if np.ptp(array) <= 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, None, None, n, f"none: all {n} rows are equal", level)
    if n >= _MIN_STUDENTISED:
        t_values = studentised_draws(array, rng=np.random.default_rng(seed), draws=draws)
        with np.errstate(invalid="ignore"):  # Between two infinite draws there is no quantile.
            tails = np.quantile(t_values[~np.isnan(t_values)], [(1 - level) / 2, (1 + level) / 2])
        if np.isfinite(tails).all():
            error = float(array.std(ddof=1)) / math.sqrt(n)
            low, high = mean - float(tails[1]) * error, mean - float(tails[0]) * error
            method = f"studentised bootstrap over {n} rows ({ROWS_ONLY})"
            return Interval(mean, low, high, n, method, level)
    half = _t_half_width(array, level)
    method = f"t interval over {n} rows ({ROWS_ONLY})"
    return Interval(mean, mean - half, mean + half, n, method, level)


def _bootstrap(
    a_by_seed: Sequence[Scored], b_by_seed: Sequence[Scored], *, seed: int, draws: int, level: float
) -> Interval:
    """Percentile interval over rows and seeds of a, or of a minus b."""
    first, num_seeds = a_by_seed[0], len(a_by_seed)
    n = first.num_rows
    value = _mean_aggregate(a_by_seed)
    other = _mean_aggregate(b_by_seed) if b_by_seed else 0.0
    if value is None or other is None:
        return Interval(None, None, None, n, "none: the metric is undefined on these rows", level)
    value -= other
    if n < 2:
        return _without_interval(value, n, level)
    rng = np.random.default_rng(seed)
    drawn = metric_draws(a_by_seed, b_by_seed, rng=rng, draws=draws)
    defined = drawn[~np.isnan(drawn)]
    num_undefined = len(drawn) - len(defined)
    if num_undefined > _MAX_UNDEFINED_FRACTION * len(drawn):
        reason = f"none: the metric is undefined on {num_undefined} of {len(drawn)} draws"
        return Interval(value, None, None, n, reason, level)
    scope = f"{n} rows ({ROWS_ONLY})" if num_seeds == 1 else f"{n} rows x {num_seeds} seeds"
    if np.ptp(defined) <= 1e-12 * max(1.0, abs(value)):
        return _collapsed(value, _limits(first.bounds, bool(b_by_seed)), n, scope, level)
    # Resampled rows repeat, which biases macro F1 by about as much as it varies: without this shift
    # (Efron and Tibshirani, 1993, chapter 10) 78 % of its intervals held the truth at 77 labels and
    # 640 rows, with it 90 % (benchmarks/interval_coverage.py).
    centred = defined - (defined.mean() - value)
    limits = _limits(first.bounds, bool(b_by_seed))
    low, high = np.clip(np.quantile(centred, [(1 - level) / 2, (1 + level) / 2]), *limits)
    left_out = f", {num_undefined} undefined draws left out" if num_undefined else ""
    method = f"centred percentile bootstrap over {scope}, {draws} draws{left_out}"
    if b_by_seed and not low <= 0 <= high and _is_often_zero(defined, level):
        low, high = min(low, 0.0), max(high, 0.0)
        method = f"{method}, up to zero since so few rows differ"
    return Interval(value, float(low), float(high), n, method, level)


def _is_often_zero(drawn: np.ndarray, level: float) -> bool:
    """Whether more draws than an interval leaves out at an end show no difference at all.

    Draws that miss the few rows on which two arms differ lie on zero exactly, and so does an end of
    the interval; the shift then moved it to either side by chance. Of arms of equal worth that
    differ on about 2 of 128 rows, 26 % were told apart (benchmarks/interval_coverage.py).
    """
    return bool((np.abs(drawn) <= 1e-12).mean() > (1 - level) / 2)


def _limits(bounds: tuple[float, float] | None, is_difference: bool) -> tuple[float, float]:
    """Lowest and highest value of a metric within its bounds, or of a difference of two such."""
    if bounds is None:
        return -math.inf, math.inf
    return (bounds[0] - bounds[1], bounds[1] - bounds[0]) if is_difference else bounds


def _collapsed(
    value: float, limits: tuple[float, float], n: int, scope: str, level: float
) -> Interval:
    """Interval where all rows score alike, so that resampling them shows no spread.

    A share u of all rows may be of another sort and still be absent from n rows, u being Wilson's
    upper end for 0 of n. They may score anything within the limits.
    """
    lowest, highest = limits
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        return Interval(value, None, None, n, f"none: all draws are equal over {scope}", level)
    unseen = wilson_ends(0.0, n, level)[1]
    low = value - unseen * (value - lowest)
    high = value + unseen * (highest - value)
    return Interval(value, low, high, n, f"Wilson bound on unseen rows over {scope}", level)


def _paired_proportions(a: np.ndarray, b: np.ndarray, level: float) -> Interval:
    is_pair = ~(np.isnan(a) | np.isnan(b))
    first, second = a[is_pair] > 0, b[is_pair] > 0
    n = len(first)
    value = float(first.mean() - second.mean()) if n else None
    if n < 2:
        return _without_interval(value, n, level)
    low, high = newcombe_ends(first, second, level)
    method = f"Newcombe interval over {n} paired rows ({ROWS_ONLY})"
    return Interval(value, low, high, n, method, level)


def _t_half_width(values: np.ndarray, level: float) -> float:
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + level) / 2))
    return quantile * float(values.std(ddof=1)) / math.sqrt(len(values))


def _mean_aggregate(scored_by_seed: Sequence[Scored]) -> float | None:
    values = [scored.aggregate() for scored in scored_by_seed]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _without_interval(value: float | None, n: int, level: float, *, unit: str = "rows") -> Interval:
    return Interval(value, None, None, n, f"none: fewer than 2 {unit}", level)


def _check_alike(scored: Sequence[Scored]) -> None:
    kinds = {(one.name, one.num_rows) for one in scored}
    if len(kinds) != 1:
        raise ValueError(f"need one metric over the same rows, got {sorted(kinds)}")


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{int((~np.isfinite(array)).sum())} of {len(array)} values not finite")
    return array
