"""Evaluate one cell: likelihoods, answers and scores of its test rows, and what was forgotten."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import plain_example
from levertune.data.records import Record
from levertune.mixtures.manifest import hash_records
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.results.anchor_checks import read_checks
from levertune.results.cells import (
    Cell,
    CurvePoint,
    KlToBase,
    Nll,
    NllByRows,
    PredictionRow,
    Seconds,
    TokenCounts,
    write_cell,
    write_predictions,
)
from levertune.results.files import write_jsonl_atomically
from levertune.results.provenance import collect_provenance
from levertune.runs.answers import answer_rows
from levertune.runs.arm_rows import arm_example
from levertune.runs.cells import CellData, split_of
from levertune.runs.decided import as_trained
from levertune.runs.inputs import Inputs
from levertune.runs.probes import Probes
from levertune.runs.rescore import score_answers
from levertune.runs.train_cell import check_undamaged, stopped_at
from levertune.runs.workspace import Workspace
from levertune.training.train import ADAPTER_FOLDER, TrainSummary, read_summary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from levertune.evaluation.likelihood import RowLikelihood

LIKELIHOODS_FILE = "likelihoods.jsonl"
_MAX_CURVE_POINTS = 300


def evaluate_cell(
    recipe: Recipe,
    inputs: Inputs,
    workspace: Workspace,
    data: CellData,
    probes: Probes,
    folder: Path,
    progress: Progress,
) -> Cell:
    """Evaluate a cell and write its files, `cell.json` last.

    Args:
        recipe: The recipe, resolved.
        inputs: The inputs.
        workspace: The model.
        data: The cell's rows.
        probes: Rows that show what was forgotten.
        folder: The cell's folder, with `adapter/` unless the arm is not trained.
        progress: Where to show progress.

    Returns:
        The cell.

    Raises:
        DataError: If a test row is longer than the model can read.
        RunError: If the adapter is not as its training left it, or vLLM is asked for and fails.
    """
    from levertune.evaluation.likelihood import score_likelihood
    from levertune.models.adapters import load_adapter
    from levertune.models.hardware import peak_memory_bytes

    started = time.perf_counter()
    data = as_trained(data, folder, workspace)
    arm = data.plan.arm
    summary: TrainSummary | None = None
    model: PreTrainedModel = workspace.base()
    if arm.is_trained:
        adapter = folder / ADAPTER_FOLDER
        summary = read_summary(folder)
        check_undamaged(folder, summary)
        model = load_adapter(model, adapter, base_sha256=workspace.model_hash)  # type: ignore[assignment]
    records = split_of(inputs, data.plan).test
    examples = [arm_example(record, arm, data.tested) for record in records]
    try:
        likelihoods: dict[str, list[RowLikelihood]] = {}
        for name, rows in (
            ("task", examples),
            ("general_heldout", [plain_example(r) for r in probes.general_heldout]),
            ("retention", [plain_example(r) for r in probes.retention]),
        ):
            tokenized = [workspace.tokenizer.tokenize(row) for row in rows]
            likelihoods[name] = score_likelihood(
                model,
                tokenized,
                with_kl=arm.is_trained and name != "task",
                label=f"likelihood of {data.plan.label}: {name}",
                hardware=workspace.hardware,
                pad_id=workspace.tokenizer.pad_id,
                progress=progress,
            )
        generations = answer_rows(
            recipe,
            workspace,
            model,
            examples,
            adapter=folder / ADAPTER_FOLDER if arm.is_trained else None,
            progress=progress,
            label=f"answers of {data.plan.label}",
        )
    finally:
        if arm.is_trained:
            model.unload()  # type: ignore[operator]  # leaves the base model as it was
    predictions = [generation.text for generation in generations]
    references = [record.all_references for record in records]
    scores = score_answers(inputs, predictions, references)
    write_predictions(
        folder,
        [
            PredictionRow(
                id=record.id,
                prompt=example.messages[-1].content,
                references=record.all_references,
                prediction=generation.text,
                finish_reason=generation.finish_reason,  # type: ignore[arg-type]
                scores=scores.by_row[i],
                parsed=scores.parsed[i],
                nll=likelihood.nll,
                num_tokens=likelihood.num_tokens,
                end_nll=likelihood.end_nll,
            )
            for i, (record, example, generation, likelihood) in enumerate(
                zip(records, examples, generations, likelihoods["task"], strict=True)
            )
        ],
    )
    rows_by_name = {
        "task": records,
        "general_heldout": probes.general_heldout,
        "retention": probes.retention,
    }
    _write_likelihoods(folder, likelihoods, rows_by_name)
    evaluate_seconds = time.perf_counter() - started
    train_seconds = summary.seconds if summary else None
    cell = Cell(
        arm=arm.name,
        seed=data.plan.seed,
        fold=data.plan.fold,
        subset=None,
        task_rows=len(data.records) if arm.is_trained else 0,
        exposures=_exposures(data, summary, recipe) if arm.is_trained else 0,
        steps_taken=summary.steps if summary else 0,
        general_rows=data.num_general,
        tokens=_tokens(data, summary, recipe),
        seconds=Seconds(
            train=train_seconds,
            evaluate=evaluate_seconds,
            total=None
            if summary and train_seconds is None
            else (train_seconds or 0.0) + evaluate_seconds,
        ),
        tokens_per_second=_tokens_per_second(data, summary, recipe),
        peak_memory_bytes=max(
            (summary.peak_memory_bytes or 0) if summary else 0,
            peak_memory_bytes(workspace.hardware.device) or 0,
        )
        or None,
        stopped_early_at=stopped_at(folder),
        nll=NllByRows(**{name: _nll(rows) for name, rows in likelihoods.items()}),
        kl_to_base=KlToBase(
            general_heldout=_kl(likelihoods["general_heldout"]),
            retention=_kl(likelihoods["retention"]),
        ),
        num_test_rows=len(records),
        num_unparseable=scores.num_unparseable,
        dispersion=data.dispersion if arm.is_trained else None,
        curve=_curve(summary),
        fingerprint=fingerprint_cell(recipe, inputs, data, probes),
        provenance=collect_provenance(),
        scores=scores.values,
        checks=tuple(read_checks(folder)) if data.refine_rows is not None else (),
    )
    write_cell(folder, cell)
    return cell


def fingerprint_cell(recipe: Recipe, inputs: Inputs, data: CellData, probes: Probes) -> str:
    """Hash of what a cell is trained and tested on: a cell with another one is not this cell.

    Args:
        recipe: The recipe, resolved.
        inputs: The inputs.
        data: The cell's rows.
        probes: Rows that show what was forgotten.
    """
    parts = (
        data.manifest.fingerprint,
        hash_records(split_of(inputs, data.plan).test),
        hash_records(probes.general_heldout),
        hash_records(probes.retention),
        str(recipe.evaluation.max_new_tokens),
        *_other_anchor(data),
        *_other_backend(recipe),
    )
    return hashlib.sha256(" ".join(parts).encode("ascii")).hexdigest()


def _other_anchor(data: CellData) -> list[str]:
    """The anchor of the test prompts, where it is another than that of the training."""
    if data.tested is data.choice or data.tested is None:
        return []
    return [data.tested.anchor.id if data.tested.anchor is not None else "none"]


def _other_backend(recipe: Recipe) -> list[str]:
    """What writes the answers, where it is not transformers."""
    backend = recipe.evaluation.backend
    return [] if backend == "transformers" else [backend]


def _write_likelihoods(
    folder: Path,
    likelihoods: dict[str, list[RowLikelihood]],
    records: dict[str, tuple[Record, ...]],
) -> None:
    write_jsonl_atomically(
        folder / LIKELIHOODS_FILE,
        [
            {
                "rows": name,
                "source": row.source,
                "id": row.id,
                "nll": row.nll,
                "num_tokens": row.num_tokens,
                "end_nll": row.end_nll,
                "kl_to_base": row.kl_to_base,
                "num_kl_tokens": row.num_kl_tokens,
                # Ids are often line numbers, which rows of any two files share.
                "sha256": hash_records([replace(record, stratum="")]),
            }
            for name, rows in likelihoods.items()
            for row, record in zip(rows, records[name], strict=True)
        ],
    )


def _nll(rows: Sequence[RowLikelihood]) -> Nll | None:
    if not rows:
        return None
    tokens = sum(row.num_tokens for row in rows)
    total = sum(row.nll for row in rows)
    return Nll(
        per_token=total / tokens if tokens else None,
        per_row=total / len(rows),
        end_of_turn=sum(row.end_nll for row in rows) / len(rows),
        n_rows=len(rows),
        n_tokens=tokens,
    )


def _kl(rows: Sequence[RowLikelihood]) -> float | None:
    from levertune.evaluation.likelihood import mean_kl

    return mean_kl(rows)


def _rows_seen(data: CellData, summary: TrainSummary, recipe: Recipe) -> int:
    return min(len(data.rows), summary.steps * recipe.training.effective_batch_size)


def _exposures(data: CellData, summary: TrainSummary | None, recipe: Recipe) -> float:
    if summary is None:
        return 0
    return (_rows_seen(data, summary, recipe) - data.num_general) / len(data.task)


def _tokens(data: CellData, summary: TrainSummary | None, recipe: Recipe) -> TokenCounts:
    if summary is None:
        return TokenCounts(0, 0, 0, 0)
    return data.rows.first(_rows_seen(data, summary, recipe)).count_tokens()


def _tokens_per_second(
    data: CellData, summary: TrainSummary | None, recipe: Recipe
) -> float | None:
    if summary is None or not summary.seconds:
        return None
    tokens = _tokens(data, summary, recipe)
    return (tokens.task + tokens.general) / summary.seconds


def _curve(summary: TrainSummary | None) -> tuple[CurvePoint, ...]:
    if summary is None:
        return ()
    every = -(-len(summary.curve) // _MAX_CURVE_POINTS) or 1
    return tuple(
        CurvePoint(
            step=int(point["step"]),
            loss=point["loss"],
            task_loss=point.get("task_loss"),
            general_loss=point.get("general_loss"),
            learning_rate=point.get("learning_rate"),
        )
        for point in summary.curve[::every]
    )
