"""A cell's training order as rows to be written out for another trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from levertune.anchors.anchor import Example, plain_example
from levertune.data.home_folder import expand_home
from levertune.data.records import TASK_SOURCE, Record
from levertune.mixtures.export.rows import Export, ExportRow, TemplateFacts, TrainerSettings
from levertune.models.rendering import ChatTokenizer
from levertune.runs.arm_rows import form_example, list_forms
from levertune.runs.cells import CellData
from levertune.runs.prepare import Prepared
from levertune.training.train import count_steps


class CellRows(Sequence[ExportRow]):
    """The row at each position of a cell, looked up and rendered when it is asked for.

    Args:
        cell: The cell.
        pool: General rows by source, among them those of the cell.
        tokenizer: The renderer.
    """

    def __init__(
        self, cell: CellData, pool: dict[str, list[Record]], tokenizer: ChatTokenizer
    ) -> None:
        self._cell = cell
        self._tokenizer = tokenizer
        self._general: dict[str, dict[str, Record]] = {}
        for source, rows in cell.general.items():
            ids = {row.id for row in rows}
            self._general[source] = {r.id: r for r in pool[source] if r.id in ids}
        self._forms = list_forms(cell.plan.arm, cell.choice)
        self._texts: dict[tuple[str, str, int], tuple[Example, str, str]] = {}

    def __len__(self) -> int:
        return len(self._cell.rows)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = self._cell.rows.mixture[index]
        is_task = place.source == TASK_SOURCE
        row = (self._cell.records if is_task else self._cell.general[place.source])[place.row]
        key = (place.source, row.id, self._cell.rows.form_at(index) if is_task else 0)
        if key not in self._texts:
            self._texts[key] = self._render(*key, place.row)
        example, prompt, completion = self._texts[key]
        return ExportRow(index, place.exposure, example, prompt, completion)

    def _render(self, source: str, row_id: str, form: int, row: int) -> tuple[Example, str, str]:
        if source != TASK_SOURCE:
            example = plain_example(self._general[source][row_id])
        else:
            record, cell = self._cell.records[row], self._cell
            example = form_example(record, cell.plan.arm, cell.choice, self._forms[form])
        text = self._tokenizer.render(example)
        # The other trainer's template would refuse a system turn that this one has no place for.
        turns = self._tokenizer.place_system_turn(example.messages)
        return replace(example, messages=turns), text.prompt, text.completion + text.end


def build_export(prepared: Prepared, cell: CellData, *, all_rows: bool = False) -> Export:
    """Everything another trainer needs of a cell.

    Args:
        prepared: The run.
        cell: The cell.
        all_rows: Whether the cell trains on every task row.

    Returns:
        Its rows, its settings and what a README says of it.
    """
    tokenizer = prepared.workspace.tokenizer
    return Export(
        rows=CellRows(cell, prepared.chooser.pool, tokenizer),
        settings=_settings(prepared, cell),
        template=TemplateFacts(
            has_chat_template=tokenizer.has_chat_template,
            start_text=tokenizer.start_text,
            end_token=tokenizer.end_token,
            eos_token=tokenizer.special_tokens.get("eos_token", ""),
        ),
        facts=_facts(prepared, cell, all_rows=all_rows),
        notes=_notes(prepared, cell),
    )


def _settings(prepared: Prepared, cell: CellData) -> TrainerSettings:
    recipe, training = prepared.recipe, prepared.recipe.training
    size = training.effective_batch_size
    checkpointing = training.gradient_checkpointing
    return TrainerSettings(
        model=_model_name(prepared),
        revision=recipe.model.revision,
        trust_remote_code=recipe.model.trust_remote_code,
        dtype=recipe.model.dtype,
        learning_rate=float(training.learning_rate),
        effective_batch_size=size,
        warmup_steps=round(training.warmup_ratio * count_steps(len(cell.rows), size)),
        lr_scheduler_type=training.lr_scheduler_type,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        lora_r=training.lora_r,
        lora_alpha=training.lora_alpha,
        lora_dropout=training.lora_dropout,
        lora_target_modules=training.lora_target_modules,
        max_length=training.max_length,
        seed=cell.plan.seed,
        logging_steps=training.logging_steps,
        gradient_checkpointing=checkpointing if isinstance(checkpointing, bool) else None,
        general_loss_weight=recipe.general.loss_weight,
    )


def _model_name(prepared: Prepared) -> str:
    """The name the recipe gives; a local folder by its whole path, since it is read elsewhere."""
    name = prepared.recipe.model.model_name_or_path
    if prepared.workspace.location.origin == "folder":
        return str(expand_home(name).resolve())
    return name


def _facts(prepared: Prepared, cell: CellData, *, all_rows: bool) -> tuple[tuple[str, str], ...]:
    plan, choice = cell.plan, cell.choice
    anchor = choice.anchor if choice is not None and plan.arm.is_anchored else None
    folds = len(prepared.inputs.splits)
    if all_rows:
        held_out = "none held out"
    elif plan.fold is not None:
        held_out = f"the training rows of fold {plan.fold + 1} of {folds}"
    else:
        held_out = "the test rows are not among them"
    facts = [
        ("arm", plan.arm.name),
        ("seed", str(plan.seed)),
        ("task rows", f"{len(cell.records)} ({held_out}), {cell.exposures:g} times each"),
        ("general rows", f"{cell.num_general}, once each"),
        ("anchor", "none" if anchor is None else anchor.text),
    ]
    if anchor is not None:
        facts.append(("anchor placement", anchor.placement))
        if anchor.lead_in:
            facts.append(("anchor lead-in", anchor.lead_in))
        if anchor.dropout:
            facts.append(("anchor dropout", f"{anchor.dropout:g}"))
        for stage in choice.stages[1:] if choice is not None else ():
            facts.append(
                (f"anchor from {stage.start:.0%}", stage.anchor.text if stage.anchor else "none")
            )
    return (*facts, ("manifest", cell.manifest.fingerprint))


def _notes(prepared: Prepared, cell: CellData) -> tuple[str, ...]:
    notes = []
    if cell.plan.arm.matches_steps:
        notes.append(
            f"levertune stops the arm {cell.plan.arm.name} early: a trial finds the last step at "
            "which held-out training rows are answered no worse than at the best one by more than "
            "one standard error. These are the rows up to its limit."
        )
    if prepared.workspace.location.origin == "embedded":
        notes.append(
            "levertune took the base model out of an installed package, where its weights are "
            "rounded to about four bits. Under the same name the Hub has the unrounded ones."
        )
    if quantization := prepared.workspace.quantization:
        notes.append(
            f"levertune keeps the linear layers of the base model in {quantization}; nothing here "
            "says so to the other trainer, which has a setting of its own for it."
        )
    return tuple(notes)
