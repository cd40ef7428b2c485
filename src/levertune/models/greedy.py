"""Greedy answers of many rows at once, what they share at their beginning computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from levertune.models.head import select_logits
from levertune.models.row_layout import RowLayout
from levertune.models.row_memory import RowMemory
from levertune.models.row_tree import Ids, share_prefixes, split_into_passes
from levertune.models.tree_attention import tree_attention

# Tokens of prompts in one pass: enough to keep the cores busy, little memory without gradients.
_MAX_PASS_TOKENS = 2048

# Tokens, answers included, whose keys and values are remembered at once: 370 MB for 135M
# parameters, 2 GB for 7B ones, a sixth of their weights or less.
_MAX_REMEMBERED = 16384

# Finished rows leave once they are such a share of the rows: it costs about a step's attention.
_SHARE_THAT_LEAVES = 0.125


def continue_greedily(
    model: torch.nn.Module,
    prompts: Sequence[Ids],
    *,
    stop_ids: frozenset[int],
    max_new_tokens: int,
    batch_size: int,
    on_finished: Callable[[int], object] = lambda _: None,
) -> list[list[int]]:
    """Continue each prompt by its likeliest token until a stop or the limit.

    Prompts that begin alike share that part's computation; the answers then grow together, each
    step one pass, and rows leave as they end. For models that `can_share` allows.

    Args:
        model: Base or adapted model, in evaluation mode.
        prompts: Token ids, at least one each.
        stop_ids: Ids that end an answer.
        max_new_tokens: Most tokens of an answer.
        batch_size: Most rows continued together.
        on_finished: Called with the number of rows that are done since the last call.

    Returns:
        New ids of each row, the stop included where there is one.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode(), tree_attention(model):
        for rows in _batches(prompts, max_new_tokens, batch_size):
            _continue_batch(model, prompts, rows, answers, stop_ids, max_new_tokens, on_finished)
    return answers


def _batches(prompts: Sequence[Ids], num_new: int, batch_size: int) -> Iterator[list[int]]:
    """Rows to be continued together; those that begin alike are neighbours."""
    for rows in split_into_passes(prompts, _MAX_PASS_TOKENS):
        batch: list[int] = []
        longest = 0
        for row in rows:
            longest = max(longest, len(prompts[row]))
            is_full = (len(batch) + 1) * (longest + num_new) > _MAX_REMEMBERED
            if batch and (is_full or len(batch) == batch_size):
                yield batch
                batch, longest = [], len(prompts[row])
            batch.append(row)
        yield batch


def _continue_batch(
    model: torch.nn.Module,
    prompts: Sequence[Ids],
    rows: Sequence[int],
    answers: list[list[int]],
    stop_ids: frozenset[int],
    max_new_tokens: int,
    on_finished: Callable[[int], object],
) -> None:
    layout = RowLayout(share_prefixes([prompts[row] for row in rows]))
    places = [layout.places_of_row(number) for number in range(len(rows))]
    memory = RowMemory(places)
    unused_mask = torch.zeros(1, 1, 1, 1)  # or a causal one would be made for nothing
    inputs = {
        "input_ids": layout.input_ids,
        "position_ids": layout.position_ids,
        "attention_mask": unused_mask,
        "row_layout": layout,
        "row_memory": memory,
    }
    last = torch.tensor([own[-1] for own in places])
    growing = list(rows)  # by index in the memory; a row that ended stays there for a while
    ended: set[int] = set()
    while True:
        chosen = select_logits(model, inputs, last).argmax(dim=-1)
        num_ended = len(ended)
        for row, token in zip(growing, chosen.tolist(), strict=True):
            if row not in ended:
                answers[row].append(token)
                if token in stop_ids or len(answers[row]) == max_new_tokens:
                    ended.add(row)
        on_finished(len(ended) - num_ended)
        staying = [i for i, row in enumerate(growing) if row not in ended]
        if not staying:
            return
        if "row_layout" not in inputs:
            memory.advance()
        if len(growing) - len(staying) >= _SHARE_THAT_LEAVES * len(growing):
            memory.leave(staying)
            growing = [growing[i] for i in staying]
            chosen = chosen[staying]
            ended.clear()
        last = torch.arange(len(growing))
        inputs = {
            "input_ids": chosen[:, None],
            "position_ids": memory.position_ids,
            "attention_mask": unused_mask,
            "row_memory": memory,
        }
