"""One trial: a candidate trained on a fold's rows and measured on the rows left out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from levertune.data.splits import Split
from levertune.errors import DivergedError
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.results.tuning import RowLoss, Trial, Value, read_trial, write_trial
from levertune.runs.arm_rows import arm_example
from levertune.runs.arms import Arm
from levertune.runs.cells import CellData, CellPlan, build_cell
from levertune.runs.prepare import Prepared
from levertune.runs.train_cell import claim_folder, train_cell
from levertune.runs.tuned import with_settings
from levertune.training.train import ADAPTER_FOLDER, TrainSummary

TRIAL_FILE = "trial.json"

_END_SHARE = 0.1
"""The last loss is the mean of so many of the log lines: one step's rows say little."""


class Trials:
    """Builds and runs the trials on one set of training rows.

    Args:
        prepared: The run.
        folds: Inner folds of the training rows.
        num_rows: Training rows in all, to which a candidate's general rows belong.
        arm: The arm to train.
        seed: The seed.
        folder: Where the trials are kept.
        progress: Where to show progress.
        base: The recipe that a candidate changes.
    """

    def __init__(
        self,
        prepared: Prepared,
        folds: Sequence[Split],
        num_rows: int,
        arm: Arm,
        seed: int,
        folder: Path,
        progress: Progress,
        *,
        base: Recipe,
    ) -> None:
        self._prepared = prepared
        self._inputs = replace(prepared.inputs, test_mode="cv", splits=tuple(folds))
        self._num_rows = num_rows
        self._arm = arm
        self._seed = seed
        self._folder = folder
        self._progress = progress
        self._base = base

    def build(self, settings: dict[str, Value], fold: int) -> tuple[Recipe, CellData]:
        """The recipe and the rows of a trial.

        The general rows of a candidate are those of all training rows; a fold, with fewer, gets its
        share, so that a task row has as many of them.
        """
        own = dict(settings)
        if "general.rows" in own:
            share = len(self._inputs.splits[fold].train) / self._num_rows
            own["general.rows"] = round(own["general.rows"] * share)
        # The folds are made of the rows drawn already.
        recipe = with_settings(self._base, {**own, "task.subset": None})
        plan = CellPlan(self._arm, self._seed, fold)
        workspace = self._prepared.workspace
        cell = build_cell(recipe, self._inputs, self._prepared.chooser, workspace, plan)
        return recipe, cell

    def run(self, settings: dict[str, Value], fold: int) -> Trial:
        """Train and measure, or find it done."""
        recipe, cell = self.build(settings, fold)
        folder = self._folder / _slug(settings) / f"fold-{fold + 1}"
        path = folder / TRIAL_FILE
        claim_folder(folder, cell)
        if path.is_file():
            return read_trial(path)
        started = time.perf_counter()
        failure: str | None = None
        rows: tuple[RowLoss, ...] = ()
        summary: TrainSummary | None = None
        try:
            summary = train_cell(
                recipe,
                self._prepared.workspace,
                cell,
                folder,
                self._progress,
                variant=_slug(settings),
            )
            rows = self._measure(cell, folder, fold)
        except DivergedError as error:  # a learning rate too high is a finding, not a fault
            failure = str(error)
            self._prepared.workspace.forget_base()
        trial = _describe(settings, fold, cell, rows, summary, failure)
        if summary is not None and summary.seconds is not None:
            trial = replace(trial, seconds=time.perf_counter() - started)
        write_trial(path, trial)
        shutil.rmtree(folder / ADAPTER_FOLDER, ignore_errors=True)
        return trial

    def _measure(self, cell: CellData, folder: Path, fold: int) -> tuple[RowLoss, ...]:
        from levertune.evaluation.likelihood import score_likelihood
        from levertune.models.adapters import load_adapter

        workspace = self._prepared.workspace
        records = self._inputs.splits[fold].test
        examples = [arm_example(record, cell.plan.arm, cell.choice) for record in records]
        model = load_adapter(
            workspace.base(), folder / ADAPTER_FOLDER, base_sha256=workspace.model_hash
        )
        try:
            scored = score_likelihood(
                model,  # type: ignore[arg-type]
                [workspace.tokenizer.tokenize(example) for example in examples],
                hardware=workspace.hardware,
                pad_id=workspace.tokenizer.pad_id,
                label=f"likelihood of {cell.plan.label}",
                progress=self._progress,
            )
        finally:
            model.unload()
        return tuple(
            RowLoss(row.id, row.nll + row.end_nll, row.num_tokens + row.num_end) for row in scored
        )


def _describe(
    settings: dict[str, Value],
    fold: int,
    cell: CellData,
    rows: tuple[RowLoss, ...],
    summary: TrainSummary | None,
    failure: str | None,
) -> Trial:
    losses = [p["task_loss"] for p in summary.curve if "task_loss" in p] if summary else []
    end = losses[-max(1, round(_END_SHARE * len(losses))) :]
    return Trial(
        settings=settings,
        fold=fold,
        rows=rows,
        train_rows=len(cell.records),
        general_rows=cell.num_general,
        train_tokens=cell.tokens.task + cell.tokens.general,
        task_loss_share=cell.dispersion.task_loss_share,
        first_loss=losses[0] if losses else None,
        last_loss=sum(end) / len(end) if end else None,
        seconds=None,
        failure=failure,
    )


def _slug(settings: dict[str, Value]) -> str:
    return "_".join(f"{key}-{value:g}" for key, value in settings.items())
