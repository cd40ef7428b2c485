"""The stages of a run one by one, each from the files the stage before it left."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from levertune.errors import RecipeError, RunError
from levertune.mixtures.export.write import (
    check_format,
    check_loss_weight,
    check_place,
    write_export,
)
from levertune.progress import Progress, SilentProgress
from levertune.recipes.recipe import Recipe
from levertune.results.cells import CELL_FILE, PREDICTIONS_FILE
from levertune.results.schema import RESULT_FILE
from levertune.runs.anchor_rules import require_exportable
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellData, CellPlan
from levertune.runs.evaluate_cell import LIKELIHOODS_FILE, evaluate_cell
from levertune.runs.export import build_export
from levertune.runs.finish import gather_done, is_done, write_row_lists, write_run_result
from levertune.runs.helper_processes import helped
from levertune.runs.prepare import Prepared, choose_plans, prepare_run, write_recipe
from levertune.runs.train_cell import (
    MANIFEST_FILE,
    check_adapter,
    check_undamaged,
    claim_folder,
    train_cell,
)
from levertune.training.train import ADAPTER_FOLDER, read_summary

MIXTURE_FILE = "mixture.arrow"
EXPORT_FOLDER = "export"


def mix_stage(
    recipe: Recipe,
    *,
    arm: str | None = None,
    seed: int | None = None,
    dry_run: bool = False,
    to: str | None = None,
    all_rows: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Lay out the mixtures: `manifest.json` and `mixture.arrow` in each trained cell's folder.

    Args:
        recipe: The recipe.
        arm: This arm only.
        seed: This seed only.
        dry_run: Name the files and stop.
        to: Also write the rows out for this trainer (`mixtures.export.write.FORMATS`).
        all_rows: Every task row, none held out, as for the final adapter.
        force: Replace an export that is there.
        progress: Where to show progress.

    Returns:
        The files, and the folder of each export.

    Raises:
        UserError: If something the user named cannot be used.
    """
    if to is not None:
        check_format(to)
        require_exportable(recipe, arm)
        if _mixes_general(recipe, arm):
            check_loss_weight(to, recipe.general.loss_weight)
    elif force:
        raise RecipeError("--force: replaces an export; found no --to. Leave it out.")
    prepared = prepare_run(recipe, progress=progress)
    plans = [p for p in choose_plans(prepared.plans, arm, seed) if p.arm.is_trained]
    if all_rows:
        plans = list(dict.fromkeys(replace(plan, fold=None) for plan in plans))
    folders = [prepared.run_dir / (p.final_folder if all_rows else p.folder) for p in plans]
    exports = [folder / EXPORT_FOLDER / to for folder in folders] if to is not None else []
    for place in exports:  # all of them before the first is built, and before a file is written
        check_place(place, force=force)
    files = []
    for number, (plan, folder) in enumerate(zip(plans, folders, strict=True)):
        files += [folder / MANIFEST_FILE, folder / MIXTURE_FILE]
        files += exports[number : number + 1]
        if dry_run:
            continue
        write_recipe(prepared)
        cell = prepared.build(plan, all_rows=all_rows)
        claim_folder(folder, cell)
        _write_mixture(folder / MIXTURE_FILE, cell)
        if to is not None:
            export = build_export(prepared, cell, all_rows=all_rows)
            write_export(export, to, exports[number], force=force)
    return files


def _mixes_general(recipe: Recipe, arm: str | None) -> bool:
    """Whether a mixture asked for has general rows, as far as the recipe alone tells."""
    names = recipe.arms if arm is None else (arm,)
    has_arm = any(name in ARMS and ARMS[name].has_general for name in names)
    return has_arm and bool(recipe.general.sources) and recipe.general.rows != 0


