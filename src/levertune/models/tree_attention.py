"""Attention over rows that share their beginnings: each run of tokens attends the runs before it.

transformers lets an attention function be named; its models hand the function whatever extra
arguments they are called with. Ours gets the layout of the rows, and in a generation what it
remembers of them. Called without either it is plain attention.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

from levertune.models.hardware import EAGER_ATTENTION_MAX_LENGTH, Hardware
from levertune.models.head import unwrap_model
from levertune.models.row_layout import RowLayout
from levertune.models.row_memory import RowMemory

NAME = "levertune_row_tree"

# Architectures whose attention takes any function, absolute positions and no memory besides keys
# and values: those that tests/models/test_tree_attention.py compares with padded rows.
_MODEL_TYPES = frozenset(
    {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "olmo2"}
)


def attend_tree(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    row_layout: RowLayout | None = None,
    row_memory: RowMemory | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed rows, as transformers calls it; of padded ones without a layout.

    With a memory, packed rows are kept in it, and without a layout each row's next token attends
    what is kept of its row.

    Args:
        module: The attention layer.
        query: `[1, heads, tokens, size]`.
        key: `[1, key heads, tokens, size]`.
        value: `[1, key heads, tokens, size]`.
        attention_mask: What is added to the scores of padded rows; of packed ones the layout says
            what is seen.
        scaling: What scores are multiplied by; the root of the size below one if None.
        sliding_window: Tokens that a layer looks back on, or None.
        softcap: What scores are bent to stay below, or None.
        row_layout: The layout of the rows.
        row_memory: Keys and values of the rows so far.

    Returns:
        Output `[1, tokens, heads, size]`, and no weights.
    """
    heads, size, groups = query.shape[1], query.shape[3], key.shape[1]
    scaling = size**-0.5 if scaling is None else scaling
    if row_memory is not None:
        layer = cast(int, module.layer_idx)
        if row_layout is None:
            found = row_memory.attend(
                layer, query * scaling, key, value, window=sliding_window, softcap=softcap
            )
            return found, None
        row_memory.keep(layer, key, value)
    if row_layout is None:
        return _attend_padded(query, key, value, attention_mask, scaling, softcap), None
    flat = [x.transpose(1, 2).reshape(-1, x.shape[1] * size) for x in (query, key, value)]
    flat[0] = flat[0] * scaling
    outputs = []
    for part in row_layout.parts:
        n, q, k = part.num_runs, part.num_queries, part.num_keys
        # The heads of one group of queries see the same keys, so that these need no copies.
        queries = (
            flat[0].index_select(0, part.query_index).view(n, q, groups, heads // groups, size)
        )
        queries = queries.permute(0, 2, 3, 1, 4)
        keys = flat[1].index_select(0, part.key_index).view(n, k, groups, size).transpose(1, 2)
        values = flat[2].index_select(0, part.key_index).view(n, k, groups, size).transpose(1, 2)
        if k <= EAGER_ATTENTION_MAX_LENGTH or softcap is not None:
            mask = part.mask(query.dtype, sliding_window)
            found = _attend_short(queries, keys, values, mask, softcap)
        elif part.is_mostly_own(sliding_window):
            found = _attend_causal(queries, keys, values, part.lengths)
        else:
            found = _attend_long(queries, keys, values, part.mask(query.dtype, sliding_window))
        outputs.append(found.permute(0, 3, 1, 2, 4).reshape(n * q, heads * size))
    output = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    return output.index_select(0, row_layout.back).view(1, -1, heads, size), None


def _attend_short(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    softcap: float | None,
) -> torch.Tensor:
    """`[runs, groups, heads of a group, queries, size]` by plain products."""
    n, groups, each, q, size = queries.shape
    k = keys.shape[2]
    flat = queries.reshape(n * groups, each * q, size)
    turned = keys.reshape(n * groups, k, size).transpose(1, 2)
    bias = mask[:, None, None].expand(n, groups, each, q, k).reshape(n * groups, each * q, k)
    if softcap is None:
        scores = torch.baddbmm(bias, flat, turned)
    else:
        scores = torch.tanh(torch.bmm(flat, turned) / softcap) * softcap + bias
    weights = torch.softmax(scores, dim=-1)
    found = torch.bmm(weights, values.reshape(n * groups, k, size))
    return found.view(n, groups, each, q, size)


def _attend_long(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """The same by a fused kernel, which makes no scores of all tokens at once."""
    n, groups, each, q, size = queries.shape
    shape = (n, groups, each, keys.shape[2], size)
    found = functional.scaled_dot_product_attention(
        queries.reshape(n, groups * each, q, size),
        keys[:, :, None].expand(shape).reshape(n, groups * each, -1, size),
        values[:, :, None].expand(shape).reshape(n, groups * each, -1, size),
        attn_mask=mask[:, None],
        scale=1.0,
    )
    return found.view(n, groups, each, q, size)


def _attend_causal(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: Sequence[tuple[int, int]],
) -> torch.Tensor:
    """The same, run by run: the kernel needs no mask, and leaves out the half that none sees.

    It takes the first query to see the first key, so that queries of no account stand for the
    tokens before a run.
    """
    n, groups, each, q, size = queries.shape
    outputs = []
    for i, (own, seen) in enumerate(lengths):
        query = queries[i].reshape(groups * each, q, size)[:, :own]
        found = functional.scaled_dot_product_attention(
            functional.pad(query, (0, 0, seen - own, 0))[None],
            keys[i : i + 1, :, :seen],
            values[i : i + 1, :, :seen],
            is_causal=True,
            scale=1.0,
            enable_gqa=each > 1,
        )
        outputs.append(functional.pad(found[:, :, seen - own :], (0, 0, 0, q - own)))
    return torch.cat(outputs).view(n, groups, each, q, size)


def _attend_padded(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None,
    scaling: float,
    softcap: float | None,
) -> torch.Tensor:
    """Attention of rows side by side, `[rows, tokens, heads, size]`."""
    each = query.shape[1] // key.shape[1]
    keys, values = key.repeat_interleave(each, dim=1), value.repeat_interleave(each, dim=1)
    scores = torch.matmul(query, keys.transpose(2, 3)) * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if bias is not None:
        scores = scores + bias
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.matmul(weights, values).transpose(1, 2).contiguous()


AttentionInterface.register(NAME, attend_tree)
# For calls without a layout; those with one bring a mask of four dimensions, which is left alone.
AttentionMaskInterface.register(NAME, eager_mask)


def can_share(model: nn.Module, hardware: Hardware) -> bool:
    """Whether rows of a model can share the computation of their beginnings.

    Not on accelerators, whose kernels want rows of one length; not with dropout, which would fall
    on the same tokens of all rows alike.

    Args:
        model: The model, wrapped or not.
        hardware: Device and precision.
    """
    config = unwrap_model(model).config
    has_dropout = getattr(config, "attention_dropout", 0.0) or any(
        isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules()
    )
    return hardware.device == "cpu" and config.model_type in _MODEL_TYPES and not has_dropout


@contextlib.contextmanager
def tree_attention(model: nn.Module) -> Iterator[None]:
    """Let a model attend over shared prefixes while the context lasts.

    Args:
        model: The model, wrapped or not.
    """
    base = cast(PreTrainedModel, unwrap_model(model))
    before = base.config._attn_implementation
    base.set_attn_implementation(NAME)
    try:
        yield
    finally:
        base.set_attn_implementation(before)
