"""Finished cells to one result: arms over seeds and folds, compared row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from levertune.results.cells import (
    Cell,
    PredictionRow,
    Seconds,
    TokenCounts,
    read_cell,
    read_predictions,
)
from levertune.results.files import read_jsonl
from levertune.results.schema import ArmSummary, Comparison, Interval, Unparseable, Verdict
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.evaluate_cell import LIKELIHOODS_FILE
from levertune.runs.inputs import Inputs
from levertune.scoring.intervals import Interval as ScoreInterval
from levertune.scoring.intervals import crossed_bootstrap, crossed_difference
from levertune.scoring.metrics import find_metric
from levertune.scoring.scored import Scored, scored_ratio
from levertune.scoring.significance import mcnemar_exact
from levertune.scoring.verdict import judge

BOOTSTRAP_SEED = 0
_PROBES = ("task", "general_heldout", "retention")


@dataclass(frozen=True, slots=True)
class ArmRows:
    """All rows of one arm, folds joined, by seed.

    Args:
        arm: Name of the arm.
        plans: Its finished cells.
        cells: What they say.
        scores: By metric, one `Scored` a seed, rows in one order for all arms.
        nll: By set of rows, one ratio (NLL per token) a seed; an empty list if not measured.
        kl: The same for the divergence from the base model.
        ids: By set of rows, source and id of each row in the order of `scores` and `nll`.
        hashes: By set of rows, hash of what each row says; None in cells written before there were.
        answers: Id and right answers of each test row.
        num_predictions: Predictions in all.
    """

    arm: str
    plans: tuple[CellPlan, ...]
    cells: tuple[Cell, ...]
    scores: dict[str, list[Scored]]
    nll: dict[str, list[Scored]]
    kl: dict[str, list[Scored]]
    ids: dict[str, tuple[tuple[str, str], ...]]
    hashes: dict[str, tuple[str | None, ...]]
    answers: tuple[tuple[str, tuple[str, ...]], ...]
    num_predictions: int

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seeds."""
        return tuple(dict.fromkeys(plan.seed for plan in self.plans))


def gather_arm(
    run_dir: Path,
    plans: Sequence[CellPlan],
    *,
    metrics: Sequence[str],
    labels: Sequence[str] | None = None,
) -> ArmRows:
    """Read the finished cells of one arm.

    Args:
        run_dir: The run folder.
        plans: The cells, all of one arm, with every fold of each seed.
        metrics: Names of the metrics.
        labels: The labels of a labelling task.
    """
    seeds = dict.fromkeys(plan.seed for plan in plans)
    scores: dict[str, list[Scored]] = {name: [] for name in metrics}
    nll: dict[str, list[Scored]] = {name: [] for name in _PROBES}
    kl: dict[str, list[Scored]] = {name: [] for name in _PROBES}
    ids: dict[str, tuple[tuple[str, str], ...]] = {}
    hashes: dict[str, dict[tuple[str, str, int], str | None]] = {}
    answers: list[tuple[str, tuple[str, ...]]] = []
    total = 0
    for seed in seeds:
        mine = [plan for plan in plans if plan.seed == seed]
        rows: list[PredictionRow] = []
        likelihoods: dict[str, dict[tuple[str, str, int], list[float]]] = {n: {} for n in _PROBES}
        for number, plan in enumerate(mine):
            rows += read_predictions(run_dir / plan.folder)
            for line in read_jsonl(run_dir / plan.folder / LIKELIHOODS_FILE):
                # Probe rows come back in each fold: their sums are added, so that a row counts
                # once, with its mean over folds.
                key = (line["source"], line["id"], number if line["rows"] == "task" else 0)
                hashes.setdefault(line["rows"], {})[key] = line.get("sha256")
                sums = likelihoods[line["rows"]].setdefault(key, [0.0] * 4)
                for i, name in enumerate(("nll", "num_tokens", "kl_to_base", "num_kl_tokens")):
                    sums[i] += line[name] or 0.0
        total += len(rows)
        predictions = [row.prediction for row in rows]
        references = [row.references for row in rows]
        answers = [(row.id, row.references) for row in rows]
        for name in metrics:
            scores[name].append(
                find_metric(name).score(predictions, references, labels=labels or None)
            )
        for name, by_row in likelihoods.items():
            if not by_row:
                continue
            ids[name] = tuple((source, row_id) for source, row_id, _ in by_row)
            values = np.array(list(by_row.values()))
            nll[name].append(scored_ratio(f"nll.{name}", values[:, 0], values[:, 1]))
            if values[:, 3].any():
                kl[name].append(scored_ratio(f"kl.{name}", values[:, 2], values[:, 3]))
    return ArmRows(
        arm=plans[0].arm.name,
        plans=tuple(plans),
        cells=tuple(read_cell(run_dir / plan.folder) for plan in plans),
        scores=scores,
        nll=nll,
        kl=kl,
        ids=ids,
        hashes={name: tuple(by_row.values()) for name, by_row in hashes.items()},
        answers=tuple(answers),
        num_predictions=total,
    )


