"""Every family of models, from rows to answers: render, tokenize, mask, train, save, load, answer."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from levertune.anchors.anchor import Anchor, Example, plain_example
from levertune.anchors.lift import Lifting
from levertune.data.records import Message, Record
from levertune.evaluation.generation import generate_completions
from levertune.models.adapters import AdapterCard, attach_lora, load_adapter, write_card
from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model, max_positions
from levertune.models.rendering import IGNORE_INDEX, ChatTokenizer
from levertune.models.resolve import fingerprint_model, resolve_model
from levertune.training.train import TrainingConfig, train_adapter

sys.path.insert(0, str(Path(__file__).parent))
from families import FAMILIES, FORMS, SIZES, make_config, save_model, save_tokenizer

pytestmark = pytest.mark.usefixtures("on_cpu")

ANCHOR = Anchor("Name the colour.", "prefix")
ANSWERS = {"roses": "red", "moss": "green", "jeans": "blue", "peas": "green"}
CHAT = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
CELLS = [
    pytest.param(
        (family, form, tied), id=f"{name}, {form} form, {'tied' if tied else 'untied'}"
    )
    for name, family in FAMILIES.items()
    for form, tied in zip(family.forms, (family.tied, not family.tied), strict=True)
]


def make_examples() -> list[Example]:
    """Task rows behind an anchor, one of them with a system turn, and general rows."""
    task = []
    for number, (prompt, answer) in enumerate(ANSWERS.items()):
        turns = [Message("user", prompt)]
        if number == 0:
            turns.insert(0, Message("system", "Use a word."))
        task.append(ANCHOR.apply(Record(str(number), "task", tuple(turns), answer)))
    return [
        *task,
        plain_example(Record("chat", "chats", CHAT, "four")),
        Example("prose", "prose", (), "the sea"),
    ]


STEPS = 25


@dataclass(frozen=True)
class Trained:
    """A cell of the matrix, trained."""

    family: object
    form: object
    is_tied: bool
    folder: Path
    adapter: Path
    tokenizer: ChatTokenizer
    examples: list
    logits: torch.Tensor
    losses: list[float]


def train(folder: Path, examples, tokenizer, hardware, *, steps: int, on_step=None):
    base = load_base_model(resolve_model(str(folder)), hardware)
    rows = [tokenizer.tokenize(example) for example in examples]
    config = TrainingConfig(
        learning_rate=0.02,
        effective_batch_size=len(rows),
        lora_r=8,
        lora_alpha=16,
        lr_scheduler_type="constant",
        logging_steps=steps,
        save_steps=1000,
    )
    summary = train_adapter(
        base, rows * steps, config, folder / "out", hardware=hardware, pad_id=tokenizer.pad_id,
        fingerprint={}, on_step=on_step,
    )  # fmt: skip
    return base, summary


def probe(tokenizer) -> torch.Tensor:
    return torch.tensor([tokenizer.encode_prompt(make_examples()[1])])


@torch.no_grad()
def logits_of(model, tokenizer) -> torch.Tensor:
    return model(input_ids=probe(tokenizer)).logits


@pytest.fixture(scope="module", params=CELLS)
def cell(request, tmp_path_factory, cpu, on_cpu) -> Trained:
    family, form_name, is_tied = request.param
    form, folder = FORMS[form_name], tmp_path_factory.mktemp("family") / family.model_type
    save_model(make_config(family, tied=is_tied), folder)
    save_tokenizer(form, folder)
    tokenizer, examples, seen = ChatTokenizer.from_folder(folder), make_examples(), {}

    def keep_logits(step, model):
        seen["logits"] = logits_of(model, tokenizer)
        return False

    _, summary = train(folder, examples, tokenizer, cpu, steps=STEPS, on_step=keep_logits)
    losses = [line["loss"] for line in summary.curve]
    adapter = folder / "out" / "adapter"
    return Trained(
        family, form, is_tied, folder, adapter, tokenizer, examples, seen["logits"], losses
    )


def reload(cell, cpu):
    location = resolve_model(str(cell.folder))
    sha256 = fingerprint_model(location)
    write_card(
        cell.adapter, AdapterCard(location.name, sha256, "tell", ANCHOR, Lifting(), 8, "f" * 64)
    )
    return load_adapter(load_base_model(location, cpu), cell.adapter, base_sha256=sha256)


def test_what_is_learnt_is_the_answer_and_the_end_of_its_turn(cell):
    for example in cell.examples:
        row = cell.tokenizer.tokenize(example)
        supervised = [label for label in row.labels if label != IGNORE_INDEX]
        assert supervised == list(row.input_ids[len(row.prompt_ids) :])
        text = cell.tokenizer.decode_all(supervised)
        end = cell.form.end if example.messages else cell.form.eos
        assert text.removeprefix(cell.form.bos).lstrip() == example.completion + end
        assert cell.tokenizer.decode_all(supervised[-row.num_end :]).strip() == end
        assert supervised[-1] in cell.tokenizer.stop_ids


def test_the_loss_falls_and_the_rows_are_answered_after_it(cell, cpu):
    assert cell.losses[-1] < 0.2 * cell.losses[0]
    adapted = reload(cell, cpu)
    found = generate_completions(
        adapted, cell.tokenizer, cell.examples[:5], hardware=cpu, max_new_tokens=12
    )
    assert [one.text for one in found] == [*ANSWERS.values(), "four"]
    assert {one.finish_reason for one in found} == {"stop"}


def test_a_saved_adapter_gives_the_logits_it_was_trained_to(cell, cpu):
    adapted = reload(cell, cpu)
    torch.testing.assert_close(
        logits_of(adapted, cell.tokenizer), cell.logits, rtol=1e-4, atol=1e-4
    )
    base = load_base_model(resolve_model(str(cell.folder)), cpu)
    assert not torch.allclose(logits_of(base, cell.tokenizer), cell.logits, atol=0.1)
    merged = adapted.merge_and_unload()
    torch.testing.assert_close(logits_of(merged, cell.tokenizer), cell.logits, rtol=1e-3, atol=1e-3)
    embedding, head = merged.get_input_embeddings(), merged.get_output_embeddings()
    assert (embedding.weight is head.weight) == cell.is_tied


def test_every_layer_with_an_adapter_has_learnt(cell, cpu):
    layers = {
        name.removeprefix("base_model.model."): module
        for name, module in reload(cell, cpu).named_modules()
        if isinstance(module, LoraLayer)
    }
    assert layers.keys() == cell.family.target_names(SIZES["num_hidden_layers"])
    assert all(layer.lora_B["default"].weight.abs().max() > 0 for layer in layers.values())
