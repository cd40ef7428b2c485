import json
import socket

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from levertune.anchors.anchor import Anchor
from levertune.anchors.lift import Lifting
from levertune.errors import ModelError
from levertune.models.adapters import (
    AdapterCard,
    attach_lora,
    load_adapter,
    read_card,
    save_adapter,
    write_card,
)

IDS = torch.tensor([[1, 5, 7, 9]])
CARD = AdapterCard(
    base_model="tiny",
    base_sha256="a" * 64,
    arm="tell",
    anchor=Anchor("Count what is named.", "system", lead_in="Count:"),
    lifting=Lifting(("Count them.",), "\n\n"),
    max_new_tokens=16,
    fingerprint="f" * 64,
)


def adapt(model, **changes):
    settings = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", **changes}
    return attach_lora(model, **settings)


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_a_fresh_adapter_leaves_logits_unchanged(tiny_model):
    before = logits(tiny_model)
    adapted = adapt(tiny_model)
    torch.testing.assert_close(logits(adapted), before, rtol=0, atol=0)


def test_the_adapter_sits_on_all_linear_layers_but_the_head_and_is_float32(tiny_model):
    adapted = adapt(tiny_model.to(torch.bfloat16))
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    assert {p.dtype for p in trained.values()} == {torch.float32}
    modules = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trained}
    assert modules == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip


def test_the_seed_outside_decides_how_an_adapter_starts(tiny_model):
    starts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        adapted = adapt(tiny_model)
        starts.append([p.clone() for n, p in adapted.named_parameters() if "lora_A" in n])
        adapted.unload()
    assert all(torch.equal(a, b) for a, b in zip(starts[0], starts[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(starts[0], starts[2], strict=True))


def test_modules_that_do_not_exist_are_refused_in_one_line(tiny_model):
    with pytest.raises(ModelError, match="lora_target_modules: .*'c_attn'.* fits no module") as e:
        adapt(tiny_model, target_modules=["c_attn"])
    assert "\n" not in str(e.value)


def test_a_saved_adapter_is_a_plain_peft_folder_that_answers_the_same(
    tiny_model, tiny_model_folder, cpu, tmp_path
):
    adapted = adapt(tiny_model)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    expected = logits(adapted)
    save_adapter(adapted, tmp_path / "best")
    write_card(tmp_path / "best", CARD)
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "levertune.json",
    ]
    weights = load_file(tmp_path / "best" / "adapter_model.safetensors")
    assert all("lora_" in name for name in weights)
    text = (tmp_path / "best" / "adapter_config.json").read_text(encoding="utf-8")
    assert json.loads(text)["base_model_name_or_path"] == tiny_model_folder.name
    assert str(tiny_model_folder.parent) not in text
    base = adapted.unload()
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(base, tmp_path / "best")), expected, rtol=0, atol=0
    )


def test_saving_asks_no_network(tiny_model, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", refuse)
    tiny_model.config._name_or_path = "owner/model"
    save_adapter(adapt(tiny_model), tmp_path / "adapter")


def test_a_card_comes_back_as_it_was_written(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    write_card(tmp_path, CARD)
    assert read_card(tmp_path) == CARD
    assert AdapterCard.from_json({**CARD.to_json(), "anchor": None}).anchor is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is no adapter .*Name a folder such as runs/NAME/best"),
        ({"adapter_config.json": "{}"}, "has no levertune.json, so its anchor is unknown"),
        ({"adapter_config.json": "{}", "levertune.json": "{"}, "levertune.json: cannot be read"),
        ({"adapter_config.json": "{}", "levertune.json": "[]"}, "levertune.json: cannot be read"),
        ({"adapter_config.json": "{}", "levertune.json": "{}"}, "levertune.json: cannot be read"),
        (
            {"adapter_config.json": "{}", "levertune.json": '{"anchor": {"text": "a"}}'},
            "levertune.json: cannot be read",
        ),
    ],
)
def test_a_folder_that_is_no_adapter_is_one_line(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=f"^{tmp_path.name}.*{message}") as caught:
        read_card(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_base_is_refused(tiny_model, tmp_path):
    adapted = adapt(tiny_model)
    save_adapter(adapted, tmp_path)
    write_card(tmp_path, CARD)
    base = adapted.unload()
    message = "was trained on 'tiny' .hash aaaaaaaaaaaa.; found a base model with hash bbbbbbbbbbbb"
    with pytest.raises(ModelError, match=message):
        load_adapter(base, tmp_path, base_sha256="b" * 64)
    assert not load_adapter(base, tmp_path, base_sha256="a" * 64).training


def test_a_saved_configuration_is_the_same_in_every_process(tiny_model, tmp_path):
    adapted = adapt(tiny_model)
    save_adapter(adapted, tmp_path)
    modules = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(modules) > 1
    assert modules == sorted(modules)