def summarize_arm(rows: ArmRows) -> ArmSummary:
    """One arm's figures, each with its interval."""
    cells = rows.cells
    is_trained = ARMS[rows.arm].is_trained
    return ArmSummary(
        arm=rows.arm,
        title=ARMS[rows.arm].title,
        cells=tuple(plan.folder for plan in rows.plans),
        seeds=rows.seeds,
        scores={name: _interval(by_seed) for name, by_seed in rows.scores.items()},
        nll={name: _interval(by_seed) if by_seed else None for name, by_seed in rows.nll.items()},
        kl_to_base={
            name: _interval(rows.kl[name]) if rows.kl[name] else None
            for name in ("general_heldout", "retention")
        },
        unparseable=Unparseable(sum(cell.num_unparseable for cell in cells), rows.num_predictions),
        steps=fmean(cell.steps_taken for cell in cells),
        tokens=_mean_tokens(cells) if is_trained else None,
        seconds=Seconds(
            train=_mean([cell.seconds.train for cell in cells]) if is_trained else None,
            evaluate=_mean([cell.seconds.evaluate for cell in cells]),
            total=_mean([cell.seconds.total for cell in cells]),
        ),
        peak_memory_bytes=max((c.peak_memory_bytes or 0 for c in cells), default=0) or None,
    )


def compare_arms(first: ArmRows, second: ArmRows) -> list[Comparison]:
    """One arm minus another, on every metric and every NLL, paired row by row.

    The one seed of an arm that is not trained is compared with every seed of the other.

    Args:
        first: An arm.
        second: Another, tested on the same rows in the same order; a set of rows whose likelihood
            one of them lacks is left out.
    """
    comparisons = []
    num_seeds = max(len(first.seeds), len(second.seeds))
    for name in first.scores:
        a, b = _for_seeds(first.scores[name], num_seeds), second.scores[name]
        difference = crossed_difference(a, b, seed=BOOTSTRAP_SEED)
        sign = 1.0 if find_metric(name).higher_is_better else -1.0
        better, worse, tied = _count_rows(a, b, sign)
        p = None
        if num_seeds == 1 and a[0].is_proportion and better is not None and worse is not None:
            p = mcnemar_exact(better, worse)
        comparisons.append(
            Comparison(
                first.arm,
                second.arm,
                name,
                to_interval(difference, num_seeds),
                p,
                better,
                worse,
                tied,
            )  # fmt: skip
        )
    for name in _PROBES:
        if first.nll[name] and second.nll[name]:
            a, b = _for_seeds(first.nll[name], num_seeds), second.nll[name]
            difference = crossed_difference(a, b, seed=BOOTSTRAP_SEED)
            comparisons.append(
                Comparison(first.arm, second.arm, f"nll.{name}", to_interval(difference, num_seeds))
            )
    return comparisons


def judge_run(arms: dict[str, ArmRows], inputs: Inputs) -> Verdict | None:
    """Whether `tell` paid; None if it was not run or nothing stands beside it."""
    tell = arms.get("tell")
    if tell is None or len(arms) < 2:
        return None
    primary = inputs.metrics.primary
    others = {name: rows for name, rows in arms.items() if name != "tell"}
    verdict = judge(
        {
            name: crossed_difference(
                tell.scores[primary], rows.scores[primary], seed=BOOTSTRAP_SEED
            )
            for name, rows in others.items()
        },
        score=crossed_bootstrap(tell.scores[primary], seed=BOOTSTRAP_SEED),
        metric=find_metric(primary),
        num_seeds=len(tell.seeds),
        retention={
            name: crossed_difference(
                tell.nll["retention"], rows.nll["retention"], seed=BOOTSTRAP_SEED
            )
            for name, rows in others.items()
            if tell.nll["retention"] and rows.nll["retention"]
        },
    )
    return Verdict(
        sentence=verdict.sentence,
        retention_sentence=verdict.retention,
        paid=verdict.paid,
        against=verdict.against or None,
        covers=verdict.covers,
        does_not_cover=verdict.does_not_cover,
    )


def best_arm(arms: dict[str, ArmRows], inputs: Inputs) -> str | None:
    """The trained arm with the best primary score; of equals the one with the lower task NLL."""
    sign = 1.0 if find_metric(inputs.metrics.primary).higher_is_better else -1.0

    def rank(name: str) -> tuple[float, float]:
        rows = arms[name]
        values = [s.aggregate() for s in rows.scores[inputs.metrics.primary]]
        known = [value for value in values if value is not None]
        losses = [value for s in rows.nll["task"] if (value := s.aggregate()) is not None]
        return (
            sign * fmean(known) if known else float("-inf"),
            -fmean(losses) if losses else float("-inf"),
        )

    trained = [name for name in arms if ARMS[name].is_trained]
    return max(trained, key=rank, default=None)


def to_interval(interval: ScoreInterval, num_seeds: int) -> Interval:
    """An interval as result files hold it."""
    return Interval(
        interval.value, interval.low, interval.high, interval.n, num_seeds, interval.method
    )


def _interval(by_seed: list[Scored]) -> Interval:
    return to_interval(crossed_bootstrap(by_seed, seed=BOOTSTRAP_SEED), len(by_seed))


def _for_seeds(by_seed: list[Scored], num_seeds: int) -> list[Scored]:
    return by_seed * num_seeds if len(by_seed) == 1 else by_seed


def _count_rows(
    first: list[Scored], second: list[Scored], sign: float
) -> tuple[int | None, int | None, int | None]:
    """Rows on which the first arm did better, worse and the same, over all seeds."""
    better = worse = tied = 0
    for i, mine in enumerate(first):
        other = second[min(i, len(second) - 1)]
        difference = sign * (mine.per_row - other.per_row)
        known = difference[~np.isnan(difference)]
        if not len(known):
            return None, None, None
        better += int((known > 0).sum())
        worse += int((known < 0).sum())
        tied += int((known == 0).sum())
    return better, worse, tied


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _mean_tokens(cells: Sequence[Cell]) -> TokenCounts:
    names = ("task", "general", "supervised_task", "supervised_general")
    return TokenCounts(
        **{n: round(fmean(getattr(cell.tokens, n) for cell in cells)) for n in names}
    )
