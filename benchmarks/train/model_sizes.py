"""Models of stated sizes with random weights: throughput does not depend on what a model knows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a model of Llama's kind.

    Args:
        about: Which models have it.
        hidden: Width.
        feed_forward: Width inside the feed-forward layers.
        layers: How many.
        heads: Attention heads.
        key_heads: Heads of keys and values.
        is_tied: Whether the head is the embedding.
    """

    about: str
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    key_heads: int
    is_tied: bool


SIZES = {
    "0.1b": Size("SmolLM2-135M", 576, 1536, 30, 9, 3, is_tied=True),
    "1b": Size("Llama 3.2 1B", 2048, 8192, 16, 32, 8, is_tied=True),
    "7b": Size("Llama 2 7B", 4096, 11008, 32, 32, 32, is_tied=False),
}


def write_random_model(size: Size, folder: Path, *, tokenizer: Path, device: str) -> Path:
    """Write a model with random weights in bfloat16, and another's tokenizer.

    Args:
        size: Its shape.
        folder: An empty folder.
        tokenizer: Folder of the model whose tokenizer it gets; its vocabulary has that size, and so
            is smaller than that of most published models of the shape.
        device: Where the weights are drawn: 7 billion take minutes on a CPU.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

    donor = AutoConfig.from_pretrained(tokenizer)
    config = LlamaConfig(
        vocab_size=donor.vocab_size,
        bos_token_id=donor.bos_token_id,
        eos_token_id=donor.eos_token_id,
        pad_token_id=donor.pad_token_id,
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        max_position_embeddings=8192,
        tie_word_embeddings=size.is_tied,
        dtype=torch.bfloat16,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, folder / name)
    return folder
