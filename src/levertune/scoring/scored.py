"""What a metric says about a set of rows: one number a row, and any re-weighting of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

Combine = Callable[[np.ndarray], np.ndarray]
"""From summed statistics (draws x statistics) to one metric value a draw, NaN where undefined."""

# Numbers held at once while aggregating many draws: 4 million floats are 32 MB.
_BLOCK_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class Scored:
    """One metric over the rows of one arm.

    Every metric here is a function of row statistics summed over rows (a mean, label counts,
    n-gram counts), so its value on any resample of the rows needs no second look at the texts.

    Args:
        name: The metric's name.
        per_row: One number a row, NaN where a row has no score of its own.
        statistics: What is summed over rows: one line a row.
        combine: From summed statistics to the metric.
        unparseable: True for each row whose prediction could not be read.
        bounds: Lowest and highest value of the metric, None if it has none.
        is_proportion: Whether the metric is the share of rows that score 1, each row 0 or 1.
    """

    name: str
    per_row: np.ndarray = field(repr=False)
    statistics: np.ndarray = field(repr=False)
    combine: Combine = field(repr=False)
    unparseable: np.ndarray = field(repr=False)
    bounds: tuple[float, float] | None = None
    is_proportion: bool = False

    @property
    def num_rows(self) -> int:
        """Rows scored."""
        return len(self.per_row)

    @property
    def num_unparseable(self) -> int:
        """Rows whose prediction could not be read. They count as wrong all the same."""
        return int(self.unparseable.sum())

    def aggregate(self, rows: np.ndarray | Sequence[int] | None = None) -> float | None:
        """The metric over some rows.

        Args:
            rows: Row indices, which may repeat, or a boolean mask; all rows if None.

        Returns:
            The metric, or None where it is undefined (no rows, for one).
        """
        if rows is None:
            sums = self.statistics.sum(axis=0)
        else:
            chosen = np.asarray(rows)
            if chosen.dtype == bool:
                chosen = np.flatnonzero(chosen)
            sums = self.statistics[chosen.astype(np.intp)].sum(axis=0)
        if self.num_rows == 0:
            return None
        value = float(self.combine(sums[None, :])[0])
        return value if np.isfinite(value) else None

    def aggregate_many(self, index_matrix: np.ndarray) -> np.ndarray:
        """The metric on many draws of rows at once.

        Args:
            index_matrix: Row indices, one line a draw.

        Returns:
            One value a draw, NaN where the metric is undefined on that draw.
        """
        num_draws = len(index_matrix)
        values = np.empty(num_draws)
        block = max(1, _BLOCK_NUMBERS // max(1, self.num_rows))
        for start in range(0, num_draws, block):
            indices = index_matrix[start : start + block]
            weights = row_counts(indices, self.num_rows)
            values[start : start + block] = self.aggregate_weighted(weights)
        return values

    def aggregate_weighted(self, weights: np.ndarray) -> np.ndarray:
        """The metric where row r counts `weights[d, r]` times in draw d.

        Args:
            weights: Draws x rows.

        Returns:
            One value a draw, NaN where the metric is undefined on that draw.
        """
        return self.combine(weights @ self.statistics)


def row_counts(index_matrix: np.ndarray, num_rows: int) -> np.ndarray:
    """How often each draw (a line of row indices) holds each row, as floats."""
    num_draws = len(index_matrix)
    cells = index_matrix + np.arange(num_draws)[:, None] * num_rows
    counts = np.bincount(cells.ravel(), minlength=num_draws * num_rows)
    return counts.reshape(num_draws, num_rows).astype(np.float64)


def combine_ratio(sums: np.ndarray) -> np.ndarray:
    """Sum of numerators by sum of denominators, NaN where the latter is zero."""
    numerators, denominators = sums[:, 0], sums[:, 1]
    values = np.full(len(sums), np.nan)
    np.divide(numerators, denominators, out=values, where=denominators > 0)
    return values


def scored_mean(
    name: str,
    values: Sequence[float] | np.ndarray,
    *,
    unparseable: Sequence[bool] | np.ndarray | None = None,
    bounds: tuple[float, float] | None = None,
    is_proportion: bool = False,
) -> Scored:
    """A metric that is the mean over rows; rows with NaN are left out of the mean.

    Args:
        name: The metric's name.
        values: One number a row, NaN where a row has no score.
        unparseable: Rows whose prediction could not be read; none if not given.
        bounds: Lowest and highest value a row can have, if there are such.
        is_proportion: Whether each row is 0 or 1.

    Returns:
        The scored rows.
    """
    per_row = np.asarray(values, dtype=np.float64)
    has_score = ~np.isnan(per_row)
    return Scored(
        name=name,
        per_row=per_row,
        statistics=np.stack([np.where(has_score, per_row, 0.0), has_score], axis=1),
        combine=combine_ratio,
        unparseable=as_mask(unparseable, len(per_row)),
        bounds=bounds,
        is_proportion=is_proportion,
    )


def scored_ratio(
    name: str, numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray
) -> Scored:
    """A metric that is one sum over another, as the mean NLL per token of rows of any length.

    Args:
        name: The metric's name.
        numerators: One number a row (a row's summed NLL).
        denominators: One number a row, none negative (a row's tokens).

    Returns:
        The scored rows; a row's own score is its ratio, NaN where its denominator is zero.
    """
    statistics = np.stack(
        [np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)],
        axis=1,
    )
    return Scored(
        name=name,
        per_row=combine_ratio(statistics),
        statistics=statistics,
        combine=combine_ratio,
        unparseable=as_mask(None, len(statistics)),
    )


def as_mask(flags: Sequence[bool] | np.ndarray | None, num_rows: int) -> np.ndarray:
    """The flags as a boolean array, all False if there are none."""
    return np.zeros(num_rows, dtype=bool) if flags is None else np.asarray(flags, dtype=bool)
