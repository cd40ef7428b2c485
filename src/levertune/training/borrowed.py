"""A base model lent to a training: an adapter put on, and everything taken off again."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from levertune.models.adapters import attach_lora
from levertune.models.quiet import quiet_libraries

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from levertune.training.train import TrainingConfig


@contextlib.contextmanager
def borrowed(base: PreTrainedModel, config: TrainingConfig) -> Iterator[PeftModel]:
    """The base model with a fresh adapter; it is given back as it was, whatever happens.

    Args:
        base: The base model.
        config: Settings of the training.

    Yields:
        The model to train.

    Raises:
        ModelError: If the adapter fits no module of the model.
    """
    from transformers import set_seed

    # TRL and transformers copy special tokens of the tokenizer they are given into these.
    settings = [(x, copy.deepcopy(vars(x))) for x in (base.config, base.generation_config) if x]
    attributes, input_hooks = set(vars(base)), base.get_input_embeddings()._forward_hooks
    hooks = set(input_hooks)
    targets = config.lora_target_modules
    set_seed(config.seed)
    model = attach_lora(
        base,
        r=config.lora_r,
        alpha=config.lora_alpha,
        dropout=config.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        yield model
    finally:
        if config.gradient_checkpointing:
            with quiet_libraries():
                base.gradient_checkpointing_disable()
        model.unload()
        for number in set(input_hooks) - hooks:  # set by TRL and PEFT both, removable by one
            del input_hooks[number]
        for name in set(vars(base)) - attributes:  # TRL's fused head is a `forward` of the instance
            delattr(base, name)
        for holder, values in settings:
            vars(holder).clear()
            vars(holder).update(values)
        base.eval()
