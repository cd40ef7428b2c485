"""Batched greedy generation: prompts in, answers out, one each and in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from levertune.anchors.anchor import Example
from levertune.models.greedy import continue_greedily
from levertune.models.hardware import Hardware
from levertune.models.head import contiguous_head_input, unwrap_model
from levertune.models.lora_linear import autocast_for, grouped_lora
from levertune.models.quiet import quiet_libraries
from levertune.models.rendering import ChatTokenizer
from levertune.models.tree_attention import can_share
from levertune.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Generation:
    """What the model wrote for one row.

    Args:
        id: Id of the row.
        text: The answer, surrounding white space removed, the lead-in not included.
        finish_reason: `stop` if it ended its turn, `length` if it was cut at the limit.
        num_tokens: Tokens generated, the end of the turn included.
    """

    id: str
    text: str
    finish_reason: str
    num_tokens: int


def generate_completions(
    model: PreTrainedModel,
    tokenizer: ChatTokenizer,
    examples: Sequence[Example],
    *,
    hardware: Hardware,
    max_new_tokens: int,
    batch_size: int = 32,
    progress: Progress | None = None,
    label: str = "generate",
) -> list[Generation]:
    """Answer each example greedily.

    The model's own sampling defaults (a repetition penalty, say) are set aside, so that a figure
    has one meaning for every model.

    Args:
        model: Base or adapted model.
        tokenizer: Its tokenizer and template.
        examples: Rows; their completions are not shown to the model.
        hardware: Device and precision.
        max_new_tokens: Limit of an answer; reaching it is recorded as `length`.
        batch_size: Most rows generated together.
        progress: Where to show progress.
        label: Name of the stage.

    Returns:
        One generation an example, in the order given.

    Raises:
        DataError: If a prompt contains one of the model's control tokens.
    """
    prompts = [tokenizer.encode_prompt(example) for example in examples]
    with (
        (progress or SilentProgress()).stage(label, len(examples), "row") as stage,
        quiet_libraries(),
        contiguous_head_input(model),
        grouped_lora(model, is_settled=True),
        torch.inference_mode(),
        autocast_for(model, hardware),
    ):
        continued = (
            continue_greedily(
                model,
                prompts,
                stop_ids=frozenset(tokenizer.stop_ids),
                max_new_tokens=max_new_tokens,
                batch_size=batch_size,
                on_finished=stage.advance,
            )
            if can_share(model, hardware)
            else _continue_padded(
                model,
                prompts,
                tokenizer,
                hardware=hardware,
                max_new_tokens=max_new_tokens,
                batch_size=batch_size,
                on_finished=stage.advance,
            )
        )
    return read_answers(examples, continued, tokenizer)


def read_answers(
    examples: Sequence[Example], continued: Sequence[Sequence[int]], tokenizer: ChatTokenizer
) -> list[Generation]:
    """What new ids say.

    Args:
        examples: The rows.
        continued: The new ids of each, the one that ends the answer included.
        tokenizer: Their tokenizer.
    """
    stops = set(tokenizer.stop_ids)
    return [
        _read_answer(example.id, new_ids, stops, tokenizer)
        for example, new_ids in zip(examples, continued, strict=True)
    ]


def _continue_padded(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    tokenizer: ChatTokenizer,
    *,
    hardware: Hardware,
    max_new_tokens: int,
    batch_size: int,
    on_finished: Callable[[int], object],
) -> list[list[int]]:
    """New ids of each prompt by transformers' own generation, rows batched by length."""
    from transformers import GenerationConfig

    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(tokenizer.stop_ids),
        pad_token_id=tokenizer.pad_id,
    )
    continued: dict[int, list[int]] = {}
    with own_defaults_set_aside(model):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            width = max(len(prompts[i]) for i in batch)
            ids = torch.full((len(batch), width), tokenizer.pad_id, dtype=torch.long)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for row, i in enumerate(batch):
                ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
                mask[row, width - len(prompts[i]) :] = 1
            out = model.generate(  # type: ignore[operator]  # a mixin's method
                input_ids=ids.to(hardware.device),
                attention_mask=mask.to(hardware.device),
                generation_config=config,
            )
            continued.update(zip(batch, out[:, width:].tolist(), strict=True))
            on_finished(len(batch))
    return [continued[i] for i in range(len(prompts))]


@contextlib.contextmanager
def own_defaults_set_aside(model: PreTrainedModel) -> Iterator[None]:
    """Hide the generation settings that came with the model.

    transformers fills every setting a caller left open with the model's own (a repetition penalty,
    forbidden words), whatever configuration is passed.
    """
    from transformers import GenerationConfig

    inner = unwrap_model(model)
    own = inner.generation_config
    inner.generation_config = GenerationConfig()
    try:
        yield
    finally:
        inner.generation_config = own


def _read_answer(
    row_id: str, ids: Sequence[int], stops: set[int], tokenizer: ChatTokenizer
) -> Generation:
    end = next((n for n, token in enumerate(ids) if token in stops), None)
    kept = ids if end is None else ids[:end]
    return Generation(
        id=row_id,
        text=tokenizer.decode(kept).strip(),
        finish_reason="length" if end is None else "stop",
        num_tokens=len(kept) + (end is not None),
    )
