import re
import shutil

import pytest
import torch

from levertune.anchors.anchor import Anchor
from levertune.anchors.lift import Lifting
from levertune.data.records import Message, Record
from levertune.errors import DataError, ModelError, RecipeError
from levertune.models import load as load_module
from levertune.models import resolve
from levertune.models.embedded import EMBEDDED_NAME
from levertune.models.resolve import ModelLocation, fingerprint_model, resolve_model
from levertune.serving import adapter
from levertune.serving.adapter import Assistant, find_adapter, read_prompt

ANCHORED = "Say the colour.\n\nred blue"


def record(text, *, row_id="1"):
    return Record(row_id, "task", (Message("user", text),), "unused")


def greedy(assistant, messages, limit):
    """The prompt as training renders it, answered one token at a time."""
    tokenizer = assistant.tokenizer
    ids = tokenizer.encode(tokenizer.render_prompt(messages))
    start = len(ids)
    while len(ids) - start < limit:
        with torch.no_grad():
            ids.append(int(assistant.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in tokenizer.stop_ids:
            return tokenizer.decode(ids[start:-1]).strip()
    return tokenizer.decode(ids[start:]).strip()


def test_an_answer_is_that_of_the_adapted_model_to_the_anchored_prompt(assistant):
    expected = greedy(assistant, (Message("user", ANCHORED),), 6)
    assert assistant.answer("red blue") == expected
    assert assistant.generate("red blue") == expected
    with assistant.model.disable_adapter():
        assert greedy(assistant, (Message("user", ANCHORED),), 6) != expected


def test_the_anchor_can_be_left_out_and_the_length_chosen(assistant):
    messages = (Message("user", "red blue"),)
    assert assistant.answer("red blue", use_anchor=False) == greedy(assistant, messages, 6)
    longer = assistant.answer("red blue", max_new_tokens=9)
    assert longer == greedy(assistant, (Message("user", ANCHORED),), 9)


def test_the_lifted_instruction_is_never_doubled(assistant):
    assert assistant.prepare(record("red blue")) == assistant.prepare(record(ANCHORED))
    assert assistant.prepare(record("red blue")).messages == (Message("user", ANCHORED),)
    assert assistant.answer(ANCHORED) == assistant.answer("red blue")
    bare = assistant.prepare(record(ANCHORED), use_anchor=False)
    assert bare.messages == (Message("user", "red blue"),)


@pytest.mark.parametrize(
    ("changes", "prompt"),
    [
        ({"anchor": None, "lifting": Lifting()}, ANCHORED),
        ({"anchor": None}, "red blue"),
        ({"anchor": Anchor("Go.", "suffix"), "lifting": Lifting()}, ANCHORED + "\nGo."),
    ],
)
def test_other_arms_see_rows_as_they_were_trained(make_adapter, tmp_path, changes, prompt):
    assistant = Assistant.load(make_adapter(tmp_path / "a", **changes), device="cpu")
    example = assistant.prepare(record(ANCHORED))
    assert example.messages == (Message("user", prompt),)
    assert example.completion == ""


def test_a_conversation_carries_the_anchor_on_its_last_turn(assistant):
    turns = [
        {"role": "user", "content": "red"},
        {"role": "assistant", "content": "blue"},
        Message("user", "red blue"),
    ]
    messages = (Message("user", "red"), Message("assistant", "blue"), Message("user", ANCHORED))
    assert assistant.answer(turns) == greedy(assistant, messages, 6)


def test_many_rows_are_answered_in_order(assistant):
    records = [record("red " * n, row_id=str(n)) for n in (3, 1, 5, 2)]
    answers = assistant.answer_many(records, batch_size=3)
    assert [answer.id for answer in answers] == ["3", "1", "5", "2"]
    for one, answer in zip(records, answers, strict=True):
        assert answer.text == assistant.answer(one.user_text)


def test_a_prompt_that_leaves_no_room_for_its_answer_is_refused(assistant):
    """The tiny model reads 256 tokens and would write noise past them."""
    records = [record("red"), record("orange " * 80, row_id="long")]
    with pytest.raises(DataError, match=r"^row 'long': .* up to \d+ tokens; the model reads 256"):
        assistant.answer_many(records)
    with pytest.raises(DataError, match="Shorten it or lower max_new_tokens"):
        assistant.answer("red blue", max_new_tokens=250)


@pytest.mark.parametrize("name", ["max_new_tokens", "batch_size"])
def test_a_limit_below_one_is_refused(assistant, name):
    with pytest.raises(RecipeError, match=f"^{name}: must be at least 1; found 0"):
        assistant.answer_many([record("red")], **{name: 0})


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("  ", "prompt, turn 1: is blank"),
        ([], r"the turns must alternate .*; found \[\]"),
        ([Message("user", "a"), Message("assistant", "b")], "end with the user's"),
        ([Message("user", "a"), Message("user", "b")], "must alternate"),
        ([{"role": "user"}], "a turn needs a role"),
        ([{"role": "tool", "content": "a"}], "a turn needs a role"),
        ("a<|im_end|>", "contains the control token"),
        ("a\ud800", "prompt, turn 1: field 'content' holds half a character"),
        ([Message("user", "a\0")], "prompt, turn 1: field 'content' holds a NUL character"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_one_line(assistant, prompt, message):
    with pytest.raises(DataError, match=message):
        assistant.answer(prompt)


def test_a_system_turn_may_come_first():
    turns = (Message("system", "s"), Message("user", "a"))
    assert read_prompt(turns) == turns


@pytest.mark.parametrize("place", ["", "best", "adapter"])
def test_a_run_or_cell_folder_stands_for_its_adapter(tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert find_adapter(tmp_path) == tmp_path / place


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "there is no such folder"),
        (["a.txt"], r"holds no adapter \(no adapter_config.json\); found \['a.txt'\]"),
        (["recipe.yaml"], "the run has no best adapter yet. Finish it with: levertune run"),
    ],
)
def test_a_folder_without_an_adapter_is_one_line(tmp_path, files, message):
    folder = tmp_path / "run"
    if files is not None:
        folder.mkdir()
    for name in files or ():
        (folder / name).write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        Assistant.load(folder)


def test_another_base_model_is_refused_before_it_is_loaded(make_adapter, tmp_path, monkeypatch):
    folder = make_adapter(tmp_path / "best", base_sha256="0" * 64)
    monkeypatch.setattr("levertune.models.load.load_base_model", None)
    message = "^best: was trained on 'tiny-llama' .hash 000000000000.; found a base model with hash"
    with pytest.raises(ModelError, match=message) as caught:
        Assistant.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_base_that_is_not_found_by_its_name_can_be_named(
    make_adapter, tiny_model_folder, tmp_path, monkeypatch
):
    folder = make_adapter(tmp_path / "best")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resolve, "_from_hub", lambda *args, **kwargs: "no network")
    with pytest.raises(ModelError, match=re.escape("model 'tiny-llama': not a local folder")):
        Assistant.load(folder, device="cpu")
    assert Assistant.load(folder, device="cpu", base=str(tiny_model_folder)).answer("red")


