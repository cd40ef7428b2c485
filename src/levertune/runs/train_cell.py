"""Train one cell, or find it trained; a killed training goes on where it stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

from levertune.anchors.lift import Lifting, shared_instruction
from levertune.data.splits import Split, split_holdout
from levertune.errors import DataError, ModelError, RunError
from levertune.mixtures.manifest import check_same_run, read_manifest, write_manifest
from levertune.mixtures.order import build_mixture
from levertune.mixtures.plan import MixturePlan
from levertune.models.adapters import (
    CARD_FILE,
    AdapterCard,
    check_base,
    read_card,
    write_card,
)
from levertune.models.context_length import context_length
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.results.anchor_checks import DECISIONS_FILE
from levertune.results.files import read_json, write_json_atomically
from levertune.runs.cells import CellData
from levertune.runs.decided import as_trained
from levertune.runs.early_stopping import VALIDATION_SHARE, EarlyStopper, Validation
from levertune.runs.mixture_rows import MixtureRows
from levertune.runs.refiner import AnchorRefiner
from levertune.runs.together import train_together
from levertune.runs.workspace import Workspace
from levertune.training.checkpoints import remove_checkpoints, step_to_go_on_from
from levertune.training.seal import DamagedError
from levertune.training.train import (
    ADAPTER_FOLDER,
    TrainingConfig,
    TrainSummary,
    check_finished,
    count_steps,
    read_summary,
)

MANIFEST_FILE = "manifest.json"
STOP_FILE = "early_stop.json"
TRIAL_FOLDER = "trial"


def train_cell(
    recipe: Recipe,
    workspace: Workspace,
    data: CellData,
    folder: Path,
    progress: Progress,
    *,
    variant: str = "",
) -> TrainSummary:
    """Train a cell's adapter into `folder/adapter`.

    Args:
        recipe: The recipe, resolved.
        workspace: The model.
        data: The cell's rows.
        folder: The cell's folder.
        progress: Where to show progress.
        variant: What tells this training from others of the same cell, for trackers and progress.

    Returns:
        What the training did, now or when it was done before.

    Raises:
        ModelError: If the folder holds an adapter of another base model.
        RunError: If the folder holds a cell made from something else, or another cell's adapter.
    """
    claim_folder(folder, data)
    check_adapter(folder, workspace.model_hash)
    adapter = folder / ADAPTER_FOLDER
    name = f"{Path(recipe.output_dir).name}/{data.plan.label}{variant and f' {variant}'}"
    finished = _find_finished(folder, progress)
    if finished is not None:
        # A kill may have come before its card, or before the checkpoints went.
        remove_checkpoints(folder)
        write_card(adapter, make_card(recipe, workspace, as_trained(data, folder, workspace)))
        return finished
    rows = data.rows
    if data.plan.arm.matches_steps:
        stop = _find_stop(recipe, workspace, data, folder, progress, run_name=f"{name} trial")
        rows = rows.first(min(len(rows), stop * recipe.training.effective_batch_size))
    refiner = _make_refiner(recipe, workspace, data, folder)
    summary = train_together(
        recipe,
        workspace,
        data.longest_row,
        rows if refiner is None else refiner.rows,
        training_config(recipe, data.plan.seed),
        folder,
        tokens=data.tokens.task + data.tokens.general,
        fingerprint={"manifest": data.manifest.fingerprint, "rows": len(rows)},
        on_step=refiner,
        on_start=None if refiner is None else refiner.start,
        kept=() if refiner is None else (DECISIONS_FILE,),
        progress=progress,
        label=f"train {data.plan.label}{variant and f' {variant}'}",
        run_name=name,
    )
    write_card(adapter, make_card(recipe, workspace, as_trained(data, folder, workspace)))
    return summary


def _find_finished(folder: Path, progress: Progress) -> TrainSummary | None:
    """The summary of a training whose adapter is there and whole; else None."""
    adapter = folder / ADAPTER_FOLDER
    if not (adapter / "adapter_config.json").is_file():
        return None
    summary = read_summary(folder)
    try:
        check_finished(folder, summary)
    except DamagedError as error:
        progress.warn(f"{adapter}: is damaged; {error}. It is trained again and replaced then.")
        return None
    return summary


def check_undamaged(folder: Path, summary: TrainSummary) -> None:
    """Refuse an adapter whose files are not as its training left them.

    Args:
        folder: The cell's folder.
        summary: What its training wrote at its end.

    Raises:
        RunError: If a file is missing, damaged or cannot be read.
    """
    try:
        check_finished(folder, summary)
    except DamagedError as error:
        raise RunError(
            f"{folder / ADAPTER_FOLDER}: is damaged; {error}. Train it again, with: levertune train"
        ) from error


def _make_refiner(
    recipe: Recipe, workspace: Workspace, data: CellData, folder: Path
) -> AnchorRefiner | None:
    if data.refine_rows is None:
        return None
    base = workspace.base(data.longest_row)
    return AnchorRefiner(recipe, workspace, data, folder, context_length=context_length(base))


def claim_folder(folder: Path, data: CellData) -> None:
    """Write the cell's manifest, or check that the one there is the same.

    Raises:
        RunError: If it differs, naming what changed.
    """
    path = folder / MANIFEST_FILE
    if path.is_file():
        check_same_run(path, data.manifest)
        return
    write_manifest(path, data.manifest)


def check_adapter(folder: Path, base_sha256: str) -> None:
    """Refuse an adapter in a cell's folder that was not trained there, or not on this base model.

    Args:
        folder: The cell's folder.
        base_sha256: Fingerprint of the base model.

    Raises:
        ModelError: If it was trained on another base model, or its card cannot be read.
        RunError: If it was trained for another cell than the folder's manifest describes.
    """
    adapter = folder / ADAPTER_FOLDER
    needed = (folder / MANIFEST_FILE, adapter / CARD_FILE, adapter / "adapter_config.json")
    if not all(path.is_file() for path in needed):
        return  # none there, or a kill came before its card
    card = read_card(adapter)
    try:
        check_base(adapter, card, base_sha256)
    except ModelError as error:
        raise ModelError(f"{folder}/{error}") from error
    if card.fingerprint != read_manifest(folder / MANIFEST_FILE).fingerprint:
        raise RunError(
            f"{adapter}: was trained for another cell (arm {card.arm!r}, manifest "
            f"{card.fingerprint[:12]}). Remove the folder to have this cell's adapter trained, or "
            "choose another output_dir."
        )


def training_config(recipe: Recipe, seed: int) -> TrainingConfig:
    """The recipe's training section as the engine takes it."""
    section = recipe.training
    targets = section.lora_target_modules
    return TrainingConfig(
        learning_rate=float(section.learning_rate),
        effective_batch_size=section.effective_batch_size,
        lora_r=section.lora_r,
        lora_alpha=section.lora_alpha,
        lora_dropout=section.lora_dropout,
        lora_target_modules=targets if isinstance(targets, str) else tuple(targets),
        warmup_ratio=section.warmup_ratio,
        lr_scheduler_type=section.lr_scheduler_type,
        weight_decay=section.weight_decay,
        max_grad_norm=section.max_grad_norm,
        general_loss_weight=recipe.general.loss_weight,
        seed=seed,
        save_steps=int(section.save_steps) if section.save_steps != "auto" else None,
        save_minutes=section.save_minutes,
        save_total_limit=section.save_total_limit,
        logging_steps=section.logging_steps,
        report_to=tuple(section.report_to),
        gradient_checkpointing=section.gradient_checkpointing is True,
    )


