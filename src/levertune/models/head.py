"""Logits at chosen positions only: the vocabulary product is the dearest part of a small model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch


def select_logits(
    model: torch.nn.Module,
    inputs: Mapping[str, Any],
    index: torch.Tensor,
) -> torch.Tensor:
    """One forward pass whose language-model head sees the positions wanted only.

    A hook narrows the head's input, so that any architecture's own forward (soft-capped or scaled
    logits too) and any wrapper around it (DDP) stay in use.

    Args:
        model: Causal language model, wrapped or not.
        inputs: What the model is called with: `input_ids` `[rows, length]` and more.
        index: `[wanted]`: places in the flattened `[rows, length]`; one may come again.

    Returns:
        Logits `[wanted, vocabulary]`.
    """
    head = unwrap_model(model).get_output_embeddings()

    def narrow(_module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        return (hidden.reshape(-1, hidden.shape[-1]).index_select(0, index), *args[1:])

    handle = head.register_forward_pre_hook(narrow)
    try:
        return model(**inputs, use_cache=False).logits
    finally:
        handle.remove()


@contextlib.contextmanager
def contiguous_head_input(model: torch.nn.Module) -> Iterator[None]:
    """Hand the language-model head dense tensors while the context lasts.

    transformers slices the last position out of the hidden states; with such a view a CPU
    multiplies by one copy of the whole head a row: two thirds of the time of a short generation
    (LOG.md 2026-11-22).
    """
    head = unwrap_model(model).get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: (args[0].contiguous(), *args[1:]))
    try:
        yield
    finally:
        handle.remove()


def unwrap_model(model: Any) -> Any:
    """The transformers model inside DDP and PEFT wrappers."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model
