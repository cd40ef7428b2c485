"""What to say about a key that is not the recipe's: the nearest known one, or the one meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from levertune.recipes.rules import models_in

_EXPOSURES = frozenset(
    {"num_train_epochs", "max_steps", "epochs", "num_epochs", "max_epochs", "n_epochs"}
)

# How other trainers call what a recipe has under another name.
_MEANT = {
    "adapter_r": "training.lora_r",
    "alpha": "training.lora_alpha",
    "base_model": "model.model_name_or_path",
    "batch_size": "training.effective_batch_size",
    "bf16": "model.dtype",
    "col_prompt": "task.prompt",
    "cutoff_len": "training.max_length",
    "data": "task.path",
    "dataset": "task.path",
    "dataset_name": "task.path",
    "dataset_path": "task.path",
    "datasets": "general.sources",
    "dropout": "training.lora_dropout",
    "eval_batch_size": "evaluation.batch_size",
    "fp16": "model.dtype",
    "gradient_accumulation_steps": "training.effective_batch_size",
    "input": "task.prompt",
    "instruction": "anchor.text",
    "load_in_4bit": "model.quantization",
    "lora_rank": "training.lora_r",
    "lora_target": "training.lora_target_modules",
    "lr": "training.learning_rate",
    "lr_scheduler": "training.lr_scheduler_type",
    "max_seq_len": "training.max_length",
    "max_seq_length": "training.max_length",
    "micro_batch_size": "training.effective_batch_size",
    "model_id": "model.model_name_or_path",
    "model_name": "model.model_name_or_path",
    "output": "task.completion",
    "per_device_eval_batch_size": "evaluation.batch_size",
    "per_device_train_batch_size": "training.effective_batch_size",
    "precision": "model.dtype",
    "r": "training.lora_r",
    "rank": "training.lora_r",
    "response": "task.completion",
    "run_name": "output_dir",
    "scheduler": "training.lr_scheduler_type",
    "seed": "seeds",
    "sequence_len": "training.max_length",
    "system_prompt": "anchor.text",
    "target": "task.completion",
    "target_modules": "training.lora_target_modules",
    "test_file": "task.test",
    "test_size": "task.test",
    "torch_dtype": "model.dtype",
    "train_file": "task.path",
    "val_set_size": "task.test",
    "validation_file": "task.test",
    "warmup_steps": "training.warmup_ratio",
}

# What a value given for a whole section was probably meant for.
_SECTION_MEANT = {
    "task": "task.path",
    "anchor": "anchor.text",
    "general": "general.rows",
    "mixture": "mixture.order",
    "model": "model.model_name_or_path",
}


def all_keys(root: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a model, sections before their keys; list items are left out."""
    for name, field in root.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from all_keys(field.annotation, f"{prefix}{name}.")


def unknown_key(root: type[BaseModel], section: Sequence[str | int], name: str) -> str:
    """What is wrong with the key `name` of `section`, and what to write instead.

    Args:
        root: The recipe's model.
        section: Where the key was found.
        name: The key.
    """
    if name in _EXPOSURES:
        return (
            "is no recipe key: levertune counts how often each task row is trained on, not epochs "
            "or steps. Set task.exposures."
        )
    here = _keys_of(root, section)
    prefix = "".join(f"{part}." for part in section)
    near = difflib.get_close_matches(name, here, n=1, cutoff=0.75)
    elsewhere = [key for key in all_keys(root) if key.rsplit(".", 1)[-1] == name]
    if name in _MEANT:
        elsewhere.insert(0, _MEANT[name])
    if near:
        advice = f"Did you mean {prefix}{near[0]}?"
    elif elsewhere:
        advice = f"Did you mean {' or '.join(elsewhere)}?"
    elif loose := difflib.get_close_matches(name, here, n=1, cutoff=0.5):
        advice = f"Did you mean {prefix}{loose[0]}?"
    elif far := difflib.get_close_matches(name, all_keys(root), n=1, cutoff=0.5):
        advice = f"Did you mean {far[0]}?"
    else:
        advice = f"Known here: {', '.join(here)}."
    return f"is not a recipe key. {advice}"


def not_a_section(key: Sequence[str | int], value: object) -> str:
    """What is wrong with a plain value where a section belongs."""
    meant = _SECTION_MEANT.get(str(key[-1])) if len(key) == 1 else None
    advice = f" Did you mean {meant}={value}?" if meant and isinstance(value, str | int) else ""
    return f"must be a section of keys and values; found {short(value)}.{advice}"


def short(value: object) -> str:
    """A value as Python writes it, cut where it gets long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _keys_of(root: type[BaseModel], section: Sequence[str | int]) -> list[str]:
    model = root
    for part in section:
        if isinstance(part, str):
            model = next(models_in(model.model_fields[part].annotation))
    return list(model.model_fields)
