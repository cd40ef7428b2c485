"""How many tokens a model reads, by its `config.json` or once it is loaded; torch is not needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

# GPT-2 and its like, MPT: what the rest call `max_position_embeddings`.
_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len")


def read_context_length(folder: Path) -> int | None:
    """Most tokens of prompt and answer together that a model reads.

    Args:
        folder: The model's folder, or that of its tokenizer.

    Returns:
        The number; None where the file is not there or does not say.
    """
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a folder without it, or a broken one, is told of elsewhere
        return None
    if not isinstance(content, dict):
        return None
    text = content.get("text_config")  # of models that see or hear too
    for values in (text if isinstance(text, dict) else {}, content):
        for key in _KEYS:
            if isinstance(values.get(key), int):
                return int(values[key])
    return None


def context_length(model: PreTrainedModel | PeftModel) -> int | None:
    """The same of a loaded model, with or without an adapter."""
    limit: int | None = getattr(
        model.config.get_text_config(decoder=True), "max_position_embeddings", None
    )
    return limit
