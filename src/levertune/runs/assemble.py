"""Everything a run knows, put into `result.json`'s form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.data.checks import find_regime
from levertune.results.cells import read_cell
from levertune.results.inputs import (
    AnchorInfo,
    GeneralInfo,
    LeakInfo,
    MetricInfo,
    MetricsInfo,
    ModelInfo,
    TaskInfo,
)
from levertune.results.provenance import collect_provenance, utc_text
from levertune.results.schema import (
    FORMAT_VERSION,
    Comparison,
    Curve,
    Dropped,
    Failure,
    MixtureSummary,
    RunResult,
)
from levertune.runs.cells import CellData
from levertune.runs.decided import as_trained
from levertune.runs.refiner import describe_refining
from levertune.runs.selection_summary import summarize_selection
from levertune.runs.summary import ArmRows, compare_arms, judge_run, summarize_arm
from levertune.runs.train_cell import stopped_at, was_stopped_by_twins
from levertune.scoring.metrics import find_metric
from levertune.training.train import read_summary

if TYPE_CHECKING:
    from levertune.runs.prepare import Prepared

_LENGTH = re.compile(r"^\d+ (tokens|characters), (more|fewer) than")


def assemble_result(
    prepared: Prepared,
    cells: Sequence[CellData],
    arms: dict[str, ArmRows],
    failures: Sequence[Failure],
    *,
    command: str,
    started: datetime,
    seconds: float,
) -> RunResult:
    """The result of a run.

    Args:
        prepared: The run.
        cells: Its cells.
        arms: The arms that are done.
        failures: Cells that are not.
        command: The command that makes it again.
        started: When this call began.
        seconds: Wall time of this call.

    Returns:
        The result, not yet written.
    """
    reasons = Counter(
        _kind_of(row["reason"]) for row in {
            (r["source"], r["id"]): r for r in
            (*prepared.inputs.dropped, *(r for cell in cells for r in cell.dropped))
        }.values()
    )  # fmt: skip
    reasons_by_key = {setting.key: setting.reason for setting in prepared.settings}
    return RunResult(
        format_version=FORMAT_VERSION,
        name=prepared.run_dir.name,
        created=utc_text(datetime.now(UTC)),
        command=command,
        recipe=prepared.recipe.model_dump(mode="json"),
        auto=prepared.settings,
        task=_task_info(prepared, cells),
        anchor=_anchor_info(prepared, cells),
        general=_general_info(prepared, cells),
        model=_model_info(prepared, arms),
        metrics=MetricsInfo(
            primary=prepared.inputs.metrics.primary,
            reason=reasons_by_key.get("task.metric", prepared.inputs.metrics.reason),
            all=tuple(
                MetricInfo(m.name, m.title, m.higher_is_better, m.points_per_unit)
                for m in map(find_metric, prepared.inputs.metrics.names)
            ),
        ),
        arms=tuple(summarize_arm(rows) for rows in arms.values()),
        comparisons=_comparisons(prepared, arms),
        verdict=None if prepared.is_quick else judge_run(arms, prepared.inputs),
        mixture=_mixture(prepared, cells),
        curves=_curves(prepared, arms),
        samples=(),
        dropped=Dropped(sum(reasons.values()), dict(reasons)),
        warnings=(
            *prepared.warnings,
            *_stop_warnings(prepared, arms),
            *describe_refining(prepared.recipe, cells),
        ),
        failures=tuple(failures),
        provenance=collect_provenance(started=started, seconds=seconds),
        leaks=tuple(
            LeakInfo(leakage.sets, kind, rows, leakage.dropped.get(kind, 0))
            for leakage in prepared.inputs.leakage
            for kind, rows in leakage.counts.items()
        ),
        selection=summarize_selection(cells, prepared.chooser.pool),
    )


def _kind_of(reason: str) -> str:
    """What a row was left out for, without what differs from row to row."""
    return _LENGTH.sub(r"with \2 \1 than", reason).split(" row ")[0]


def _comparisons(prepared: Prepared, arms: dict[str, ArmRows]) -> tuple[Comparison, ...]:
    """`tell` against every other arm, then every other arm against `base`."""
    pairs = [("tell", name) for name in arms if name != "tell"] if "tell" in arms else []
    pairs += [(name, "base") for name in arms if "base" in arms and name not in ("base", "tell")]
    return tuple(
        comparison
        for first, second in pairs
        for comparison in compare_arms(arms[first], arms[second])
    )


def _task_info(prepared: Prepared, cells: Sequence[CellData]) -> TaskInfo:
    inputs = prepared.inputs
    trained = [len(cell.records) for cell in cells if cell.plan.arm.is_trained]
    tokens = prepared.count_task_tokens(cells)
    return TaskInfo(
        path=inputs.task.path if ":" in inputs.task.path[:12] else Path(inputs.task.path).name,
        rows=len(inputs.task.records),
        train_rows=round(sum(trained) / len(trained)) if trained else 0,
        test_rows=prepared.num_test_rows,
        tokens=tokens,
        kind=inputs.kind.kind,
        kind_reason=inputs.kind.reason,
        schema=inputs.task.schema,
        sha256=inputs.task.sha256,
        test_mode=inputs.test_mode,
        folds=len(inputs.splits) if inputs.test_mode == "cv" else None,
        regime=find_regime(tokens).name,
        labels=inputs.kind.labels or None,
        parted_rows=sum(len(g.ids) for g in inputs.splits[0].large_groups if g.is_parted)
        if inputs.test_file is None
        else None,
    )


def _first(cells: Sequence[CellData], arm: str) -> CellData | None:
    return next((cell for cell in cells if cell.plan.arm.name == arm), None)


def _anchor_info(prepared: Prepared, cells: Sequence[CellData]) -> AnchorInfo | None:
    tell = _first(cells, "tell")
    if tell is not None and _has_cell(prepared, tell):
        tell = as_trained(tell, prepared.run_dir / tell.plan.folder, prepared.workspace)
    if tell is None or tell.choice is None or tell.choice.anchor is None:
        return None
    anchor = tell.choice.anchor
    served = anchor if tell.choice.is_open else tell.choice.served
    count = prepared.workspace.tokenizer.count
    return AnchorInfo(
        id=anchor.id,
        text=anchor.text,
        placement=anchor.placement,
        lead_in=anchor.lead_in,
        dropout=anchor.dropout,
        tokens=anchor.token_cost(count),
        reason=tell.choice.reason,
        served_tokens=served.token_cost(count) if served is not None else 0,
    )


def _general_info(prepared: Prepared, cells: Sequence[CellData]) -> tuple[GeneralInfo, ...]:
    tell = _first(cells, "tell")
    used = tell.general if tell is not None else {}
    infos = []
    for file in prepared.inputs.general:
        name = file.records[0].source if file.records else Path(file.path).stem
        rows = used.get(name, [])
        infos.append(
            GeneralInfo(
                name=name,
                rows_available=len(file.records),
                rows_used=len(rows),
                tokens=sum(len(row.input_ids) for row in rows),
                sha256=file.sha256,
            )
        )
    return tuple(infos)


def _model_info(prepared: Prepared, arms: dict[str, ArmRows]) -> ModelInfo:
    from levertune.models.load import count_parameters

    trainable = 0
    for rows in arms.values():
        if rows.plans[0].arm.is_trained:
            folder = prepared.run_dir / rows.plans[0].folder
            trainable = read_summary(folder).trainable_parameters
    workspace = prepared.workspace
    return ModelInfo(
        name=workspace.location.name,
        sha256=workspace.model_hash,
        parameters=count_parameters(workspace.base())[0],
        trainable_parameters=trainable,
        dtype=workspace.hardware.dtype_name,
        device=workspace.hardware.device,
        quantization=workspace.quantization,
    )


def _mixture(prepared: Prepared, cells: Sequence[CellData]) -> MixtureSummary | None:
    cell = _first(cells, "tell") or next((c for c in cells if c.plan.arm.is_trained), None)
    if cell is None:
        return None
    done = read_cell(prepared.run_dir / cell.plan.folder) if _has_cell(prepared, cell) else None
    return MixtureSummary(
        order=cell.rows.mixture.plan.order,
        positions=len(cell.rows),
        task_positions=len(cell.rows) - cell.num_general,
        general_positions=cell.num_general,
        dispersion=done.dispersion if done else None,
    )


def _has_cell(prepared: Prepared, cell: CellData) -> bool:
    return (prepared.run_dir / cell.plan.folder / "cell.json").is_file()


def _curves(prepared: Prepared, arms: dict[str, ArmRows]) -> tuple[Curve, ...]:
    return tuple(
        Curve(cell.arm, cell.seed, cell.fold, cell.curve, cell.checks)
        for rows in arms.values()
        for cell in rows.cells
        if cell.curve
    )


def _stop_warnings(prepared: Prepared, arms: dict[str, ArmRows]) -> list[str]:
    """Say where early stopping cut the equal-steps arm short."""
    rows = arms.get("sft-steps")
    if rows is None:
        return []
    folders = [prepared.run_dir / plan.folder for plan in rows.plans]
    early = [stop for folder in folders if (stop := stopped_at(folder)) is not None]
    twins = sum(was_stopped_by_twins(folder) for folder in folders)
    warnings = []
    if early:
        cells = f" in {len(early)} of {len(folders)} cells" if len(folders) > 1 else ""
        upto = f" to {max(early)}" if max(early) > min(early) else ""
        warnings.append(
            f"sft-steps was stopped early{cells}, after {min(early)}{upto} steps, by rows held out "
            "of its training rows."
        )
    if twins:
        warnings.append(
            f"Near duplicates stood on both sides where rows were held out to stop sft-steps, in "
            f"{twins} of {len(folders)} cells: it may have been stopped too late."
        )
    return warnings
