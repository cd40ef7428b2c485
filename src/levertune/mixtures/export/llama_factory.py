"""LLaMA-Factory: rows, `dataset_info.json` and a configuration for `llamafactory-cli train`.

Options as in LLaMA-Factory 0.9.5 (`hparams/`, `data/README.md`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levertune.errors import DataError
from levertune.mixtures.export.files import COLUMN_TYPES, turn_type, write_parquet, write_yaml
from levertune.mixtures.export.readme import Readme
from levertune.mixtures.export.rows import Export, ExportRow, find_plain_reason, refuse_loss_weight
from levertune.results.files import write_json_atomically

ROWS_FILE = "train.parquet"
CONFIG_FILE = "train.yaml"
DATASET = "levertune"

_ORIGIN = {name: kind for name, kind in COLUMN_TYPES.items() if name != "lead_in"}
_PLACE_OF_TURN = "{{idx}}"  # its formatter puts the turn's number there, in the row's own text too
_TURNS = {
    "file_name": ROWS_FILE,
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    },
}
_TEXTS = {
    "file_name": ROWS_FILE,
    "formatting": "alpaca",
    "columns": {"prompt": "prompt", "response": "completion"},
}


def write_llama_factory(export: Export, folder: Path) -> Readme:
    """Write rows, their description and a configuration for `llamafactory-cli train`.

    Args:
        export: The mixture.
        folder: An empty folder.

    Returns:
        What its README says.

    Raises:
        RecipeError: If general rows have a loss weight of their own.
        DataError: If a row cannot be expressed.
    """
    refuse_loss_weight(export, "LLaMA-Factory")
    reason = find_plain_reason(export)
    if reason is None:
        write_parquet(
            folder / ROWS_FILE,
            _conversations(export),
            {**_ORIGIN, "messages": turn_type()},
        )
    else:
        write_parquet(
            folder / ROWS_FILE,
            _texts(export),
            {**_ORIGIN, "prompt": "string", "completion": "string"},
        )
    write_json_atomically(
        folder / "dataset_info.json", {DATASET: _TURNS if reason is None else _TEXTS}
    )
    write_yaml(
        folder / CONFIG_FILE,
        _config(export, is_text=reason is not None),
        f"llamafactory-cli train {CONFIG_FILE}",
    )
    return Readme(
        trainer="LLaMA-Factory 0.9.5",
        command=f"llamafactory-cli train {CONFIG_FILE}",
        status="A test of levertune's loads this folder with LLaMA-Factory's own loader, in an "
        "environment of its own, and finds the same rows in the same order. Trained with once, a "
        "tiny model on a CPU.",
        rows=_describe_rows(reason),
        differences=_differences(reason),
    )


def _conversations(export: Export) -> Iterator[dict[str, Any]]:
    for row in export:
        _refuse_place_of_turn(row, *(turn["content"] for turn in row.turns))
        yield {**row.origin, "messages": row.conversation}


def _texts(export: Export) -> Iterator[dict[str, Any]]:
    for row in export:
        _refuse_place_of_turn(row, row.prompt_text)
        yield {**row.origin, "prompt": row.prompt_text, "completion": row.completion_text}


def _refuse_place_of_turn(row: ExportRow, *texts: str) -> None:
    if any(_PLACE_OF_TURN in text for text in texts):
        raise DataError(
            f"{row.example.source} row {row.example.id!r}: LLaMA-Factory replaces "
            f"{_PLACE_OF_TURN!r} in a prompt by the turn's number; found it there. Remove it, or "
            "export for another trainer."
        )


def _config(export: Export, *, is_text: bool) -> dict[str, Any]:
    settings = export.settings
    targets = settings.target_modules
    checkpointing = settings.gradient_checkpointing
    return {
        "model_name_or_path": settings.model,
        "model_revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code or None,
        "stage": "sft",
        "do_train": True,
        "dataset_dir": ".",
        "dataset": DATASET,
        # without the key the chat template of the model itself is read
        "template": "empty" if is_text else None,
        "enable_thinking": False,
        "output_dir": "output",
        # the order and the loss
        "disable_shuffling": True,
        "dataloader_drop_last": False,
        "packing": False,
        "train_on_prompt": False,
        "mask_history": True,
        "cutoff_len": settings.max_length,
        "overwrite_cache": True,
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": settings.effective_batch_size,
        "gradient_accumulation_steps": 1,
        # the adapter
        "finetuning_type": "lora",
        "lora_rank": settings.lora_r,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "lora_target": "all" if targets == ["all-linear"] else ",".join(targets),
        # the optimizer
        **settings.optimizer,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "optim": "adamw_torch",
        "disable_gradient_checkpointing": None if checkpointing is None else not checkpointing,
        **settings.half_precision,
        "save_strategy": "no",
        "report_to": "none",
    }


def _describe_rows(reason: str | None) -> str:
    if reason is None:
        return (
            f"`{ROWS_FILE}` holds conversations (`sharegpt` with the roles user, assistant and "
            "system); LLaMA-Factory reads the template out of the model's own. Name one of its "
            "templates as `template: NAME` if you prefer it."
        )
    return (
        f"`{ROWS_FILE}` holds prompt and completion as texts (`alpaca`), written out as levertune "
        f"writes them, because {reason}. Leave `template: empty`, which adds nothing."
    )


def _differences(reason: str | None) -> tuple[str, ...]:
    found = [
        "A row longer than `cutoff_len` is cut, prompt and answer; levertune drops it whole. No "
        "row here was longer when levertune counted.",
        "On one device without accumulation the loss is the mean over the supervised tokens of a "
        "step, as levertune's.",
        "Only the last answer of a conversation is learnt, as in levertune (`mask_history`).",
    ]
    if reason is None:
        found.insert(
            0,
            "It takes the model's chat template apart and puts it together again; what stands "
            "after the end of a turn (often a line end) is learnt too, and a template that does "
            "more than frame its turns is not followed.",
        )
    return tuple(found)
