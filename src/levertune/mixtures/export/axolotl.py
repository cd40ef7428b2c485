"""axolotl: rows and a configuration for `axolotl train`.

Options as in axolotl 0.18 (`utils/schemas/`, `docs/dataset-formats/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.mixtures.export.files import turn_type, write_parquet, write_yaml
from levertune.mixtures.export.readme import NOT_RUN, Readme
from levertune.mixtures.export.rows import Export, find_plain_reason, refuse_loss_weight

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_FILE = "train.parquet"
CONFIG_FILE = "train.yaml"


def write_axolotl(export: Export, folder: Path) -> Readme:
    """Write rows and configuration for `axolotl train`.

    Args:
        export: The mixture.
        folder: An empty folder.

    Returns:
        What its README says.

    Raises:
        RecipeError: If general rows have a loss weight of their own.
        DataError: If a text cannot be stored.
    """
    import pyarrow as pa

    refuse_loss_weight(export, "axolotl")
    reason = find_plain_reason(export)
    if reason is None:
        write_parquet(
            folder / ROWS_FILE, _conversations(export), {"messages": turn_type(train=pa.bool_())}
        )
    else:
        write_parquet(folder / ROWS_FILE, _segments(export), {"segments": _segment_type()})
    write_yaml(
        folder / CONFIG_FILE,
        _config(export, is_text=reason is not None),
        f"axolotl train {CONFIG_FILE}",
    )
    return Readme(
        trainer="axolotl 0.18",
        command=f"axolotl train {CONFIG_FILE}",
        status=NOT_RUN,
        rows=_describe_rows(reason),
        differences=_differences(reason),
    )


def _conversations(export: Export) -> Iterator[dict[str, Any]]:
    """Turns with `train` true on the answer alone."""
    for row in export:
        *before, answer = row.conversation
        turns = [{**turn, "train": False} for turn in before]
        yield {"messages": [*turns, {**answer, "train": True}]}


def _segments(export: Export) -> Iterator[dict[str, Any]]:
    """Texts as levertune renders them; axolotl adds nothing to a segment."""
    for row in export:
        yield {
            "segments": [
                {"label": False, "text": row.prompt_text},
                {"label": True, "text": row.completion_text},
            ]
        }


def _segment_type() -> pa.DataType:
    import pyarrow as pa

    return pa.list_(pa.struct([("label", pa.bool_()), ("text", pa.string())]))


def _config(export: Export, *, is_text: bool) -> dict[str, Any]:
    settings, facts = export.settings, export.template
    dataset: dict[str, Any] = {"path": ROWS_FILE, "ds_type": "parquet"}
    if is_text:
        dataset["type"] = "input_output"
    else:
        dataset |= {
            "type": "chat_template",
            "field_messages": "messages",
            "message_field_training": "train",
            "roles_to_train": [],
            "train_on_eos": "turn",
        }
    targets = settings.target_modules
    is_all_linear = targets == ["all-linear"]
    ends_otherwise = not is_text and facts.end_token != facts.eos_token
    return {
        "base_model": settings.model,
        "revision_of_model": settings.revision,
        "trust_remote_code": settings.trust_remote_code or None,
        "datasets": [dataset],
        "eot_tokens": [facts.end_token] if ends_otherwise else None,
        "dataset_prepared_path": "prepared",
        "output_dir": "output",
        # the order and the loss; without curriculum_sampling its trainer draws at random
        "shuffle_merged_datasets": False,
        "curriculum_sampling": True,
        "sample_packing": False,
        "dataset_exact_deduplication": False,
        "dataloader_drop_last": False,
        "train_on_inputs": False,
        "val_set_size": 0.0,
        "sequence_len": settings.max_length,
        "excess_length_strategy": "raise",
        "num_epochs": 1,
        "micro_batch_size": settings.effective_batch_size,
        "gradient_accumulation_steps": 1,
        # the adapter
        "adapter": "lora",
        "lora_r": settings.lora_r,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "lora_target_linear": True if is_all_linear else None,
        "lora_target_modules": None if is_all_linear else targets,
        # the optimizer
        **settings.optimizer,
        "lr_scheduler": settings.lr_scheduler_type,
        "optimizer": "adamw_torch",
        "gradient_checkpointing": settings.gradient_checkpointing,
        **settings.half_precision,
        "float32": True if settings.dtype == "float32" else None,
        "save_strategy": "no",
    }


def _describe_rows(reason: str | None) -> str:
    if reason is None:
        return (
            f"`{ROWS_FILE}` holds conversations (`type: chat_template`); `train` marks the answer, "
            "the one turn that is learnt."
        )
    return (
        f"`{ROWS_FILE}` holds segments (`type: input_output`), as levertune writes them out, "
        f"because {reason}. `label` marks what is learnt."
    )


def _differences(reason: str | None) -> tuple[str, ...]:
    found = [
        "A row longer than `sequence_len` stops the run (`excess_length_strategy: raise`); "
        "levertune drops it whole. No row here was longer when levertune counted.",
        "`curriculum_sampling: true` keeps the order: with `shuffle_merged_datasets: false` alone "
        "its trainer would still draw rows at random.",
        "It does not look at the rows again once `prepared/` is there: remove that folder after "
        "changing them.",
        "axolotl needs a GPU.",
    ]
    if reason is None:
        found.insert(
            0,
            "Prompt and answer are rendered together by the model's own chat template and the "
            "answer is found in it by comparing tokens.",
        )
    return tuple(found)
