"""One trial: a candidate trained on a fold's rows and measured on the rows left out."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from levertune.data.leaks import find_leaks
from levertune.data.records import Record
from levertune.data.splits import Split
from levertune.errors import DivergedError
from levertune.mixtures.manifest import hash_records
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.results.tuning import RowLoss, Trial, Value, read_trial, write_trial
from levertune.runs.arm_rows import arm_example
from levertune.runs.arms import Arm
from levertune.runs.cells import CellData, CellPlan, build_cell
from levertune.runs.decided import as_trained
from levertune.runs.general_selection import GeneralChooser
from levertune.runs.prepare import Prepared
from levertune.runs.train_cell import claim_folder, train_cell
from levertune.runs.tuned import with_settings
from levertune.training.train import ADAPTER_FOLDER, TrainSummary

TRIAL_FILE = "trial.json"

_END_SHARE = 0.1
"""First and last loss are means over so many of the log lines: one step's rows say little."""


class Trials:
    """Builds and runs the trials on one set of training rows.

    Args:
        prepared: The run.
        folds: Inner folds of the training rows.
        records: The training rows, to which a candidate's general rows belong.
        instruction: What they share.
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
        records: Sequence[Record],
        instruction: str | None,
        arm: Arm,
        seed: int,
        folder: Path,
        progress: Progress,
        *,
        base: Recipe,
    ) -> None:
        self._prepared = prepared
        self.folds = tuple(folds)
        self._inputs = replace(prepared.inputs, test_mode="cv", splits=self.folds)
        self.records = records
        self._instruction = instruction
        self._choosers: dict[int, GeneralChooser] = {}
        self._arm = arm
        self._seed = seed
        self.folder = folder
        self._progress = progress
        self.base = base

    def build(self, settings: dict[str, Value], fold: int) -> tuple[Recipe, CellData]:
        """The recipe and the rows of a trial.

        The general rows of a candidate are those of all training rows; a fold, with fewer, gets its
        share, so that a task row has as many of them. General rows like a row the fold is
        validated on are left out of its pool, as a run leaves out those like test rows.
        """
        own = dict(settings)
        if "general.rows" in own:
            share = len(self._inputs.splits[fold].train) / len(self.records)
            own["general.rows"] = round(int(own["general.rows"]) * share)
        # The folds are made of the rows drawn already.
        recipe = with_settings(self.base, {**own, "task.subset": None})
        plan = CellPlan(self._arm, self._seed, fold)
        workspace = self._prepared.workspace
        return recipe, build_cell(recipe, self._inputs, self._chooser(fold), workspace, plan)

    def _chooser(self, fold: int) -> GeneralChooser:
        """Chooses among the general rows that are like no validation row of a fold."""
        if fold not in self._choosers:
            validated = {record.id for record in self._inputs.splits[fold].test}
            leaking = {row for row, like in self._leaks if like in validated}
            chooser = self._prepared.chooser
            self._choosers[fold] = chooser.without(leaking) if leaking else chooser
        return self._choosers[fold]

    @cached_property
    def _leaks(self) -> set[tuple[tuple[str, str], str]]:
        """General rows like training rows: source and id of the one, id of the other."""
        # In a cross-validation every task row is a test row, and these were looked for already.
        if self._prepared.inputs.test_mode == "cv" or self.base.general.test_leaks == "keep":
            return set()
        pool = [record for rows in self._prepared.chooser.pool.values() for record in rows]
        found = find_leaks(pool, self.records, instruction=self._instruction)
        return {((leak.source, leak.id), leak.like_id) for leak in found}

    def run(self, settings: dict[str, Value], fold: int) -> Trial:
        """Train and measure, or find it done."""
        recipe, cell = self.build(settings, fold)
        folder = self.folder / _slug(settings) / f"fold-{fold + 1}-{self._hash(fold, cell)}"
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

    def _hash(self, fold: int, cell: CellData) -> str:
        """Hash of all a trial is trained and measured on.

        So after a change of the recipe a trial that is still the same is found, and no other.
        """
        content = cell.manifest.fingerprint + hash_records(self._inputs.splits[fold].test)
        return hashlib.sha256(content.encode()).hexdigest()[:10]

    def _measure(self, cell: CellData, folder: Path, fold: int) -> tuple[RowLoss, ...]:
        from levertune.evaluation.likelihood import score_likelihood
        from levertune.models.adapters import load_adapter

        workspace = self._prepared.workspace
        cell = as_trained(cell, folder, workspace)
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
    few = max(1, round(_END_SHARE * len(losses)))
    start, end = losses[:few], losses[-few:]
    return Trial(
        settings=settings,
        fold=fold,
        rows=rows,
        train_rows=len(cell.records),
        general_rows=cell.num_general,
        train_tokens=cell.tokens.task + cell.tokens.general,
        task_loss_share=cell.dispersion.task_loss_share,
        first_loss=sum(start) / len(start) if start else None,
        last_loss=sum(end) / len(end) if end else None,
        seconds=None,
        failure=failure,
    )


def _slug(settings: dict[str, Value]) -> str:
    return "_".join(f"{key}-{_short_name(value)}" for key, value in settings.items())


def _short_name(value: Value) -> str:
    if not isinstance(value, str):
        return f"{value:g}"
    is_word = value.isidentifier() and len(value) <= 20
    return value if is_word else hashlib.sha256(value.encode("utf-8")).hexdigest()[:10]
