"""How often the 95 % intervals of levertune.scoring hold the truth, on simulated rows and seeds.

Run: python benchmarks/interval_coverage.py   (about a minute on one core; prints a Markdown table)
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from levertune.scoring.intervals import (
    Interval,
    bootstrap_difference,
    bootstrap_metric,
    crossed_bootstrap,
    mean_interval,
    wilson,
)
from levertune.scoring.metrics import METRICS
from levertune.scoring.scored import Scored, scored_mean

REPEATS = 400
DRAWS = 500


def coverage(make_interval: Callable[[int], Interval], truth: float) -> float:
    """Share of simulated intervals that hold the truth."""
    hits = 0
    for number in range(REPEATS):
        found = make_interval(number)
        hits += found.low is not None and found.low <= truth <= (found.high or 0.0)
    return hits / REPEATS


def simulate_labels(rng: np.random.Generator, num_labels: int) -> Callable[[int], list[Scored]]:
    """A drawer of two arms' macro F1 on the same rows, better and worse, as hard for both."""
    skills = [np.clip(rng.normal(mean, 0.2, num_labels), 0.02, 0.98) for mean in (0.7, 0.5)]

    def draw(num_rows: int) -> list[Scored]:
        truth = rng.integers(0, num_labels, num_rows)
        luck = rng.random(num_rows)
        references = [[str(code)] for code in truth]
        arms = []
        for skill in skills:
            is_right = 0.5 * luck + 0.5 * rng.random(num_rows) < skill[truth]
            answers = np.where(is_right, truth, rng.integers(0, num_labels, num_rows))
            arms.append(METRICS["macro_f1"].score([str(code) for code in answers], references))
        return arms

    return draw


def report_labels(num_labels: int, num_rows: int) -> None:
    """Print the rows of the table on macro F1."""
    rng = np.random.default_rng(1)
    draw = simulate_labels(rng, num_labels)
    first, second = draw(200_000)
    truth, other = first.aggregate() or 0.0, second.aggregate() or 0.0

    def plain(seed: int) -> Interval:
        scored = draw(num_rows)[0]
        index = np.random.default_rng(seed).integers(0, num_rows, size=(DRAWS, num_rows))
        low, high = np.quantile(scored.aggregate_many(index), [0.025, 0.975])
        return Interval(None, float(low), float(high), num_rows, "percentile")

    where = f"{num_labels} labels, {num_rows} rows"
    show(
        "macro F1", where, lambda s: bootstrap_metric(draw(num_rows)[0], seed=s, draws=DRAWS), truth
    )
    show("macro F1, percentiles not centred", where, plain, truth)
    show(
        "difference of macro F1",
        where,
        lambda s: bootstrap_difference(*draw(num_rows), seed=s, draws=DRAWS),
        truth - other,
    )


def report_seeds(num_seeds: int, luck: float) -> None:
    """Print one row of the table on the crossed bootstrap."""
    rng = np.random.default_rng(3)

    def interval(seed: int) -> Interval:
        rows, shift = rng.normal(0, 0.3, 128), rng.normal(0, luck, (num_seeds, 1))
        scores = rows + shift + rng.normal(0, 0.3, (num_seeds, 128))
        return crossed_bootstrap([scored_mean("m", one) for one in scores], seed=seed, draws=DRAWS)

    show(
        "mean, crossed bootstrap", f"128 rows, {num_seeds} seeds, SD over seeds {luck}", interval, 0
    )


def report_few_rows(num_differing: int) -> None:
    """Print one row of the table on two arms of equal worth that agree on most rows."""
    rng = np.random.default_rng(6)

    def interval(seed: int) -> Interval:
        changed = (rng.random(128) < num_differing / 128) * rng.choice((-0.5, 0.5), 128)
        arms = [scored_mean("m", 0.5 + one, bounds=(0.0, 1.0)) for one in (changed, 0 * changed)]
        return bootstrap_difference(*arms, seed=seed, draws=DRAWS)

    where = f"128 rows, arms of equal worth that differ on about {num_differing}"
    show("difference of a graded metric", where, interval, 0)


def show(figure: str, where: str, make_interval: Callable[[int], Interval], truth: float) -> None:
    """Print one row of the table."""
    print(f"| {figure} | {where} | {coverage(make_interval, truth):.0%} |", flush=True)


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(
        description="How often 95 % intervals hold the truth: a Markdown table, in about a minute."
    ).parse_args()
    print("| figure | simulated | intervals that hold the truth |\n| --- | --- | --- |")
    for n, share in ((10, 0.1), (128, 0.5), (128, 0.98)):
        rng = np.random.default_rng(5)
        where = f"{n} rows, {share:.0%} right"

        def proportion(_: int, n: int = n, p: float = share, r: Any = rng) -> Interval:
            return wilson(r.binomial(n, p), n)

        show("proportion", where, proportion, share)
    for n in (5, 20, 50, 128):
        rng = np.random.default_rng(4)

        def mean(seed: int, n: int = n, r: Any = rng) -> Interval:
            return mean_interval(r.lognormal(0, 1, n), seed=seed, draws=DRAWS)

        show("mean of a skewed figure", f"{n} rows, log-normal", mean, math.exp(0.5))
    for num_labels, num_rows in ((16, 128), (77, 128), (77, 640)):
        report_labels(num_labels, num_rows)
    for num_differing in (2, 4, 8, 16):
        report_few_rows(num_differing)
    for num_seeds in (2, 3, 5, 8):
        for luck in (0.03, 0.1):
            report_seeds(num_seeds, luck)


if __name__ == "__main__":
    main()