def make_card(recipe: Recipe, workspace: Workspace, data: CellData) -> AdapterCard:
    """What an adapter needs to be used as it was trained."""
    choice, arm = data.choice, data.plan.arm
    return AdapterCard(
        base_model=workspace.location.name,
        base_sha256=workspace.model_hash,
        arm=arm.name,
        anchor=choice.served if choice is not None and arm.is_anchored else None,
        lifting=choice.lifting if choice is not None else Lifting(),
        max_new_tokens=int(recipe.evaluation.max_new_tokens),
        fingerprint=data.manifest.fingerprint,
        revision=recipe.model.revision,
        dtype=workspace.hardware.dtype_name,
        quantization=workspace.quantization,
    )


def steps_behind(folder: Path) -> int | None:
    """The step an interrupted training (or trial) will go on from; None if there is none."""
    return step_to_go_on_from(folder) or step_to_go_on_from(folder / TRIAL_FOLDER)


def stopped_at(folder: Path) -> int | None:
    """The step early stopping chose, None where there was none or it ran through."""
    path = folder / STOP_FILE
    if not path.is_file():
        return None
    found = read_json(path)
    return int(found["step"]) if found["step"] < found["num_steps"] else None


def was_stopped_by_twins(folder: Path) -> bool:
    """Whether near duplicates of training rows were among the rows that found the stop."""
    path = folder / STOP_FILE
    return path.is_file() and bool(read_json(path).get("parted_rows"))


