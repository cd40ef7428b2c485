"""`result.json`: the self-describing summary of one run, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.results.anchor_checks import AnchorCheck
from levertune.results.cells import CurvePoint, Seconds, TokenCounts
from levertune.results.dispersion import Dispersion
from levertune.results.files import read_json, write_json_atomically
from levertune.results.inputs import (
    AnchorInfo,
    AutoSetting,
    GeneralInfo,
    LeakInfo,
    MetricsInfo,
    ModelInfo,
    TaskInfo,
)
from levertune.results.mapping import from_mapping, to_mapping
from levertune.results.privacy import without_folders
from levertune.results.provenance import Provenance
from levertune.results.selection import SelectionInfo

FORMAT_VERSION = 1
RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its uncertainty.

    Args:
        value: The estimate; None if it could not be measured.
        low: Lower end of the 95 % interval; None if there is none.
        high: Upper end; None if there is none.
        n: Rows it rests on.
        seeds: Seeds it rests on.
        method: How the interval was made, and what it leaves out.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    seeds: int
    method: str


@dataclass(frozen=True, slots=True)
class Unparseable:
    """Predictions that could not be read as an answer.

    Args:
        count: How many.
        n: Of how many predictions.
    """

    count: int
    n: int


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm over its seeds and folds.

    Args:
        arm: Name of the arm.
        title: What it does, in a few words.
        cells: Folders of its cells, relative to the run folder.
        seeds: Its seeds.
        scores: By metric name.
        nll: NLL per token, by `task`, `general_heldout` and `retention`; a set that was not
            measured is None or left out.
        kl_to_base: Token KL in nats, by `general_heldout` and `retention`; the same.
        unparseable: Predictions that could not be read; None if nothing was generated.
        steps: Optimizer steps, mean over cells.
        tokens: Tokens seen in training, mean over cells.
        seconds: Wall time, mean over cells.
        peak_memory_bytes: Highest over cells; None if not measured.
    """

    arm: str
    title: str
    cells: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: dict[str, Interval | None]
    nll: dict[str, Interval | None]
    kl_to_base: dict[str, Interval | None]
    unparseable: Unparseable | None
    steps: float | None
    tokens: TokenCounts | None
    seconds: Seconds
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm against another, row by row.

    Args:
        arm: The arm judged.
        against: The arm it is judged against.
        metric: Metric name, or `nll.task`, `nll.general_heldout`, `nll.retention`.
        difference: `arm` minus `against`.
        p: Two-sided p-value; None where the design has too few seeds or rows for one.
        rows_better: Rows on which `arm` did better, counted in each seed; None for a metric without
            row scores.
        rows_worse: Rows on which it did worse.
        rows_tied: Rows on which both did the same.
    """

    arm: str
    against: str
    metric: str
    difference: Interval
    p: float | None = None
    rows_better: int | None = None
    rows_worse: int | None = None
    rows_tied: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it paid.

    Args:
        sentence: The verdict on the task score in one sentence, with its interval.
        retention_sentence: The same for retention; None if it was not measured.
        paid: True or False where the interval decides, None where it does not.
        against: The arm it was judged against; None if there was none.
        covers: What the interval covers.
        does_not_cover: What it does not.
    """

    sentence: str
    retention_sentence: str | None
    paid: bool | None
    against: str | None
    covers: str
    does_not_cover: str


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """The training order of the `tell` arm at its first seed.

    Args:
        order: Name of the order, as `shuffle`.
        positions: Rows in the order.
        task_positions: Of these, task rows (exposures counted).
        general_positions: Of these, general rows.
        dispersion: Where the task rows fell; None if not measured.
    """

    order: str
    positions: int
    task_positions: int
    general_positions: int
    dispersion: Dispersion | None


@dataclass(frozen=True, slots=True)
class Curve:
    """The training log of one cell.

    Args:
        arm: Name of the arm.
        seed: Its seed.
        fold: Its fold, or None.
        points: The log.
        checks: Checks that challenged the cell's anchor; empty where none did.
    """

    arm: str
    seed: int
    fold: int | None
    points: tuple[CurvePoint, ...]
    checks: tuple[AnchorCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that were left out; `dropped.jsonl` lists them.

    Args:
        count: How many.
        by_reason: How many by reason.
    """

    count: int
    by_reason: dict[str, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that did not finish.

    Args:
        cell: Its folder, relative to the run folder.
        reason: Why, in one line.
    """

    cell: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run. Written last and atomically: the file's presence means the run is done.

    Args:
        format_version: Version of this contract.
        name: Name of the run.
        created: When it was written, UTC, ISO 8601.
        command: The command that makes it again, without folders.
        recipe: The recipe, fully resolved.
        auto: Settings the recipe left to levertune, with reasons.
        task: The task data.
        anchor: The anchor; None if no arm used one.
        general: The general sources.
        model: The base model.
        metrics: The metrics.
        arms: The arms, in the order of the recipe.
        comparisons: Pairs of arms.
        verdict: Whether it paid; None if nothing was compared, or on a quick look.
        mixture: The training order; None if no arm was trained.
        curves: Training logs.
        samples: Ids of the test rows a report shows first; empty to spread over all rows.
        dropped: Rows left out.
        warnings: What a reader should know, one sentence each.
        failures: Cells that did not finish.
        provenance: Versions and machine kind.
        leaks: Rows of one set like rows of another; None if they were not looked for.
        selection: Which general rows were drawn or chosen; None without general rows.
    """

    format_version: int
    name: str
    created: str
    command: str
    recipe: dict[str, Any]
    auto: tuple[AutoSetting, ...]
    task: TaskInfo
    anchor: AnchorInfo | None
    general: tuple[GeneralInfo, ...]
    model: ModelInfo
    metrics: MetricsInfo
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[Comparison, ...]
    verdict: Verdict | None
    mixture: MixtureSummary | None
    curves: tuple[Curve, ...]
    samples: tuple[str, ...]
    dropped: Dropped
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]
    provenance: Provenance
    leaks: tuple[LeakInfo, ...] | None = None
    selection: SelectionInfo | None = None


def write_result(run_dir: Path, result: RunResult) -> Path:
    """Write `result.json` as the last file of a run.

    Absolute paths in settings, sentences and the command are cut to their last part: the file may
    be shared. The anchors and the labels are data and stay as they are.

    Args:
        run_dir: The run folder.
        result: What to write.

    Returns:
        The file.
    """
    data = to_mapping(result)
    shared = without_folders(data)
    shared["anchor"] = data["anchor"]
    shared["task"]["labels"] = data["task"]["labels"]
    for curve, original in zip(shared["curves"], data["curves"], strict=True):
        curve["checks"] = original["checks"]
    path = run_dir / RESULT_FILE
    write_json_atomically(path, shared)
    return path


def read_result(run_dir: Path) -> RunResult:
    """Read and check the `result.json` of a run folder.

    Args:
        run_dir: The run folder.

    Returns:
        The result.

    Raises:
        RunError: If the file is missing (the run is not done), is not JSON, is of another format
            version, or has a missing, unknown or wrong key.
    """
    path = run_dir / RESULT_FILE
    if not run_dir.is_dir():
        raise RunError(
            f"{run_dir}: there is no such run folder. Make one with: levertune run --task FILE"
        )
    if not path.exists():
        raise RunError(
            f"{path}: no such file, so the run is not done. Finish it with: levertune run {run_dir}"
        )
    data = read_json(path)
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path}: format_version must be {FORMAT_VERSION}; found {version!r}. It was written "
            "by another version of levertune: install that one, or run again."
        )
    return from_mapping(RunResult, data, where=str(path))
