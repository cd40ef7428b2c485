"""Base weights in 4 bits; what needs bitsandbytes is skipped where it is not installed."""

import hashlib
import json
import shutil

import pytest
import torch

from levertune.errors import ModelError
from levertune.models import quantization
from levertune.models.adapters import attach_lora
from levertune.models.config_content import config_content
from levertune.models.hardware import Hardware
from levertune.models.load import count_parameters, load_base_model
from levertune.models.lora_linear import autocast_for, grouped_lora
from levertune.models.quantization import NF4, float32_adapter, require_device, require_quantizer
from levertune.models.resolve import fingerprint_model, resolve_model

IDS = torch.arange(12)[None] + 5


@pytest.fixture
def location(tiny_model_folder):
    return resolve_model(str(tiny_model_folder))


@pytest.fixture
def bnb():
    return pytest.importorskip("bitsandbytes", reason="needs levertune[quantized]")


@pytest.fixture
def base(bnb, location, cpu):
    return load_base_model(location, cpu, quantization=NF4)


def with_adapter(base):
    torch.manual_seed(3)
    model = attach_lora(base, r=2, alpha=8, dropout=0.0, target_modules="all-linear")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def gradients(base, hardware):
    """Of the loss on one row by every adapter weight; the base comes back bare."""
    model = with_adapter(base).train()
    with autocast_for(model, hardware), grouped_lora(model):
        loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    model.unload().eval()
    return found


def dequantized(base, location, hardware, bnb):
    """An ordinary model with the weights that a quantised one computes with."""
    plain = load_base_model(location, hardware)
    layers = dict(plain.named_modules())
    for name, module in base.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            weight = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            layers[name].weight.data = weight.to(hardware.dtype)
    return plain


def test_linear_layers_are_in_4_bits_and_the_rest_is_not(base, location, cpu, bnb):
    plain = load_base_model(location, cpu)
    kinds = {name: type(module) for name, module in base.named_modules()}
    linear = {n for n, m in plain.named_modules() if type(m) is torch.nn.Linear} - {"lm_head"}
    assert {name for name, kind in kinds.items() if kind is bnb.nn.Linear4bit} == linear
    assert base.get_output_embeddings().weight.dtype is torch.float32
    bits = [p.numel() * 8 / quantization.num_weights(p) for n, p in base.named_parameters()
            if n.endswith("proj.weight")]  # fmt: skip
    assert set(bits) == {4.0}
    assert count_parameters(base) == count_parameters(plain)
    assert not any(parameter.requires_grad for parameter in base.parameters())


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-4), (torch.bfloat16, 0.2)])
def test_an_adapter_learns_what_it_would_on_the_weights_that_were_kept(
    location, cpu, bnb, dtype, rounding
):
    hardware = Hardware("cpu", dtype)
    base = load_base_model(location, hardware, quantization=NF4)
    ours = gradients(base, hardware)
    exact = gradients(dequantized(base, location, hardware, bnb).float(), cpu)
    assert ours.keys() == exact.keys()
    assert all(gradient.dtype is torch.float32 for gradient in ours.values())
    gaps = [(ours[name] - exact[name]).norm() / exact[name].norm() for name in ours]
    assert max(gaps) < rounding


def test_a_model_that_has_answered_is_trained_as_one_that_has_not(base, cpu):
    before = gradients(base, cpu)
    with torch.inference_mode():
        answers = base(input_ids=IDS).logits
    after = gradients(base, cpu)
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.inference_mode():
        assert torch.equal(base(input_ids=IDS).logits, answers)


def test_an_adapter_stays_in_float32_while_a_trainer_is_made(base):
    model = with_adapter(base)
    with float32_adapter(model):
        assert not model.is_loaded_in_4bit
    assert model.is_loaded_in_4bit
    assert model.unload().is_loaded_in_4bit


def test_weights_that_are_quantised_already_are_refused(bnb, location, tmp_path, cpu):
    folder = tmp_path / "again"
    shutil.copytree(location.folder, folder)
    content = json.loads((folder / "config.json").read_text())
    content["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"'again' are quantised already\. Name the model"):
        load_base_model(resolve_model(str(folder)), cpu, quantization=NF4)


def test_a_device_that_bitsandbytes_does_not_know_is_refused(bnb, monkeypatch):
    monkeypatch.setattr(bnb, "supported_torch_devices", {"cuda"})
    with pytest.raises(ModelError, match=r"^here: bitsandbytes computes on \['cuda'\]; found cpu"):
        require_device(NF4, "cpu", "here")


def test_without_bitsandbytes_the_line_says_which_extra_to_install(monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as refused:
        require_quantizer(NF4, "model.quantization")
    assert str(refused.value) == (
        "model.quantization: nf4 needs bitsandbytes, which is not installed. Get it with: "
        'pip install "levertune[quantized]"'
    )


def test_a_kind_nobody_knows_is_refused():
    with pytest.raises(ModelError, match="must be nf4 or null; found 'int3'"):
        require_quantizer("int3", "best: its base model")


def test_fewer_bits_are_another_base_and_none_the_one_it_was(location):
    weights = hashlib.sha256((location.folder / "model.safetensors").read_bytes()).digest()
    as_ever = hashlib.sha256(weights + config_content(location.folder).encode()).hexdigest()
    assert fingerprint_model(location) == fingerprint_model(location, quantization=None) == as_ever
    assert fingerprint_model(location, quantization=NF4) != as_ever
