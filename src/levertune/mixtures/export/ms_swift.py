"""ms-swift: rows and arguments for `swift sft`.

Options as in ms-swift 4.6 (`swift/arguments/`, `docs/source_en/`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from levertune.errors import RecipeError
from levertune.mixtures.export.files import write_yaml
from levertune.mixtures.export.readme import Readme
from levertune.mixtures.export.rows import Export, find_plain_reason, refuse_loss_weight
from levertune.results.files import write_jsonl_atomically

ROWS_FILE = "train.jsonl"
CONFIG_FILE = "train.yaml"


def write_ms_swift(export: Export, folder: Path) -> Readme:
    """Write rows and arguments for `swift sft`.

    Args:
        export: The mixture.
        folder: An empty folder.

    Returns:
        What its README says.

    Raises:
        RecipeError: If general rows have a loss weight of their own, or a row is no conversation.
    """
    refuse_loss_weight(export, "ms-swift")
    reason = find_plain_reason(export)
    if reason is not None:
        raise RecipeError(
            f"--to ms-swift: it writes every row through a chat template and learns whole answers; "
            f"found that {reason}. Export with --to trl, llama-factory or axolotl."
        )
    write_jsonl_atomically(folder / ROWS_FILE, ({"messages": row.conversation} for row in export))
    write_yaml(folder / CONFIG_FILE, _config(export), f"swift sft {CONFIG_FILE}")
    return Readme(
        trainer="ms-swift 4.6",
        command=f"swift sft {CONFIG_FILE}",
        status="Trained with once, SmolLM2-135M-Instruct on a CPU with `model_type: llama` and "
        "`template: chatml`: the rows of the first step and the tokens learnt were levertune's, "
        "and the line end after each answer. Look at a few batches before you trust it for another "
        "model.",
        rows=f"`{ROWS_FILE}` holds conversations in ms-swift's standard format (`messages`).",
        differences=(
            "It writes rows with the template it has registered for the model, which need not be "
            "the one in the model's own files. `template_backend: jinja` uses that one, but takes "
            "the loss on the whole conversation.",
            "A model it does not know needs `model_type` and `template` in the configuration, and "
            "where a row has no system turn it writes none.",
            "A row longer than `max_length` is left out without a list of such rows "
            "(`truncation_strategy: delete`). No row here was longer when levertune counted.",
            "On several devices it leaves out the last rows that do not fill all of them.",
            "Only the last answer of a conversation is learnt, as in levertune (`loss_scale: "
            "last_round`).",
            "The model comes from the Hugging Face Hub (`use_hf: true`), not from ModelScope.",
        ),
    )


def _config(export: Export) -> dict[str, Any]:
    settings = export.settings
    return {
        "model": settings.model,
        "model_revision": settings.revision,
        "use_hf": True,
        "torch_dtype": settings.weights_dtype,
        "dataset": [ROWS_FILE],
        "output_dir": "output",
        "add_version": False,
        # the order and the loss
        "dataset_shuffle": False,
        "train_dataloader_shuffle": False,
        "dataloader_drop_last": False,
        "split_dataset_ratio": 0.0,
        "packing": False,
        "loss_scale": "last_round",
        "strict": True,
        "max_length": settings.max_length,
        "truncation_strategy": "delete",
        "num_train_epochs": 1,
        "per_device_train_batch_size": settings.effective_batch_size,
        "gradient_accumulation_steps": 1,
        # the adapter
        "tuner_type": "lora",
        "lora_rank": settings.lora_r,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "target_modules": settings.target_modules,
        # the optimizer
        **settings.optimizer,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "optim": "adamw_torch",
        "adam_beta2": 0.999,
        "data_seed": settings.seed,
        "gradient_checkpointing": settings.gradient_checkpointing,
        **settings.half_precision,
        "save_strategy": "epoch",
        "report_to": ["none"],
    }
