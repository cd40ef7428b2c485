import json
import shutil

import pytest
import torch

from levertune.errors import ModelError
from levertune.models.hardware import Hardware
from levertune.models.load import count_parameters, load_base_model
from levertune.models.resolve import ModelLocation


def test_a_base_model_comes_frozen_and_in_evaluation_mode(tiny_model, tiny_model_folder):
    assert not tiny_model.training
    assert not any(parameter.requires_grad for parameter in tiny_model.parameters())
    assert tiny_model.config._name_or_path == tiny_model_folder.name
    total, trainable = count_parameters(tiny_model)
    assert total > 20_000
    assert trainable == 0


def test_precision_and_attention_are_those_asked_for(tiny_model_folder):
    location = ModelLocation("tiny", tiny_model_folder, "folder")
    hardware = Hardware("cpu", torch.bfloat16)
    model = load_base_model(location, hardware, attention="eager")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    "config", ["{", '{"model_type": "no-such-kind"}', '{"model_type": "t5"}', "{}"]
)
def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path, cpu, config):
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    location = ModelLocation("odd", tmp_path, "folder")
    with pytest.raises(ModelError, match="^model 'odd': cannot be loaded; ") as caught:
        load_base_model(location, cpu)
    assert "\n" not in str(caught.value)


def test_broken_weights_are_one_line(tiny_model_folder, tmp_path, cpu):
    (tmp_path / "config.json").write_bytes((tiny_model_folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="^model 'odd': cannot be loaded; "):
        load_base_model(ModelLocation("odd", tmp_path, "folder"), cpu)


def test_a_model_that_brings_code_is_told_how_to_let_it_run(tiny_model_folder, tmp_path, cpu):
    folder = tmp_path / "odd"
    shutil.copytree(tiny_model_folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["model_type"] = "odd"
    config["auto_map"] = {
        "AutoConfig": "odd.OddConfig", "AutoModelForCausalLM": "odd.OddForCausalLM"
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "odd.py").write_text("raise AssertionError('it runs')", "utf-8")
    message = "^model 'odd': cannot be loaded; it brings code of its own.*--trust-remote-code$"
    with pytest.raises(ModelError, match=message):
        load_base_model(ModelLocation("odd", folder, "folder"), cpu)
