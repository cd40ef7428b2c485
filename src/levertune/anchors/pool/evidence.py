"""Evidence measured from a run's own predictions, and stated gains held against them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from levertune.anchors.pool.entry import PoolEntry, PoolEvidence
from levertune.anchors.pool.rules import Against, short
from levertune.data.cache_folder import sha256_of
from levertune.errors import DataError
from levertune.results.cells import PredictionRow, read_cell, read_predictions
from levertune.results.schema import RESULT_FILE, ArmSummary, RunResult, read_result
from levertune.scoring.intervals import Interval, crossed_difference
from levertune.scoring.metrics import METRICS, Metric
from levertune.scoring.scored import Scored
from levertune.scoring.verdict import RIVALS

ARM = "tell"
DIGITS = 2
"""Decimals of a gain in points."""

# The seed of the interval in `result.json`, so that both tell the same.
_BOOTSTRAP_SEED = 0
# Ends of a bootstrap interval may move with another version of numpy; a gain may not.
_INTERVAL_TOLERANCE = 0.25


def measure_evidence(run_dir: str | Path, *, against: Against = "sft") -> PoolEvidence:
    """What TELL gained in a finished run, computed anew from the predictions it left.

    Args:
        run_dir: The run folder.
        against: `sft` for the best SFT arm of the run, `base` for the base model as it is.

    Returns:
        The evidence, not yet marked as verified.

    Raises:
        DataError: If the run had no anchor, switched it while training or lacks an arm that is
            needed, was judged by a metric of the user's own, or gives no interval.
        RunError: If the run is not done or a file of it is damaged.
    """
    folder = Path(run_dir)
    result = read_result(folder)
    where = str(folder / RESULT_FILE)
    if result.anchor is None:
        raise DataError(f"{where}: the run had no anchor, so there is nothing to measure of one.")
    if any(check.switched_to for curve in result.curves for check in curve.checks):
        raise DataError(
            f"{where}: switched its anchor while training, so its gain is that of no one text. Run "
            "again with anchor.schedule=constant and anchor.text the anchor it ended with."
        )
    metric = METRICS.get(result.metrics.primary)
    if metric is None:  # a function of a stranger's run would have to be run
        raise DataError(
            f"{where}: was judged by {result.metrics.primary!r}, a metric of its own. Run again "
            f"with one of: {', '.join(METRICS)}."
        )
    rivals = RIVALS if against == "sft" else ("base",)
    arms = {arm.arm: arm for arm in result.arms}
    present = [name for name in rivals if name in arms]
    if ARM not in arms or not present:
        needed = f"{ARM!r} and {' or '.join(map(repr, rivals))}"
        raise DataError(
            f"{where}: has not the arms {needed} that a gain against {against!r} needs; found "
            f"{sorted(arms)}. Run again with them."
        )
    mine = _scores_by_seed(folder, result, arms[ARM], metric)
    differences = [
        _difference(where, mine, _scores_by_seed(folder, result, arms[name], metric))
        for name in present
    ]
    # The best rival is the one TELL is least ahead of.
    sign = metric.points_per_unit * (1.0 if metric.higher_is_better else -1.0)
    value, ends, rows = min(
        (sign * value, sorted((sign * low, sign * high)), n) for value, low, high, n in differences
    )
    return PoolEvidence(
        run=sha256_of(folder / RESULT_FILE),
        model=result.model.name,
        task=result.task.sha256,
        against=against,
        metric=metric.name,
        n=rows,
        seeds=len(mine[0]),
        gain=round(value, DIGITS),
        interval=(round(ends[0], DIGITS), round(ends[1], DIGITS)),
        verified=False,
    )


def verify_evidence(entry: PoolEntry, run_dir: str | Path) -> PoolEntry:
    """Mark the evidence of a run as verified, once its gain was computed anew.

    Args:
        entry: The entry.
        run_dir: The run folder; evidence of other runs stays as it is.

    Returns:
        The entry with that evidence verified.

    Raises:
        DataError: If no evidence is of that run, the run used another text, or what the entry
            states is not what the run gives.
        RunError: If the run is not done or a file of it is damaged.
    """
    folder = Path(run_dir)
    result = read_result(folder)
    run = sha256_of(folder / RESULT_FILE)
    where = f"anchor {entry.id!r}"
    if all(evidence.run != run for evidence in entry.evidence):
        raise DataError(
            f"{where}: no evidence of it is of the run {folder}; found "
            f"{[evidence.run[:12] for evidence in entry.evidence]}, and the run is {run[:12]}. "
            "Name the run it was measured in."
        )
    require_text(entry, result, str(folder))
    checked = []
    for evidence in entry.evidence:
        if evidence.run != run:
            checked.append(evidence)
            continue
        measured = measure_evidence(folder, against=evidence.against)
        _require_same(evidence, measured, where)
        checked.append(replace(evidence, verified=True))
    return replace(entry, evidence=tuple(checked))


def require_text(entry: PoolEntry, result: RunResult, run: str) -> None:
    """Refuse a run of another anchor than an entry's.

    Args:
        entry: The entry.
        result: The run's result.
        run: What to call the run.

    Raises:
        DataError: If the run used another text, or none.
    """
    found = result.anchor.text if result.anchor else None
    if found != entry.text:
        raise DataError(
            f"anchor {entry.id!r}: the run {run} used another text; found {short(found)}. Evidence "
            "belongs to the very text that was measured: choose another id for that text."
        )


def _require_same(stated: PoolEvidence, measured: PoolEvidence, where: str) -> None:
    for name in ("model", "task", "metric", "n", "seeds"):
        mine, found = getattr(stated, name), getattr(measured, name)
        if mine != found:
            raise _mismatch(where, name, mine, found)
    if abs(stated.gain - measured.gain) > 0.5 * 10**-DIGITS:
        raise _mismatch(where, "gain", stated.gain, measured.gain)
    for mine, found in zip(stated.interval, measured.interval, strict=True):
        if abs(mine - found) > _INTERVAL_TOLERANCE:
            raise _mismatch(where, "interval", list(stated.interval), list(measured.interval))


def _mismatch(where: str, name: str, stated: object, measured: object) -> DataError:
    return DataError(
        f"{where}: evidence {name} is not what its run gives; found {stated!r}, the run gives "
        f"{measured!r}. Correct it."
    )


def _scores_by_seed(
    run_dir: Path, result: RunResult, arm: ArmSummary, metric: Metric
) -> tuple[list[Scored], list[tuple[str, ...]]]:
    """One arm's scored rows and their ids for each seed, folds joined."""
    rows: dict[int, list[PredictionRow]] = {}
    for name in arm.cells:
        folder = run_dir / PurePosixPath(name)
        if not folder.resolve().is_relative_to(run_dir.resolve()):
            raise DataError(
                f"{run_dir / RESULT_FILE}: a cell must lie in the run folder; found {name!r}. The "
                "file was edited: run again."
            )
        rows.setdefault(read_cell(folder).seed, []).extend(read_predictions(folder))
    scored = [
        metric.score(
            [row.prediction for row in of_seed],
            [row.references for row in of_seed],
            labels=result.task.labels,
        )
        for of_seed in rows.values()
    ]
    return scored, [tuple(row.id for row in of_seed) for of_seed in rows.values()]


def _difference(
    where: str,
    mine: tuple[list[Scored], list[tuple[str, ...]]],
    other: tuple[list[Scored], list[tuple[str, ...]]],
) -> tuple[float, float, float, int]:
    """Value, low and high end and rows of one arm minus another."""
    try:
        if len({*mine[1], *other[1]}) != 1:
            raise ValueError("its arms were not tested on the same rows in one order")
        interval: Interval = crossed_difference(mine[0], other[0], seed=_BOOTSTRAP_SEED)
    except ValueError as error:
        raise DataError(f"{where}: the arms cannot be paired; {error}. Run again.") from None
    if interval.value is None or interval.low is None or interval.high is None:
        raise DataError(f"{where}: the gain has no interval; {interval.method}. Use more rows.")
    return interval.value, interval.low, interval.high, interval.n
