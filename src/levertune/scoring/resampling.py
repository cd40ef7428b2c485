"""Bootstrap draws of rows and seeds: the metric, or a difference of two arms, on each draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from levertune.scoring.scored import Scored, row_counts

# Row indices held at once: 4 million are 32 MB.
_BLOCK_NUMBERS = 4_000_000


def row_weights(num_rows: int, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each row occurs in each bootstrap draw, a block of draws at a time."""
    block = max(1, _BLOCK_NUMBERS // num_rows)
    for start in range(0, draws, block):
        shape = (min(block, draws - start), num_rows)
        yield row_counts(rng.integers(0, num_rows, size=shape), num_rows)


def metric_draws(
    arm_by_seed: Sequence[Scored],
    other_by_seed: Sequence[Scored],
    *,
    rng: np.random.Generator,
    draws: int,
) -> np.ndarray:
    """The mean over seeds of arm minus other, on bootstrap draws of rows and of seeds.

    Rows are drawn once for all seeds and both arms (the pigeonhole bootstrap of Owen, 2007). Of S
    seeds, S - 1 are drawn with replacement: drawing S would make the variance over seeds too small
    by (S - 1) / S (McCarthy and Snowden, 1985; Rao and Wu, 1988), which is a third of it at three
    seeds.

    Args:
        arm_by_seed: One arm, scored on the same rows for each seed.
        other_by_seed: The arm to take away, in the same order of seeds; one element stands for all
            seeds, and none for nothing to take away.
        rng: Source of the draws.
        draws: Number of draws.

    Returns:
        One value a draw, NaN where the metric is undefined on that draw.
    """
    num_rows, num_seeds = arm_by_seed[0].num_rows, len(arm_by_seed)
    values = []
    for weights in row_weights(num_rows, draws, rng):
        by_seed = np.stack([arm.aggregate_weighted(weights) for arm in arm_by_seed], axis=1)
        if other_by_seed:
            others = [other.aggregate_weighted(weights) for other in other_by_seed]
            by_seed = by_seed - np.stack(others, axis=1)
        if num_seeds == 1:
            values.append(by_seed[:, 0])
            continue
        shares = np.full(num_seeds, 1.0 / num_seeds)
        seed_counts = rng.multinomial(num_seeds - 1, shares, size=len(weights))
        drawn = np.where(seed_counts > 0, by_seed * seed_counts, 0.0)
        values.append(drawn.sum(axis=1) / (num_seeds - 1))
    return np.concatenate(values)


def studentised_draws(values: np.ndarray, *, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Bootstrap draws of the mean's t statistic (Efron and Tibshirani, 1993, section 12.5).

    Args:
        values: At least two numbers, not all equal.
        rng: Source of the draws.
        draws: Number of draws.

    Returns:
        One t statistic a draw, infinite where a draw has no spread.
    """
    num_rows = len(values)
    centred = values - values.mean()
    statistics = np.stack([centred, centred**2], axis=1)
    t_values = []
    for weights in row_weights(num_rows, draws, rng):
        means, squares = (weights @ statistics).T / num_rows
        # Rounding leaves a draw of equal numbers with a tiny spread of either sign.
        variances = squares - means**2
        variances[variances <= 1e-12 * squares] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            t_values.append(means / np.sqrt(variances / (num_rows - 1)))
    return np.concatenate(t_values)
