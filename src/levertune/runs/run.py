"""One recipe, whole: every cell trained and evaluated, summarised, the best adapter kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from levertune.errors import RecipeError, UserError
from levertune.progress import Progress, SilentProgress
from levertune.recipes.recipe import Recipe
from levertune.results.folder_lock import hold_folder
from levertune.results.schema import Failure, RunResult
from levertune.results.tuning import read_tuning
from levertune.runs.answers import require_backend
from levertune.runs.best_adapter import keep_best, trains_on_all
from levertune.runs.cells import CellData
from levertune.runs.estimate import Estimate, estimate_run
from levertune.runs.finish import gather_done, is_done, write_row_lists, write_run_result
from levertune.runs.helper_processes import Helpers, helped
from levertune.runs.inputs import Inputs
from levertune.runs.jobs import WORTH_SECONDS, Jobs, choose_jobs
from levertune.runs.one_cell import do_cell
from levertune.runs.pool import do_cells_in_workers
from levertune.runs.prepare import Prepared, prepare_run, write_recipe
from levertune.runs.quantization import require_quantization
from levertune.runs.refiner import describe_refining
from levertune.runs.same_recipe import require_same_recipe
from levertune.runs.selection_summary import describe_selection
from levertune.runs.train_cell import steps_behind
from levertune.runs.tuned import require_same_tuning
from levertune.training.processes import current_team

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run says at its end.

    Args:
        lines: Sentences.
        columns: Head of the table.
        rows: The table, an arm a row.
        verdict: The verdict, or None.
        report_path: The report, or None.
        next_command: What to type next, or None.
        run_dir: The run folder.
        result: The whole result; None after a dry run.
    """

    lines: tuple[str, ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    verdict: str | None = None
    report_path: Path | None = None
    next_command: str | None = None
    run_dir: Path | None = None
    result: RunResult | None = field(default=None, repr=False)

    def to_mapping(self) -> dict[str, Any]:
        """For `--json`: the result, or what a dry run found."""
        from levertune.results.mapping import to_mapping

        if self.result is None:
            return {"lines": list(self.lines)}
        return {
            "run_dir": str(self.run_dir),
            "report": str(self.report_path) if self.report_path else None,
            "result": to_mapping(self.result),
        }


def run_recipe(
    recipe: Recipe,
    *,
    quick: bool = False,
    dry_run: bool = False,
    jobs: int | str = "auto",
    num_processes: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> RunOutcome:
    """Run a recipe, or go on with it.

    Cells that are done are skipped; a cell that fails leaves its reason and the others go on.

    Args:
        recipe: The recipe.
        quick: First seed and first fold only; no final adapter on all rows.
        dry_run: Say what would be done and how long it would take, then stop; nothing is written.
        jobs: Cells to work on at once, or `auto` (`runs.jobs.choose_jobs`).
        num_processes: Processes of this machine that share each training; None for as many as pay
            where one cell is worked on at a time (`runs.jobs.choose_processes`).
        progress: Where to show progress.
        say: Where to say, before the work starts, what was chosen and how long it will take.

    Returns:
        What came out.

    Raises:
        UserError: If something the user named cannot be used.
    """
    progress = progress or SilentProgress()
    say = say or (lambda line: None)
    require_quantization(recipe, os.environ)
    require_backend(recipe)
    started, clock = datetime.now(UTC), time.perf_counter()
    tuning = read_tuning(Path(recipe.output_dir))
    prepared = prepare_run(recipe, quick=quick, progress=progress, dry_run=dry_run)
    cells = [prepared.build(plan) for plan in prepared.plans]
    todo = [cell for cell in cells if not is_done(prepared, cell)]
    lines = describe_start(prepared, cells, todo)
    shared = _share_machine(prepared, jobs, num_processes)
    # Cells worked on at once have the machine's cores between them.
    wanted = num_processes if shared.count == 1 else 1
    estimate = None
    if todo:
        with shared.limit_threads():
            estimate = estimate_run(
                prepared.recipe,
                prepared.inputs,
                prepared.workspace,
                todo,
                num_jobs=shared.count,
                num_processes=_most_processes(Helpers(wanted, progress), prepared, todo),
                finalists=cells if trains_on_all(prepared) else (),
            )
        if _pays_in_workers(shared, estimate):
            lines.append(f"jobs: {shared.count} cells at once ({shared.reason})")
        lines.append(estimate.sentence)
    if dry_run:
        return RunOutcome(tuple(lines), run_dir=prepared.run_dir)
    for line in lines:
        say(line)
    with hold_folder(prepared.run_dir, what="a run or a tuning", warn=lambda t: progress.warn(t)):
        # Another process may have been at work in the folder until now.
        require_same_recipe(prepared.run_dir, prepared.recipe)
        require_same_tuning(prepared.run_dir, tuning)
        write_recipe(prepared)
        write_row_lists(prepared, cells)
        with shared.limit_threads(), helped(wanted, progress):
            failures = _do_cells(prepared, recipe, todo, shared, estimate, progress)
        arms = gather_done(prepared, failures)
        if not arms:
            raise UserError(
                f"{prepared.run_dir}: no cell finished; the first failed with: {failures[0].reason}"
            )
        with helped(num_processes, progress):
            best = keep_best(prepared, arms, progress)
        result = write_run_result(
            prepared, cells, arms, failures, started=started, seconds=time.perf_counter() - clock
        )
        from levertune.reports.page import write_report

        report = write_report(prepared.run_dir)
    return _outcome(prepared, result, report, best)


def describe_start(
    prepared: Prepared, cells: Sequence[CellData], todo: Sequence[CellData]
) -> list[str]:
    """What was chosen, and what will be done."""
    inputs: Inputs = prepared.inputs
    tests = prepared.num_test_rows
    tested = "the first fold alone" if prepared.is_quick else "every row tested once"
    where = {
        "file": f"{tests} test rows from {Path(inputs.test_file.path).name}"
        if inputs.test_file
        else "",
        "holdout": f"{tests} rows held out for testing",
        "cv": f"{len(inputs.splits)}-fold cross-validation, {tested}",
    }[inputs.test_mode]
    subset = prepared.recipe.task.subset
    drawn = f"{subset} of " if subset is not None else ""
    lines = [
        f"task: {drawn}{len(inputs.task.records):,} rows ({inputs.task.schema}), "
        f"{prepared.count_task_tokens(cells):,} tokens in chat form; {where}",
        f"kind: {inputs.kind.kind} ({inputs.kind.reason}); judged by {inputs.metrics.primary}",
    ]
    anchored = next((c for c in cells if c.plan.arm.is_anchored and c.choice), None)
    if anchored is not None and anchored.choice is not None and anchored.choice.anchor is not None:
        anchor = anchored.choice.anchor
        lines.append(f"anchor: {anchor.text!r} ({anchored.choice.reason})")
    for setting in prepared.settings:
        if setting.key not in ("task.metric", "task.test"):
            lines.append(f"{setting.key}: {setting.value} ({setting.reason})")
    lines += describe_selection(prepared, cells)
    lines += [f"warning: {warning}" for warning in prepared.warnings]
    lines += [f"warning: {warning}" for warning in describe_refining(prepared.recipe, cells)]
    for cell in todo:
        step = steps_behind(prepared.run_dir / cell.plan.folder)
        if step:
            lines.append(f"{cell.plan.label} was interrupted: goes on from its step {step}")
    done = len(cells) - len(todo)
    skipped = f"; {done} are done and skipped" if done else ""
    lines.append(
        f"cells: {len(cells)} ({', '.join(dict.fromkeys(c.plan.arm.name for c in cells))}; "
        f"seeds {', '.join(map(str, dict.fromkeys(c.plan.seed for c in cells)))}){skipped}"
    )
    return lines


def _share_machine(prepared: Prepared, jobs: int | str, num_processes: int | None) -> Jobs:
    size = max(current_team().size, num_processes or 1)
    if size > 1:
        if jobs not in ("auto", 1):
            raise RecipeError(
                f"--jobs {jobs}: {size} processes train each cell together, one after the other. "
                "Leave it out, or start one process."
            )
        return Jobs(1, None, f"{size} processes train each cell together")
    return choose_jobs(
        jobs,
        device=prepared.workspace.hardware.device,
        num_trainings=sum(plan.arm.is_trained for plan in prepared.plans),
        weight_bytes=prepared.workspace.weight_bytes,
        memory_bytes=prepared.workspace.memory_bytes,
    )


def _most_processes(helpers: Helpers, prepared: Prepared, cells: Sequence[CellData]) -> int:
    """How many processes share the training that most of them share."""
    rows = prepared.recipe.training.effective_batch_size
    trained = (cell.tokens for cell in cells if cell.plan.arm.is_trained)
    counts = (
        helpers.choose_count(prepared.workspace, tokens.task + tokens.general, rows)
        for tokens in trained
    )
    return max(counts, default=1)


def _pays_in_workers(shared: Jobs, estimate: Estimate | None) -> bool:
    if shared.count == 1 or estimate is None or len(estimate.cell_seconds) == 1:
        return False
    return shared.is_asked_for or sum(estimate.cell_seconds) > WORTH_SECONDS


def _do_cells(
    prepared: Prepared,
    recipe: Recipe,
    todo: Sequence[CellData],
    shared: Jobs,
    estimate: Estimate | None,
    progress: Progress,
) -> list[Failure]:
    """The cells that are not done, here or in workers; those that fail are returned."""
    # Looked at once more: another process may have done some before the folder was locked.
    left = {cell.plan.folder for cell in todo if not is_done(prepared, cell)}
    if estimate is not None and _pays_in_workers(shared, estimate):
        prepared.workspace.forget_base()  # it was loaded to time a step; the workers have their own
        ordered = [todo[i].plan.folder for i in estimate.longest_first]
        folders = [folder for folder in ordered if folder in left]
        return do_cells_in_workers(recipe, folders, shared, progress, quick=prepared.is_quick)
    failures = (do_cell(prepared, cell, progress) for cell in todo if cell.plan.folder in left)
    return [failure for failure in failures if failure is not None]


def _outcome(prepared: Prepared, result: RunResult, report: Path, best: Path | None) -> RunOutcome:
    from levertune.runs.closing import closing_lines, closing_table

    columns, rows = closing_table(result)
    return RunOutcome(
        lines=tuple(closing_lines(prepared, result, best)),
        columns=columns,
        rows=rows,
        verdict=_verdict_text(result),
        report_path=report,
        next_command=f"levertune chat {prepared.run_dir}" if best else None,
        run_dir=prepared.run_dir,
        result=result,
    )


def _verdict_text(result: RunResult) -> str | None:
    verdict = result.verdict
    if verdict is None:
        return None
    parts = (verdict.sentence, verdict.retention_sentence, verdict.covers, verdict.does_not_cover)
    return " ".join(part for part in parts if part)
