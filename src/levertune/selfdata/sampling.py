"""Continuations a model samples: the only place here that runs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from levertune.models.context_length import context_length
from levertune.models.rendering import ChatTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from levertune.models.hardware import Hardware

TOP_K = 40


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model wrote after a text.

    Args:
        text: What it wrote, without the control token that ended it.
        is_finished: Whether it came to an end by itself.
    """

    text: str
    is_finished: bool


class Sampler(Protocol):
    """Whatever continues texts."""

    @property
    def max_length(self) -> int | None:
        """Most tokens of a text and its continuation, or None."""
        ...

    def write(
        self,
        heads: Sequence[Sequence[int]],
        *,
        stop_ids: Sequence[int],
        max_new_tokens: int,
        temperature: float,
        seed: int,
    ) -> list[Continuation]:
        """Continue each text.

        Args:
            heads: The texts as token ids, in the model's own chat format.
            stop_ids: Tokens any of which ends a continuation.
            max_new_tokens: Most tokens of one.
            temperature: 0 takes the likeliest token each time, whatever the seed.
            seed: The same seed and texts give the same continuations.
        """
        ...


class ModelSampler:
    """Samples from a model on this machine.

    Args:
        model: The base model.
        tokenizer: Its tokenizer.
        hardware: Device and precision.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: ChatTokenizer, hardware: Hardware
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._hardware = hardware

    @property
    def max_length(self) -> int | None:
        """Positions the model knows."""
        return context_length(self._model)

    def write(
        self,
        heads: Sequence[Sequence[int]],
        *,
        stop_ids: Sequence[int],
        max_new_tokens: int,
        temperature: float,
        seed: int,
    ) -> list[Continuation]:
        """Continue each text; all of them together, padded on the left."""
        import torch
        from transformers import GenerationConfig

        from levertune.evaluation.generation import own_defaults_set_aside
        from levertune.models.head import contiguous_head_input
        from levertune.models.lora_linear import autocast_for
        from levertune.models.quiet import quiet_libraries

        if not heads:
            return []
        device = self._hardware.device
        width = max(map(len, heads))
        ids = torch.full((len(heads), width), self._tokenizer.pad_id, dtype=torch.long)
        mask = torch.zeros((len(heads), width), dtype=torch.long)
        for row, head in enumerate(heads):
            ids[row, width - len(head) :] = torch.tensor(head)
            mask[row, width - len(head) :] = 1
        config = GenerationConfig(
            do_sample=temperature > 0,
            **({"temperature": temperature, "top_k": TOP_K} if temperature > 0 else {}),
            max_new_tokens=max_new_tokens,
            eos_token_id=list(stop_ids),
            pad_token_id=self._tokenizer.pad_id,
        )
        devices = [torch.cuda.current_device()] if device == "cuda" else []
        with (
            torch.random.fork_rng(devices),
            quiet_libraries(),
            own_defaults_set_aside(self._model),
            contiguous_head_input(self._model),
            torch.inference_mode(),
            autocast_for(self._model, self._hardware),
        ):
            torch.manual_seed(seed)  # noqa: TID251  # generate() takes no generator; forked above
            out = self._model.generate(  # type: ignore[operator]  # a mixin's method
                input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config
            )
        return [self._read(new, set(stop_ids)) for new in out[:, width:].tolist()]

    def _read(self, ids: list[int], stops: set[int]) -> Continuation:
        end = next((place for place, token in enumerate(ids) if token in stops), None)
        return Continuation(self._tokenizer.decode(ids[:end]), end is not None)
