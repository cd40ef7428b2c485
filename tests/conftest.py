"""A tiny real model and tokenizer, made in-process; torch is imported only where they are used."""

from pathlib import Path

import pytest

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe of use.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory) -> Path:
    """Two layers of random weights with a byte-level tokenizer and a ChatML template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "system user assistant Be of use. the answer is one two three red green blue"
    tokenizer.train_from_iterator([text] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL_TOKENS)
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            initializer_range=0.2,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_model_folder):
    """The tiny model's tokenizer and template."""
    from levertune.models.rendering import ChatTokenizer

    return ChatTokenizer.from_folder(tiny_model_folder)


@pytest.fixture
def tiny_model(tiny_model_folder, cpu):
    """A fresh copy of the tiny model, loaded as levertune loads base models."""
    from levertune.models.load import load_base_model
    from levertune.models.resolve import resolve_model

    return load_base_model(resolve_model(str(tiny_model_folder)), cpu)


@pytest.fixture(scope="session")
def cpu():
    """The hardware of every test: a CPU in float32."""
    import torch

    from levertune.models.hardware import Hardware

    return Hardware("cpu", torch.float32)
