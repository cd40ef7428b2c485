"""Whether one figure ranks things as another does, within each of several groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from levertune.scoring.intervals import DRAWS, LEVEL, Interval

MIN_PAIRS = 4
"""Pairs of a group below which no correlation is given: of three, a third is +-1 by chance."""
_MAX_UNDEFINED_FRACTION = 0.05
# What is left of a figure whose ranks are another's, but for rounding.
_ALL = 1e-12

Pairs = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's rank correlation within groups.

    Args:
        pooled: Over all groups.
        by_group: In each group, in the order given.
    """

    pooled: Interval
    by_group: tuple[tuple[str, Interval], ...]

    @property
    def excludes_zero_in_all(self) -> bool:
        """Whether every group's interval lies on the same side of zero."""
        return bool(self.by_group) and (
            all(one.is_above_zero for _, one in self.by_group)
            or all(one.is_below_zero for _, one in self.by_group)
        )


def rank_correlation(
    groups: Mapping[str, Pairs],
    *,
    given: Mapping[str, Sequence[float]] | None = None,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> RankCorrelation:
    """Spearman's rho of a proxy with an outcome, pooled within groups (anchors within tasks).

    Both figures are ranked within each group, ties sharing their mean rank, and the groups' rhos
    are averaged with their numbers of pairs as weights (blocks as in Taylor, 1987, "Kendall's and
    Spearman's correlation coefficients in the presence of a blocking variable"). So groups that
    differ in level or scale add no correlation of their own, and a rho of 1 in a small group does
    not decide alone, as it does in a mean of Fisher's z. With one group it is Spearman's rho.

    With a third figure `given` it is the partial correlation of the ranks (Kendall, 1942, "Partial
    rank correlation"): what is left once both are freed of what they share with that figure's.

    The interval is the percentile bootstrap over pairs, drawn within each group. It covers the
    choice of anchors; noise in a proxy or an outcome (rows, training seeds) moves rho towards zero
    and is not taken out.

    Args:
        groups: Proxy and outcome of each pair, by group; the two equally long.
        given: A figure of each pair that may lie behind both, by group.
        seed: Seed of the draws.
        draws: Bootstrap draws.
        level: Confidence level.

    Returns:
        The pooled rho and that of each group. One is None, with the reason in `method`, if a group
        has fewer than four pairs, all its values of a figure are equal or the figure that is given
        says all of another; leave such a group out, and say so.

    Raises:
        ValueError: If there is no group, a group's figures differ in number, or one is not finite.
    """
    if not groups:
        raise ValueError("need at least one group of pairs")
    rng = np.random.default_rng(seed)
    found: list[tuple[str, Interval]] = []
    rhos, drawn, sizes = [], [], []
    for name, (proxy, outcome) in groups.items():
        x, y = _as_array(name, proxy), _as_array(name, outcome)
        n = len(x)
        figures = [x, y] if given is None else [x, y, _as_array(name, given[name])]
        if len(y) != n:
            raise ValueError(f"{name}: {n} proxies and {len(y)} outcomes cannot be paired")
        if len(figures[-1]) != n:
            raise ValueError(f"{name}: {n} proxies and {len(figures[-1])} given cannot be paired")
        reason = _why_undefined(*figures)
        if reason:
            found.append((name, Interval(None, None, None, n, f"none: {reason}", level)))
            continue
        rho = float(_correlate(*(values[None] for values in figures))[0])
        rows = rng.integers(0, n, size=(draws, n))
        draws_here = _correlate(*(values[rows] for values in figures))
        found.append((name, _interval(rho, draws_here, n, f"{n} pairs", level)))
        rhos.append(rho)
        drawn.append(draws_here)
        sizes.append(n)
    total = sum(one.n for _, one in found)
    undefined = [name for name, one in found if one.value is None]
    if undefined:
        method = f"none: undefined for {', '.join(undefined)}"
        return RankCorrelation(Interval(None, None, None, total, method, level), tuple(found))
    pooled = float(np.average(rhos, weights=sizes))
    pooled_draws = np.average(np.stack(drawn), axis=0, weights=sizes)
    scope = f"{total} pairs within {len(sizes)} groups" if len(sizes) > 1 else f"{total} pairs"
    return RankCorrelation(_interval(pooled, pooled_draws, total, scope, level), tuple(found))


def _as_array(name: str, values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: figures must be finite numbers")
    return array


def _why_undefined(*figures: np.ndarray) -> str | None:
    num = len(figures[0])
    if num < MIN_PAIRS:
        return f"fewer than {MIN_PAIRS} pairs"
    for label, values in zip(("proxies", "outcomes", "given"), figures, strict=False):
        if np.ptp(values) == 0:
            return f"all {num} {label} are equal"
    if np.isnan(_correlate(*(values[None] for values in figures))[0]):
        return "what is given says all of another figure"
    return None


def _correlate(x: np.ndarray, y: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
    """Spearman's rho of each line, or the partial one; NaN where it is not defined."""
    rho = _rhos(x, y)
    if given is None:
        return rho
    with_x, with_y = _rhos(x, given), _rhos(y, given)
    left = (1 - with_x**2) * (1 - with_y**2)
    partial = np.full(len(x), np.nan)
    np.divide(rho - with_x * with_y, np.sqrt(left), out=partial, where=left > _ALL)
    return partial


def _rhos(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rho of each line; NaN where all of a line's values are equal."""
    from scipy.stats import rankdata

    a, b = (rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (x, y))
    norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    rhos = np.full(len(x), np.nan)
    np.divide((a * b).sum(axis=1), norms, out=rhos, where=norms > 0)
    return rhos


def _interval(rho: float, drawn: np.ndarray, n: int, scope: str, level: float) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    num_undefined = len(drawn) - len(defined)
    if num_undefined > _MAX_UNDEFINED_FRACTION * len(drawn):
        reason = f"none: undefined on {num_undefined} of {len(drawn)} draws"
        return Interval(rho, None, None, n, reason, level)
    if np.ptp(defined) <= 1e-12:
        return Interval(rho, None, None, n, f"none: all draws are equal over {scope}", level)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    left_out = f", {num_undefined} undefined draws left out" if num_undefined else ""
    method = f"percentile bootstrap over {scope}, {len(drawn)} draws{left_out}"
    return Interval(rho, float(low), float(high), n, method, level)
