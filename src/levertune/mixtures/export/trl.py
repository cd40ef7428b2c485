"""TRL: prompt-completion rows and a configuration for `trl sft`.

Options as in TRL 1.16 (`SFTConfig`, `ModelConfig`, `DatasetMixtureConfig`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levertune.errors import DataError
from levertune.mixtures.export.files import COLUMN_TYPES, turn_type, write_parquet, write_yaml
from levertune.mixtures.export.readme import Readme
from levertune.mixtures.export.rows import Export, find_plain_reason, refuse_loss_weight

ROWS_FILE = "train.parquet"
CONFIG_FILE = "train.yaml"
_ORIGIN = {name: kind for name, kind in COLUMN_TYPES.items() if name != "lead_in"}


def write_trl(export: Export, folder: Path) -> Readme:
    """Write rows and configuration for `trl sft`.

    Args:
        export: The mixture.
        folder: An empty folder.

    Returns:
        What its README says.

    Raises:
        RecipeError: If general rows have a loss weight of their own.
        DataError: If a row cannot be expressed.
    """
    refuse_loss_weight(export, "TRL")
    reason = find_plain_reason(export)
    if reason is None:
        kind: Any = turn_type()
        write_parquet(
            folder / ROWS_FILE,
            _conversations(export),
            {**_ORIGIN, "prompt": kind, "completion": kind},
        )
    else:
        write_parquet(
            folder / ROWS_FILE,
            _texts(export),
            {**_ORIGIN, "prompt": "string", "completion": "string"},
        )
    write_yaml(
        folder / CONFIG_FILE,
        _config(export, is_text=reason is not None),
        "trl sft --config train.yaml",
    )
    return Readme(
        trainer="TRL 1.16",
        command=f"trl sft --config {CONFIG_FILE}",
        status="levertune's tests load this folder with TRL's own loader and trainer and find the "
        "same rows in the same order, with the loss on the same text but for what is listed below. "
        "Trained with once, a tiny model on a CPU.",
        rows=_describe_rows(reason),
        differences=_differences(reason),
    )


def _conversations(export: Export) -> Iterator[dict[str, Any]]:
    for row in export:
        answer = {"role": "assistant", "content": row.example.completion}
        yield {**row.origin, "prompt": row.turns, "completion": [answer]}


def _texts(export: Export) -> Iterator[dict[str, Any]]:
    """Rows as levertune renders them; the tokenizer puts its own start token before each."""
    facts = export.template
    for row in export:
        if not row.completion_text.endswith(facts.end_token):
            raise DataError(
                f"{row.example.source} row {row.example.id!r}: TRL ends every row with one token; "
                f"found rows that end in {facts.end_token!r} and this one, which does not. Leave "
                "plain texts out of the general sources, or export with --to axolotl."
            )
        prompt = row.prompt_text.removeprefix(facts.start_text)
        yield {**row.origin, "prompt": prompt, "completion": row.completion_text}


def _config(export: Export, *, is_text: bool) -> dict[str, Any]:
    settings, facts = export.settings, export.template
    return {
        "model_name_or_path": settings.model,
        "model_revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code or None,
        "dtype": settings.weights_dtype,
        "datasets": [{"path": "parquet", "data_files": ROWS_FILE, "split": "train"}],
        "output_dir": "output",
        # the order and the loss
        "shuffle_dataset": False,
        "train_sampling_strategy": "sequential",
        "dataloader_drop_last": False,
        "packing": False,
        "completion_only_loss": True,
        "max_length": settings.max_length,
        "num_train_epochs": 1,
        "per_device_train_batch_size": settings.effective_batch_size,
        "gradient_accumulation_steps": 1,
        # TRL adds its eos_token to a text that does not end in it
        "eos_token": facts.end_token if is_text and facts.end_token != facts.eos_token else None,
        # the adapter
        "use_peft": True,
        "lora_r": settings.lora_r,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "lora_target_modules": settings.target_modules,
        # the optimizer
        **settings.optimizer,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "optim": "adamw_torch",
        "gradient_checkpointing": settings.gradient_checkpointing,
        **settings.half_precision,
        "save_strategy": "no",
        "report_to": "none",
    }


def _describe_rows(reason: str | None) -> str:
    if reason is None:
        return (
            f"`{ROWS_FILE}` holds conversational prompt-completion rows; the model's own chat "
            "template writes them out. The other columns say where a row comes from."
        )
    return (
        f"`{ROWS_FILE}` holds prompt and completion as texts, as levertune writes them out, "
        f"because {reason}. The other columns say where a row comes from."
    )


def _differences(reason: str | None) -> tuple[str, ...]:
    found = [
        "A row longer than `max_length` is cut at its end; levertune drops it whole. No row here "
        "was longer when levertune counted.",
        "Prompt and completion are tokenized together, so a token may reach over the seam; "
        "levertune tokenizes them apart.",
        "The loss is the mean over the supervised tokens of a step, as levertune's.",
        "Without a GPU add `--use_cpu true --bf16 false --dtype float32`.",
    ]
    if reason is None:
        found.insert(
            0,
            "What the chat template writes after the end of the turn (often a line end) is learnt "
            "too; levertune's loss ends with the end of the turn.",
        )
    return tuple(found)
