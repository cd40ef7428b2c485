"""What makes a cell done, and from done cells the run's `result.json`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from levertune.results.cells import CELL_FILE, read_cell
from levertune.results.files import write_jsonl_atomically
from levertune.results.schema import Failure, RunResult, write_result
from levertune.results.selection import write_selection_texts
from levertune.results.url_secrets import without_url_secrets
from levertune.runs.assemble import assemble_result
from levertune.runs.cells import CellData
from levertune.runs.evaluate_cell import fingerprint_cell
from levertune.runs.prepare import Prepared
from levertune.runs.rescore import rescore_cell
from levertune.runs.selection_summary import collect_selection_texts
from levertune.runs.summary import ArmRows, gather_arm
from levertune.runs.train_cell import check_adapter, claim_folder


def is_done(prepared: Prepared, cell: CellData) -> bool:
    """Whether a cell was trained and evaluated on exactly what it would be now.

    Raises:
        ModelError: If its folder holds an adapter of another base model.
        RunError: If its folder holds a cell trained on something else.
    """
    folder = prepared.run_dir / cell.plan.folder
    check_adapter(folder, prepared.workspace.model_hash)
    if not (folder / CELL_FILE).is_file():
        return False
    claim_folder(folder, cell)
    recipe = prepared.recipe_for(cell.plan)
    wanted = fingerprint_cell(recipe, prepared.inputs, cell, prepared.probes)
    return read_cell(folder).fingerprint == wanted


def gather_done(prepared: Prepared, failures: Sequence[Failure]) -> dict[str, ArmRows]:
    """The arms of which every cell is done; an arm with a failed cell is left out whole.

    What cells say of their scores is brought up to date with the metrics.
    """
    failed = {failure.cell for failure in failures}
    arms: dict[str, ArmRows] = {}
    for name in dict.fromkeys(plan.arm.name for plan in prepared.plans):
        plans = [plan for plan in prepared.plans if plan.arm.name == name]
        if not any(plan.folder in failed for plan in plans):
            for plan in plans:
                rescore_cell(prepared.run_dir / plan.folder, prepared.inputs)
            arms[name] = gather_arm(
                prepared.run_dir,
                plans,
                metrics=prepared.inputs.metrics.names,
                labels=prepared.inputs.kind.labels,
            )
    return arms


def write_row_lists(prepared: Prepared, cells: Sequence[CellData]) -> None:
    """List rows by id: those left out in `dropped.jsonl`, those like others in `leaks.jsonl`.

    Near duplicates too many to be balanced over the splits stand in `near_groups.jsonl`, if there
    are any.
    """
    rows = [*prepared.inputs.dropped, *(row for cell in cells for row in cell.dropped)]
    unique = {(row["source"], row["id"], row["reason"]): row for row in rows}
    write_jsonl_atomically(prepared.run_dir / "dropped.jsonl", list(unique.values()))
    leaks = [
        {"sets": leakage.sets, **asdict(leak)}
        for leakage in prepared.inputs.leakage
        for leak in leakage.leaks
    ]
    write_jsonl_atomically(prepared.run_dir / "leaks.jsonl", leaks)
    groups = prepared.inputs.splits[0].large_groups
    path = prepared.run_dir / "near_groups.jsonl"
    if groups:
        write_jsonl_atomically(path, [asdict(group) for group in groups])
    else:
        path.unlink(missing_ok=True)


def write_run_result(
    prepared: Prepared,
    cells: Sequence[CellData],
    arms: dict[str, ArmRows],
    failures: Sequence[Failure],
    *,
    started: datetime,
    seconds: float,
) -> RunResult:
    """Summarise the arms and write `result.json`, the run's last file but the report.

    Args:
        prepared: The run.
        cells: Its cells.
        arms: The arms that are done, as `gather_done` gives them.
        failures: Cells that are not.
        started: When this call began.
        seconds: Wall time of this call.

    Returns:
        The result.
    """
    result = assemble_result(
        prepared, cells, arms, failures, command=_command(), started=started, seconds=seconds
    )
    texts = collect_selection_texts(prepared, cells)
    if texts:
        write_selection_texts(prepared.run_dir, texts)
    write_result(prepared.run_dir, result)
    return result


def _command() -> str:
    if Path(sys.argv[0]).name == "levertune":
        return shlex.join(["levertune", *map(without_url_secrets, sys.argv[1:])])
    return "levertune.run(...)"
