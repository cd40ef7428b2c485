"""Two finished runs, compared row by row on the test rows they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from levertune.errors import RunError
from levertune.results.cells import read_cell
from levertune.results.schema import ArmSummary, Comparison, RunResult, read_result
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.summary import ArmRows, compare_arms, gather_arm

_PROBES = ("general_heldout", "retention")


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One run's arm against another run's.

    Args:
        seeds: The seeds compared, those that both runs have.
        differences: The first run minus the second, on each metric and each NLL whose rows are the
            same in both; the primary metric first.
        notes: What could not be compared, and why.
    """

    seeds: tuple[int, ...]
    differences: tuple[Comparison, ...]
    notes: tuple[str, ...]


def compare_runs(
    run_dir: Path | str, against: Path | str, *, arm: str = "tell", against_arm: str | None = None
) -> RunComparison:
    """Compare an arm of one run with an arm of another, paired by row and by seed.

    Args:
        run_dir: A run folder.
        against: The run folder it is compared with; both may be one folder.
        arm: The arm of the first run.
        against_arm: The arm of the other run; the same one if None.

    Returns:
        The differences.

    Raises:
        RunError: If a run is not done, lacks the arm, or the two share no seed or were tested on
            different rows, or on rows with other answers.
    """
    folders = (Path(run_dir), Path(against))
    results = [read_result(folder) for folder in folders]
    names = (arm, against_arm or arm)
    summaries = [
        _find_arm(folder, result, name)
        for folder, result, name in zip(folders, results, names, strict=True)
    ]
    seeds = _shared_seeds(summaries, folders)
    metrics = _shared_metrics(results, folders)
    labels = results[0].task.labels
    first, second = (
        gather_arm(folder, _plans(folder, summary, seeds), metrics=metrics, labels=labels)
        for folder, summary in zip(folders, summaries, strict=True)
    )
    _require_same_rows(first, second, folders)
    notes = []
    if not _say_the_same(first, second, "task"):
        notes.append(
            "test rows with the same ids and answers have other prompts in the two runs: this "
            "compares the prompts too"
        )
    for name in _PROBES:
        if first.ids.get(name) != second.ids.get(name) or not _say_the_same(first, second, name):
            first.nll[name].clear()
            notes.append(f"nll.{name} is left out: the runs measured it on different rows")
    return RunComparison(seeds, tuple(compare_arms(first, second)), tuple(notes))


def _find_arm(folder: Path, result: RunResult, name: str) -> ArmSummary:
    for summary in result.arms:
        if summary.arm == name:
            return summary
    raise RunError(
        f"{folder}: has no finished arm {name!r}; found {[a.arm for a in result.arms]}. "
        "Name one of these."
    )


def _shared_seeds(summaries: Sequence[ArmSummary], folders: Sequence[Path]) -> tuple[int, ...]:
    """Seeds of both; an arm that is not trained has one cell, which stands for every seed."""
    trained = [summary for summary in summaries if ARMS[summary.arm].is_trained]
    if not trained:
        return summaries[0].seeds
    first, last = trained[0], trained[-1]
    seeds = tuple(seed for seed in first.seeds if seed in last.seeds)
    if not seeds:
        raise RunError(
            f"{folders[0]}: shares no seed with {folders[1]}; found {list(first.seeds)} and "
            f"{list(last.seeds)}. Run one of them with the other's seeds."
        )
    return seeds


def _shared_metrics(results: Sequence[RunResult], folders: Sequence[Path]) -> list[str]:
    others = {metric.name for metric in results[1].metrics.all}
    names = [metric.name for metric in results[0].metrics.all if metric.name in others]
    if not names:
        raise RunError(
            f"{folders[0]}: shares no metric with {folders[1]}; found "
            f"{[metric.name for metric in results[0].metrics.all]} and {sorted(others)}."
        )
    return names


def _plans(folder: Path, summary: ArmSummary, seeds: Sequence[int]) -> list[CellPlan]:
    """Its cells seed by seed, in the order of `seeds`, whatever the order they were made in."""
    cells = [read_cell(folder / cell) for cell in summary.cells]
    if ARMS[summary.arm].is_trained:
        cells = [cell for seed in seeds for cell in cells if cell.seed == seed]
    return [CellPlan(ARMS[cell.arm], cell.seed, cell.fold) for cell in cells]


def _say_the_same(first: ArmRows, second: ArmRows, name: str) -> bool:
    """Whether rows with the same ids are the same rows, as far as the cells on file tell."""
    pairs = zip(first.hashes.get(name, ()), second.hashes.get(name, ()), strict=False)
    return all(mine == other for mine, other in pairs if mine is not None and other is not None)


def _require_same_rows(first: ArmRows, second: ArmRows, folders: Sequence[Path]) -> None:
    if first.ids["task"] == second.ids["task"]:
        other = [a for a, b in zip(first.answers, second.answers, strict=True) if a != b]
        if not other:
            return
        raise RunError(
            f"{folders[0]}: was tested on rows with other answers than {folders[1]}; found "
            f"{len(other)} of {len(first.answers)} rows with the same id and another answer, the "
            f"first {other[0][0]!r}. Runs are compared on the same test rows only."
        )
    mine, others = set(first.ids["task"]), set(second.ids["task"])
    raise RunError(
        f"{folders[0]}: was not tested on the same rows in the same order as {folders[1]}; found "
        f"{len(mine & others)} rows in both, {len(mine - others)} and {len(others - mine)} in one "
        "alone. Runs are compared on the same test rows only."
    )