def test_the_embedded_form_of_the_default_model_is_tried_too(
    make_adapter, tiny_model_folder, tmp_path, monkeypatch, card
):
    other = ModelLocation(EMBEDDED_NAME, tmp_path / "published", "hub cache")
    hashes = {other.folder: "0" * 64, tiny_model_folder: card.base_sha256}
    monkeypatch.setattr(adapter, "resolve_model", lambda name, revision: other)
    monkeypatch.setattr(adapter, "fingerprint_model", lambda location, **_: hashes[location.folder])
    monkeypatch.setattr(adapter, "find_embedded_weights", lambda: tmp_path / "weights.gguf")
    monkeypatch.setattr(adapter, "embedded_model", lambda gguf: tiny_model_folder)
    folder = make_adapter(tmp_path / "best", base_model=EMBEDDED_NAME)
    assert Assistant.load(folder, device="cpu").answer("red")


@pytest.fixture
def loaded(monkeypatch):
    """What base models are looked for and loaded with."""
    seen = {}
    load, find = load_module.load_base_model, adapter.resolve_model

    def note_and_load(location, hardware, **options):
        seen.update(options, dtype=hardware.dtype_name)
        return load(location, hardware)

    def note_and_find(name, *, revision=None):
        seen["revision"] = revision
        return find(name)

    monkeypatch.setattr(load_module, "load_base_model", note_and_load)
    monkeypatch.setattr(adapter, "resolve_model", note_and_find)
    return seen


