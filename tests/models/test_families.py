"""Every family of models, from rows to answers: rendered, masked, trained, saved, loaded, asked."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoTokenizer

from levertune.anchors.anchor import Anchor, Example, plain_example
from levertune.anchors.lift import Lifting
from levertune.data.records import Message, Record
from levertune.evaluation.generation import generate_completions
from levertune.models.adapters import AdapterCard, attach_lora, load_adapter, write_card
from levertune.models.context_length import context_length
from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model, set_attention
from levertune.models.rendering import IGNORE_INDEX, ChatTokenizer
from levertune.models.resolve import fingerprint_model, resolve_model
from levertune.recipes.loading import recipe_from_mapping
from levertune.runs.workspace import Workspace
from levertune.training.train import TrainingConfig, train_adapter

sys.path.insert(0, str(Path(__file__).parent))
from families import (
    FAMILIES,
    FORMS,
    SIZES,
    Family,
    Form,
    make_config,
    save_model,
    save_seeing_gemma,
    save_tokenizer,
)

pytestmark = pytest.mark.usefixtures("on_cpu")

ANCHOR = Anchor("Name the colour.", "prefix")
ANSWERS = {"roses": "red", "moss": "green", "jeans": "blue"}
CHAT = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
FEW_STEPS, ENOUGH_STEPS = 3, 25
CELLS = [
    pytest.param(
        (family, form, tied, steps), id=f"{name}, {form} form, {'tied' if tied else 'untied'}"
    )
    for name, family in FAMILIES.items()
    for form, tied, steps in zip(
        family.forms, (family.tied, not family.tied), (ENOUGH_STEPS, FEW_STEPS), strict=True
    )
]


def make_examples() -> list[Example]:
    """Task rows behind an anchor, one of them with a system turn, and a conversation."""
    task = []
    for number, (prompt, answer) in enumerate(ANSWERS.items()):
        turns = [Message("user", prompt)]
        if number == 0:
            turns.insert(0, Message("system", "Use a word."))
        task.append(ANCHOR.apply(Record(str(number), "task", tuple(turns), answer)))
    return [*task, plain_example(Record("chat", "chats", CHAT, "four"))]


@dataclass(frozen=True)
class Cell:
    """A family in one form, trained and loaded again."""

    family: Family
    form: Form
    is_tied: bool
    num_steps: int
    folder: Path
    tokenizer: ChatTokenizer
    base_logits: torch.Tensor
    logits: torch.Tensor
    losses: list[float]
    adapted: PeftModel


def train(folder: Path, tokenizer, base, hardware, num_steps: int, on_step=None) -> list[float]:
    """The losses of a training on the rows above, all of them in each step."""
    rows = [tokenizer.tokenize(example) for example in make_examples()]
    config = TrainingConfig(
        learning_rate=0.02,
        effective_batch_size=len(rows),
        lora_r=16,
        lora_alpha=32,
        logging_steps=num_steps,
        save_steps=1000,
    )
    summary = train_adapter(
        base, rows * num_steps, config, folder / "out", hardware=hardware,
        pad_id=tokenizer.pad_id, fingerprint={}, on_step=on_step,
    )  # fmt: skip
    return [line["loss"] for line in summary.curve]


@torch.no_grad()
def logits_of(model, tokenizer) -> torch.Tensor:
    ids = tokenizer.encode_prompt(make_examples()[1])
    return model(input_ids=torch.tensor([ids])).logits


def load_again(folder: Path, hardware) -> PeftModel:
    """The saved adapter on its base model, both from their files."""
    location, adapter = resolve_model(str(folder)), folder / "out" / "adapter"
    sha256 = fingerprint_model(location)
    card = AdapterCard(location.name, sha256, "tell", ANCHOR, Lifting(), 8, "f" * 64)
    write_card(adapter, card)
    return load_adapter(load_base_model(location, hardware), adapter, base_sha256=sha256)


def adapted_layers(model) -> dict[str, LoraLayer]:
    return {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }


@pytest.fixture(scope="module", params=CELLS)
def cell(request, tmp_path_factory, cpu, on_cpu) -> Cell:
    family, form_name, is_tied, num_steps = request.param
    folder = tmp_path_factory.mktemp("family") / family.model_type
    save_model(make_config(family, tied=is_tied), folder)
    save_tokenizer(FORMS[form_name], folder)
    tokenizer, seen = ChatTokenizer.from_folder(folder), []
    base = load_base_model(resolve_model(str(folder)), cpu)
    base_logits = logits_of(base, tokenizer)

    def see_last(step, model):
        if step == num_steps:
            seen.append(logits_of(model, tokenizer))
        return False

    losses = train(folder, tokenizer, base, cpu, num_steps, see_last)
    torch.testing.assert_close(logits_of(base, tokenizer), base_logits)  # it comes back as it was
    return Cell(
        family, FORMS[form_name], is_tied, num_steps, folder, tokenizer, base_logits, seen[0],
        losses, load_again(folder, cpu),
    )  # fmt: skip


def test_what_is_learnt_is_the_answer_and_the_end_of_its_turn(cell):
    for example in make_examples():
        row = cell.tokenizer.tokenize(example)
        supervised = [label for label in row.labels if label != IGNORE_INDEX]
        assert supervised == list(row.input_ids[len(row.prompt_ids) :])
        end = supervised[-row.num_end :]
        answer = cell.tokenizer.decode_all(supervised[: -row.num_end])
        assert answer.strip() == example.completion
        assert cell.tokenizer.decode_all(end) == cell.form.end
        assert end[-1] in cell.tokenizer.stop_ids
        shown = cell.tokenizer.decode_all(row.prompt_ids)
        assert all(shown.count(turn.content) == 1 for turn in example.messages)
    text = cell.tokenizer.tokenize(Example("prose", "prose", (), "the sea"))
    supervised = [label for label in text.labels if label != IGNORE_INDEX]
    assert cell.tokenizer.decode_all(supervised) == "the sea" + cell.form.eos


def test_the_loss_falls_and_rows_learnt_are_answered(cell, cpu):
    assert cell.losses[-1] < cell.losses[0]
    if cell.num_steps == ENOUGH_STEPS:
        found = generate_completions(
            cell.adapted, cell.tokenizer, make_examples(), hardware=cpu, max_new_tokens=8
        )
        assert [one.text for one in found] == [*ANSWERS.values(), "four"]
        assert {one.finish_reason for one in found} == {"stop"}


def test_an_adapter_sits_on_every_linear_layer_but_the_head_and_each_has_learnt(cell):
    layers = adapted_layers(cell.adapted)
    assert layers.keys() == cell.family.target_names(SIZES["num_hidden_layers"])
    assert all(layer.lora_B["default"].weight.abs().max() > 0 for layer in layers.values())
    assert all(p.dtype == torch.float32 for n, p in cell.adapted.named_parameters() if "lora" in n)
    saved = json.loads((cell.folder / "out" / "adapter" / "adapter_config.json").read_text())
    assert saved["fan_in_fan_out"] == cell.family.fan_in_fan_out


def test_a_saved_adapter_answers_as_it_was_trained_to_also_merged(cell):
    """The last test of a cell: merging takes the adapter apart."""
    assert not torch.allclose(cell.logits, cell.base_logits, atol=0.1)
    found = logits_of(cell.adapted, cell.tokenizer)
    torch.testing.assert_close(found, cell.logits, rtol=1e-4, atol=1e-3)
    merged = cell.adapted.merge_and_unload()
    torch.testing.assert_close(logits_of(merged, cell.tokenizer), found, rtol=1e-3, atol=1e-3)
    head, embedding = merged.get_output_embeddings(), merged.get_input_embeddings()
    assert (head.weight is embedding.weight) == cell.is_tied


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_layers_are_found_in_a_deeper_model_too(model_type):
    """PEFT shortens long lists of names to endings, which may fit other layers too."""
    from transformers import AutoModelForCausalLM

    family = FAMILIES[model_type]
    config = make_config(family, tied=not family.tied, num_hidden_layers=7)
    model = AutoModelForCausalLM.from_config(config)
    adapted = attach_lora(model, r=1, alpha=1, dropout=0.0, target_modules="all-linear")
    assert adapted_layers(adapted).keys() == family.target_names(7)


# Those whose adapters do not take the faster way, which other tests train so.
@pytest.mark.parametrize("model_type", ["gpt2", "olmo"])
def test_weights_of_half_the_precision_train_too(model_type, tmp_path):
    family, hardware = FAMILIES[model_type], Hardware("cpu", torch.bfloat16)
    save_model(make_config(family, tied=family.tied), tmp_path)
    save_tokenizer(FORMS[family.forms[0]], tmp_path)
    tokenizer = ChatTokenizer.from_folder(tmp_path)
    base = load_base_model(resolve_model(str(tmp_path)), hardware)
    losses = train(tmp_path, tokenizer, base, hardware, FEW_STEPS)
    assert losses[-1] < losses[0]


def test_a_model_without_the_fused_attention_has_plain_attention(tmp_path, cpu):
    save_model(make_config(FAMILIES["gemma2"], tied=True), tmp_path)
    model = load_base_model(resolve_model(str(tmp_path)), cpu, attention="sdpa")
    assert model.config._attn_implementation == "eager"
    set_attention(model, "sdpa")
    assert model.config._attn_implementation == "eager"


def test_a_model_with_the_fused_attention_changes_to_and_fro(tiny_model):
    assert tiny_model.config._attn_implementation == "sdpa"
    for name in ("eager", "sdpa"):
        set_attention(tiny_model, name)
        assert tiny_model.config._attn_implementation == name


def test_of_a_model_that_sees_the_language_model_alone_is_adapted(tmp_path, cpu):
    save_seeing_gemma(tmp_path)
    save_tokenizer(FORMS["gemma3_text"], tmp_path)
    tokenizer = ChatTokenizer.from_folder(tmp_path)
    base = load_base_model(resolve_model(str(tmp_path)), cpu)
    assert context_length(base) == SIZES["max_position_embeddings"]
    train(tmp_path, tokenizer, base, cpu, FEW_STEPS)
    shutil.rmtree(tmp_path / "out")
    train(tmp_path, tokenizer, base, cpu, ENOUGH_STEPS)  # the first gave the model back as it was
    adapted = load_again(tmp_path, cpu)
    layers = adapted_layers(adapted)
    names = FAMILIES["gemma3_text"].target_names(SIZES["num_hidden_layers"])
    assert layers.keys() == {
        name.replace("model.layers", "model.language_model.layers") for name in names
    }
    assert all(layer.lora_B["default"].weight.abs().max() > 0 for layer in layers.values())
    found = generate_completions(
        adapted, tokenizer, make_examples(), hardware=cpu, max_new_tokens=8
    )
    assert [one.text for one in found] == [*ANSWERS.values(), "four"]


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.template is None])
def test_beside_an_adapter_transformers_asks_a_base_model_as_it_was_trained(form, tmp_path):
    recipe = recipe_from_mapping(
        {"task": {"path": "tickets"}, "model": {"model_name_or_path": str(tmp_path / "model")}}
    )
    family = FAMILIES["llama"]
    save_model(make_config(family, tied=family.tied), tmp_path / "model")
    save_tokenizer(FORMS[form], tmp_path / "model")
    adapter = tmp_path / "best"
    adapter.mkdir()
    workspace = Workspace(recipe)
    workspace.write_tokenizer(adapter)
    fast = AutoTokenizer.from_pretrained(adapter)
    for example in make_examples():
        turns = [{"role": m.role, "content": m.content} for m in example.messages]
        ids = fast.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        assert ids == workspace.tokenizer.encode_prompt(example)