def _find_stop(
    recipe: Recipe,
    workspace: Workspace,
    data: CellData,
    folder: Path,
    progress: Progress,
    *,
    run_name: str,
) -> int:
    """Number of steps for the arm that may take as many as `tell`.

    A trial on four fifths of the rows finds the last step at which the others are answered as well
    as ever; the arm is then trained afresh on all its rows for so many steps, with a schedule of
    that length. So the
    baseline loses no rows to validation and sees no test row.
    """
    from levertune.evaluation.likelihood import (
        mean_nll_with_end,
        score_likelihood,
    )

    path = folder / STOP_FILE
    if path.is_file():
        return int(read_json(path)["step"])
    size = recipe.training.effective_batch_size
    num_steps = count_steps(len(data.rows), size)
    split = _hold_out(data)
    if split is None:
        return num_steps
    held = {record.id for record in split.test}
    trial = [row for row in data.task if row.id not in held]
    validation = [row for row in data.task if row.id in held]
    exposures = -(-len(data.rows) // len(trial))
    seed = data.rows.mixture.plan.seed
    mixture = build_mixture(MixturePlan(len(trial), exposures, (), "even", seed))
    rows = MixtureRows(mixture, [trial], {}, num_positions=len(data.rows))

    def validate(model: object) -> Validation:
        scored = score_likelihood(
            model,  # type: ignore[arg-type]
            validation,
            hardware=workspace.hardware,
            pad_id=workspace.tokenizer.pad_id,
        )
        nll = mean_nll_with_end(scored)
        if nll is None:
            raise RuntimeError("validation rows without supervised tokens")
        return Validation(tuple(row.token_error for row in scored), nll)

    stopper = EarlyStopper(validate, num_steps, folder / "validation.jsonl")
    trial_folder = folder / TRIAL_FOLDER
    if not stopper.has_decided:  # a kill may have come between the trial's end and the file below
        train_together(
            recipe,
            workspace,
            data.longest_row,
            rows,
            training_config(recipe, data.plan.seed),
            trial_folder,
            tokens=data.tokens.task + data.tokens.general,
            fingerprint={"manifest": data.manifest.fingerprint, "rows": "trial"},
            on_step=stopper,
            progress=progress,
            label=f"find the stop of {data.plan.label}",
            run_name=run_name,
            keep_adapter=False,
        )
    write_json_atomically(
        path,
        {
            "step": stopper.best_step,
            "num_steps": num_steps,
            "validation_rows": len(validation),
            "parted_rows": sum(len(g.ids) for g in split.large_groups if g.is_parted),
            "seen": stopper.curve,
        },
    )
    shutil.rmtree(trial_folder, ignore_errors=True)
    return stopper.best_step


def _hold_out(data: CellData) -> Split | None:
    """The rows to validate on and the others; None where the rows cannot be told apart."""
    instruction = shared_instruction(data.records)
    try:
        return split_holdout(
            data.records, VALIDATION_SHARE, seed=data.plan.seed, instruction=instruction
        )
    except DataError:  # one row, or rows that are all alike: nothing to validate on
        return None