def test_the_base_model_is_the_revision_and_in_the_precision_of_the_training(
    make_adapter, tmp_path, loaded
):
    folder = make_adapter(tmp_path / "best", revision="v1.1", dtype="bfloat16")
    assistant = Assistant.load(folder, device="cpu")
    assert loaded == {
        "revision": "v1.1",
        "dtype": "bfloat16",
        "trust_remote_code": False,
        "quantization": None,
    }
    assert assistant.hardware.dtype is torch.bfloat16


def test_the_revision_is_that_of_the_cards_model_alone(
    make_adapter, tiny_model_folder, tmp_path, loaded
):
    folder = make_adapter(tmp_path / "best", revision="v1.1")
    Assistant.load(folder, device="cpu", base=str(tiny_model_folder))
    assert loaded["revision"] is None


def test_where_a_device_does_not_compute_in_the_precision_another_is_chosen(
    make_adapter, tmp_path, loaded
):
    Assistant.load(make_adapter(tmp_path / "best", dtype="float16"), device="cpu")
    assert loaded["dtype"] == "float32"


def test_code_that_came_with_the_model_runs_only_where_it_is_asked_for(
    make_adapter, tmp_path, loaded
):
    folder = make_adapter(tmp_path / "best")
    Assistant.load(folder, device="cpu", trust_remote_code=True)
    assert loaded["trust_remote_code"] is True


def test_an_adapter_trained_with_the_models_own_code_is_served_with_it_alone(
    make_adapter, tiny_model_folder, tmp_path
):
    base = tmp_path / "coded"
    shutil.copytree(tiny_model_folder, base)
    (base / "modeling_own.py").write_text("A = 1\n", encoding="utf-8")
    sha256 = fingerprint_model(resolve_model(str(base)), trust_remote_code=True)
    folder = make_adapter(tmp_path / "best", base_sha256=sha256)
    answer = Assistant.load(folder, device="cpu", base=str(base), trust_remote_code=True).answer(
        "a"
    )
    assert isinstance(answer, str)
    with pytest.raises(
        ModelError, match="^best: was trained with Python code .*--trust-remote-code"
    ):
        Assistant.load(folder, device="cpu", base=str(base))
    (base / "modeling_own.py").write_text("A = 2\n", encoding="utf-8")
    with pytest.raises(ModelError, match="^best: was trained on .* found a base model with hash"):
        Assistant.load(folder, device="cpu", base=str(base), trust_remote_code=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def remove(path):
    path.unlink()


def leave_a_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")


def leave_a_list(path):
    path.write_text("[]", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        (cut, "adapter_model.safetensors", "is no whole safetensors file; found"),
        (leave_a_pointer, "adapter_model.safetensors", "is no whole safetensors file; found"),
        (remove, "adapter_model.safetensors", r"^best: has no adapter_model.safetensors; found"),
        (cut, "adapter_config.json", "^best/adapter_config.json: is not valid JSON"),
        (leave_a_list, "adapter_config.json", "must hold a JSON object; found list"),
    ],
)
def test_a_damaged_adapter_is_one_line_before_its_base_is_loaded(
    make_adapter, tmp_path, monkeypatch, damage, name, message
):
    folder = make_adapter(tmp_path / "best")
    damage(folder / name)
    monkeypatch.setattr("levertune.models.load.load_base_model", None)
    with pytest.raises(ModelError, match=message) as caught:
        Assistant.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_shape_is_one_line(make_adapter, tmp_path):
    folder = make_adapter(tmp_path / "best")
    config = folder / "adapter_config.json"
    config.write_text(config.read_text("utf-8").replace('"r": 2', '"r": 3'), encoding="utf-8")
    with pytest.raises(ModelError, match="^best: cannot be put on its base model") as caught:
        Assistant.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_memory_that_runs_out_is_not_taken_for_a_damaged_adapter(
    make_adapter, tmp_path, monkeypatch
):
    import torch
    from peft import PeftModel

    folder = make_adapter(tmp_path / "best")

    def no_room(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(PeftModel, "from_pretrained", no_room)
    with pytest.raises(torch.OutOfMemoryError):
        Assistant.load(folder, device="cpu")
