"""Evidence measured from a run's own predictions, and stated gains held against them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from levertune.anchors.auto import KEPT
from levertune.anchors.pool.entry import PoolEntry, PoolEvidence
from levertune.anchors.pool.rules import Against, short
from levertune.data.cache_folder import sha256_of
from levertune.errors import DataError
from levertune.results.cells import PredictionRow, read_cell, read_predictions
from levertune.results.files import read_json
from levertune.results.inputs import AnchorInfo
from levertune.results.schema import RESULT_FILE, ArmSummary, RunResult, read_result
from levertune.scoring.intervals import Interval, crossed_difference
from levertune.scoring.metrics import METRICS, Metric
from levertune.scoring.scored import Scored
from levertune.scoring.verdict import RIVALS

ARM = "tell"
MANIFEST_FILE = "manifest.json"
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
        DataError: If the run had no anchor, was not trained, tested and served with that very text
            alone and as the pool gives it, lacks an arm that is needed, was judged by a metric of
            the user's own, or gives no interval.
        RunError: If the run is not done or a file of it is damaged.
    """
    folder = Path(run_dir)
    result = read_result(folder)
    where = str(folder / RESULT_FILE)
    if result.anchor is None:
        raise DataError(f"{where}: the run had no anchor, so there is nothing to measure of one.")
    _require_served_as_it_is(where, result, result.anchor)
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
    _require_one_anchor(folder, result.anchor, arms[ARM])
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


def _require_served_as_it_is(where: str, result: RunResult, anchor: AnchorInfo) -> None:
    """Refuse a gain of another text than the anchor's alone, or of the text in another place."""
    if any(check.switched_to for curve in result.curves for check in curve.checks):
        raise DataError(
            f"{where}: switched its anchor while training, so its gain is that of no one text. Run "
            "again with anchor.schedule=constant and anchor.text the anchor it ended with."
        )
    counts = (anchor.served_tokens, anchor.tokens)
    if None not in counts and counts[0] != counts[1]:
        raise DataError(
            f"{where}: served another anchor than it began with; found {anchor.served_tokens} of "
            f"its {anchor.tokens} tokens. Run again with anchor.schedule=constant."
        )
    tested = (result.recipe.get("evaluation") or {}).get("anchor", "trained")
    if tested != "trained":
        raise DataError(
            f"{where}: was tested with another anchor than it was trained with; found "
            f"evaluation.anchor={short(tested)}. Run again without that setting."
        )
    if anchor.dropout:
        raise DataError(
            f"{where}: was trained without its anchor on a share of the rows; found "
            f"anchor.dropout={anchor.dropout:g}. Run again with anchor.dropout=0."
        )
    if KEPT in anchor.reason:
        raise DataError(
            f"{where}: its rows had an instruction of their own beside the anchor; found "
            f"{short(anchor.reason)}. Run again with anchor.shared=replace."
        )
    if anchor.placement != "prefix" or anchor.lead_in is not None:
        raise DataError(
            f"{where}: a text of the pool stands in front of the row, without a lead-in; found "
            f"anchor.placement={anchor.placement} and anchor.lead_in={short(anchor.lead_in)}. Run "
            "again with anchor.placement=prefix anchor.lead_in=null."
        )


def _require_one_anchor(run_dir: Path, anchor: AnchorInfo, arm: ArmSummary) -> None:
    """Refuse a run in which not every cell was served with the anchor the result names."""
    for name in arm.cells:
        path = _cell_folder(run_dir, name) / MANIFEST_FILE
        found = _served_id(read_json(path).get("anchor"))
        if found != anchor.id:
            raise DataError(
                f"{path}: was served with another anchor than the result names; found "
                f"{short(found)}, the result has {anchor.id!r}. A gain of several texts is that of "
                "none: run again with anchor.text the one that is meant."
            )


def _served_id(facts: Any) -> object:
    """The anchor a cell ended with, of what its manifest says of it; None without one."""
    match facts:
        case {"stages": [*_, [name, _]]} | {"id": name}:
            return name
    return None


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
        folder = _cell_folder(run_dir, name)
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


def _cell_folder(run_dir: Path, name: str) -> Path:
    folder = run_dir / PurePosixPath(name)
    if not folder.resolve().is_relative_to(run_dir.resolve()):
        raise DataError(
            f"{run_dir / RESULT_FILE}: a cell must lie in the run folder; found {name!r}. The "
            "file was edited: run again."
        )
    return folder


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