def train_stage(
    recipe: Recipe,
    *,
    arm: str | None = None,
    seed: int | None = None,
    dry_run: bool = False,
    num_processes: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Train the adapters; those there are stay.

    Args:
        recipe: The recipe.
        arm: This arm only.
        seed: This seed only.
        dry_run: Name the folders and stop.
        num_processes: Processes of this machine that share each training; None for as many as pay.
        progress: Where to show progress.

    Returns:
        The adapter folders.

    Raises:
        UserError: If something the user named cannot be used.
    """
    progress = progress or SilentProgress()
    prepared = prepare_run(recipe, progress=progress)
    plans = [p for p in choose_plans(prepared.plans, arm, seed) if p.arm.is_trained]
    if not dry_run:
        cells = [prepared.build(plan) for plan in plans]  # what is refused is so before any trains
        write_recipe(prepared)
        with helped(num_processes, progress):
            for plan, cell in zip(plans, cells, strict=True):
                train_cell(
                    prepared.recipe_for(plan),
                    prepared.workspace,
                    cell,
                    prepared.run_dir / plan.folder,
                    progress,
                )
    return [prepared.run_dir / plan.folder / ADAPTER_FOLDER for plan in plans]


def eval_stage(
    recipe: Recipe,
    *,
    arm: str | None = None,
    seed: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Evaluate trained cells, again if they were evaluated before.

    Once every cell of the run is evaluated, `result.json` is written too.

    Args:
        recipe: The recipe.
        arm: This arm only.
        seed: This seed only.
        dry_run: Name the files and stop.
        progress: Where to show progress.

    Returns:
        The files.

    Raises:
        UserError: If something the user named cannot be used, or a cell is not trained.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    prepared = prepare_run(recipe, progress=progress)
    plans = choose_plans(prepared.plans, arm, seed)
    names = (PREDICTIONS_FILE, LIKELIHOODS_FILE, CELL_FILE)
    files = [prepared.run_dir / plan.folder / name for plan in plans for name in names]
    if dry_run:
        return files
    for plan in plans:  # all of them before the first is evaluated, and before a file is written
        if plan.arm.is_trained:
            _require_trained(prepared, plan)
    write_recipe(prepared)
    for plan in plans:
        _evaluate(prepared, prepared.build(plan), progress or SilentProgress())
    cells = [prepared.build(plan) for plan in prepared.plans]
    if all(is_done(prepared, cell) for cell in cells):
        seconds = time.perf_counter() - clock
        arms = gather_done(prepared, ())
        write_row_lists(prepared, cells)
        write_run_result(prepared, cells, arms, (), started=started, seconds=seconds)
        files.append(prepared.run_dir / RESULT_FILE)
    return files


def _require_trained(prepared: Prepared, plan: CellPlan) -> None:
    folder = prepared.run_dir / plan.folder
    if not (folder / ADAPTER_FOLDER / "adapter_config.json").is_file():
        raise RunError(f"{folder}: has no adapter yet. Train it first, with: levertune train")
    check_adapter(folder, prepared.workspace.model_hash)
    check_undamaged(folder, read_summary(folder))


def _evaluate(prepared: Prepared, cell: CellData, progress: Progress) -> None:
    folder = prepared.run_dir / cell.plan.folder
    claim_folder(folder, cell)
    evaluate_cell(
        prepared.recipe_for(cell.plan),
        prepared.inputs,
        prepared.workspace,
        cell,
        prepared.probes,
        folder,
        progress,
    )


def _write_mixture(path: Path, cell: CellData) -> None:
    """One line a position: what stands there. An index into the sources, not a copy of them."""
    import os

    import pyarrow as pa

    mixture = cell.rows.mixture
    positions = mixture.positions(0, len(cell.rows))
    ids = [cell.rows[i].id for i in range(len(cell.rows))]
    table = pa.table(
        {
            "position": range(len(cell.rows)),
            "source": [mixture.sources[i] for i in positions.source.tolist()],
            "id": ids,
            "row": positions.row,
            "exposure": positions.exposure,
        }
    )
    partial = path.with_suffix(".partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    os.replace(partial, path)
