"""The faster way through LoRA's layers says what PEFT's own says."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import nn

from levertune.models.adapters import attach_lora
from levertune.models.hardware import Hardware
from levertune.models.lora_linear import (
    LowRankLinear,
    _LowRankSum,
    is_plain,
    needs_autocast,
    speed_up_lora,
)

BFLOAT16 = Hardware("cpu", torch.bfloat16)


def make_pair(*, bias=False, dtype=torch.float32, **settings):
    """The same adapted layer twice: as PEFT makes it, and with the faster way. `B` is not zero."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 8, bias=bias)).to(dtype)
    config = {"r": 3, "lora_alpha": 7, "target_modules": ["0"], **settings}
    own = get_peft_model(net, LoraConfig(**config))
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter))
    fast = copy.deepcopy(own)
    speed_up_lora(fast)
    return own, fast


def layer_of(model):
    return next(m for m in model.modules() if isinstance(m, PeftLinear))


def outputs_and_gradients(model, x):
    x = x.clone().requires_grad_()
    y = model(x)
    (y.float() * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 12), (1, 1, 12)])
def test_values_and_gradients_are_those_of_peft(bias, shape):
    own, fast = make_pair(bias=bias)
    assert type(layer_of(own)) is PeftLinear
    assert type(layer_of(fast)) is LowRankLinear
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for a, b in zip(outputs_and_gradients(own, x), outputs_and_gradients(fast, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_the_written_out_backward_pass_is_the_derivative():
    torch.manual_seed(0)
    x, a, b = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 4, 6), (3, 6), (5, 3))
    )
    weight, bias = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, a, b: _LowRankSum.apply(x, weight, bias, a, b, 1.7), (x, a, b)
    )


def test_no_gradient_is_computed_for_rows_that_need_none():
    _, fast = make_pair()
    fast(torch.randn(4, 12)).sum().backward()
    assert all(p.grad is not None for p in fast.parameters() if p.requires_grad)


def test_half_precision_weights_need_no_autocast_and_agree_with_it():
    own, fast = make_pair(dtype=torch.bfloat16)
    for layer in (layer_of(own), layer_of(fast)):
        for part in (layer.lora_A, layer.lora_B):
            part["default"].float()
        layer.cast_input_dtype_enabled = False
    assert needs_autocast(own, BFLOAT16)
    assert not needs_autocast(fast, BFLOAT16)
    x = torch.randn(6, 12).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        expected = outputs_and_gradients(own, x)
    found = outputs_and_gradients(fast, x)
    assert [t.dtype for t in found] == [torch.bfloat16, torch.bfloat16] + [torch.float32] * 2
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a.float(), b.float(), rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    "settings",
    [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}],
    ids=lambda settings: next(iter(settings)),
)
def test_what_is_not_plain_goes_pefts_own_way(settings):
    own, fast = make_pair(bias="lora_bias" in settings, **settings)
    assert not is_plain(layer_of(fast))
    x = torch.randn(4, 12)
    torch.manual_seed(3)
    expected = outputs_and_gradients(own, x)
    torch.manual_seed(3)
    for a, b in zip(expected, outputs_and_gradients(fast, x), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_an_adapter_switched_off_merged_or_doubled_is_pefts_affair():
    own, fast = make_pair()
    x = torch.randn(4, 12)
    with own.disable_adapter(), fast.disable_adapter():
        torch.testing.assert_close(own(x), fast(x), rtol=0, atol=0)
    for model in (own, fast):
        layer_of(model).merge()
    torch.testing.assert_close(own(x), fast(x), rtol=0, atol=0)
    for model in (own, fast):
        layer_of(model).unmerge()
        torch.manual_seed(5)
        model.add_adapter("second", LoraConfig(r=2, target_modules=["0"], init_lora_weights=False))
        model.base_model.set_adapter(["default", "second"])
    assert not is_plain(layer_of(fast))
    torch.testing.assert_close(own(x), fast(x), rtol=0, atol=0)


def test_unloading_gives_the_base_model_back():
    _, fast = make_pair()
    base = fast.unload()
    assert type(base[0]) is nn.Linear


@pytest.mark.parametrize(
    ("dtype", "dropout", "expected"),
    [
        (torch.bfloat16, 0.0, False),
        (torch.bfloat16, 0.1, True),
        (torch.float16, 0.0, True),
        (torch.float32, 0.0, False),
    ],
)
def test_when_a_whole_model_needs_autocast(tiny_model, dtype, dropout, expected):
    model = attach_lora(
        tiny_model.to(dtype), r=2, alpha=4, dropout=dropout, target_modules="all-linear"
    )
    assert needs_autocast(model, Hardware("cpu", dtype)) is expected


def test_a_weight_kept_in_float32_asks_for_autocast(tiny_model):
    model = tiny_model.to(torch.bfloat16)
    assert not needs_autocast(model, BFLOAT16)
    model.model.norm.float()
    assert needs_autocast(model, BFLOAT16)
