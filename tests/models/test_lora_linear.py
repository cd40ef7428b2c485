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
    grouped_lora,
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
        lambda x, a, b: _LowRankSum.apply(x, weight, bias, 1.7, a, b), (x, a, b)
    )


def test_the_backward_pass_of_several_layers_is_the_derivative():
    torch.manual_seed(0)
    x, *factors = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 4, 6), (3, 6), (3, 6), (3, 6), (5, 3), (2, 3), (4, 3))
    )
    weight, bias = torch.randn(11, 6, dtype=torch.float64), torch.randn(11, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, *factors: _LowRankSum.apply(x, weight, bias, 1.7, *factors), (x, *factors)
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


class Block(nn.Module):
    """Queries, keys and values of unequal size, and the two ways into an MLP."""

    def __init__(self, *, bias=False, value_bias=None):
        super().__init__()
        self.q_proj = nn.Linear(12, 8, bias=bias)
        self.k_proj = nn.Linear(12, 4, bias=bias)
        self.v_proj = nn.Linear(12, 4, bias=bias if value_bias is None else value_bias)
        self.gate_proj, self.up_proj = nn.Linear(12, 6, bias=bias), nn.Linear(12, 6, bias=bias)
        self.down_proj = nn.Linear(6, 12, bias=bias)

    def forward(self, x):
        y = torch.cat([self.q_proj(x), self.k_proj(x) * 2, self.v_proj(x) * 3], dim=-1)
        return y, self.down_proj(torch.tanh(self.gate_proj(x)) * self.up_proj(x))


def make_blocks(dtype=torch.float32, **settings):
    torch.manual_seed(0)
    net = nn.Sequential(Block(**settings)).to(dtype)
    names = ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(net, LoraConfig(r=3, lora_alpha=7, target_modules=names))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter))
    speed_up_lora(model)
    return model


def block_gradients(model, x):
    model.zero_grad()
    x = x.clone().requires_grad_()
    one, two = model(x)
    (one.float().pow(2).sum() + two.float().pow(3).sum()).backward()
    return [one, two, x.grad, *(p.grad.clone() for p in model.parameters() if p.requires_grad)]


def num_calls(monkeypatch, model, x):
    from levertune.models import lora_linear

    calls = []
    real = lora_linear.add_low_rank

    def count(layers, *rest):
        calls.append(len(layers))
        return real(layers, *rest)

    monkeypatch.setattr(lora_linear, "add_low_rank", count)
    model(x)
    monkeypatch.setattr(lora_linear, "add_low_rank", real)
    return calls


@pytest.mark.parametrize("bias", [False, True])
def test_layers_of_one_input_are_computed_together_and_say_the_same(bias, monkeypatch):
    model = make_blocks(bias=bias)
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    expected = block_gradients(model, x)
    assert num_calls(monkeypatch, model, x) == [1] * 6
    with grouped_lora(model):
        assert num_calls(monkeypatch, model, x) == [3, 2, 1]
        found = block_gradients(model, x)
        again = block_gradients(model, x)
        assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3)
    assert num_calls(monkeypatch, model, x) == [1] * 6
    # The weights are what they were, each with a storage of its own.
    storages = set()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, weights[name])
        storages.add(parameter.untyped_storage().data_ptr())
    assert len(storages) == len(weights)


@pytest.mark.parametrize("bias", [False, True])
def test_settled_adapters_say_the_same_and_are_made_ready_once(bias, monkeypatch):
    from levertune.models import lora_linear

    model = make_blocks(bias=bias)
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
    expected = model(x)
    stacked = []
    real = lora_linear._stack
    monkeypatch.setattr(lora_linear, "_stack", lambda *a: stacked.append(1) or real(*a))
    with grouped_lora(model, is_settled=True), torch.inference_mode():
        assert len(stacked) == 3
        for _ in range(2):
            for a, b in zip(expected, model(x), strict=True):
                torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)
        assert len(stacked) == 3
    with grouped_lora(model, is_settled=True), model.disable_adapter(), torch.no_grad():
        assert not torch.allclose(model(x)[0], expected[0])
    with torch.no_grad():  # what was made ready is gone
        layer_of(model).lora_B["default"].weight.mul_(2)
        assert not torch.allclose(model(x)[0], expected[0])


def test_gradients_of_settled_adapters_are_right_all_the_same():
    model = make_blocks()
    x = torch.randn(3, 12)
    expected = block_gradients(model, x)
    with grouped_lora(model, is_settled=True):
        found = block_gradients(model, x)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3)


def test_a_group_within_a_group_is_the_outer_one(monkeypatch):
    model = make_blocks()
    x = torch.randn(3, 12)
    with grouped_lora(model):
        with grouped_lora(model):
            assert num_calls(monkeypatch, model, x) == [3, 2, 1]
        assert num_calls(monkeypatch, model, x) == [3, 2, 1]


def test_layers_that_differ_are_computed_apart(monkeypatch):
    x = torch.randn(3, 12)
    with grouped_lora(model := make_blocks(bias=True, value_bias=False)):
        assert num_calls(monkeypatch, model, x) == [1, 1, 1, 2, 1]
    other = make_blocks()
    other.base_model.model[0].k_proj.scaling["default"] = 1.0
    with grouped_lora(other):
        assert num_calls(monkeypatch, other, x) == [1, 1, 1, 2, 1]


def test_a_new_input_is_not_answered_with_an_old_output():
    model = make_blocks()
    block = model.base_model.model[0]
    one, two = torch.randn(3, 12), torch.randn(3, 12)
    expected = [block.k_proj(two), block.q_proj(one), block.k_proj(one)]
    with grouped_lora(model):
        block.q_proj(one)  # its keys and values are never asked for
        found = [block.k_proj(two), block.q_proj(one), block.k_proj(one)]
        same = block.k_proj(one)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(same, expected[2])


def test_switched_off_adapters_give_the_base_model_in_a_group():
    model = make_blocks()
    x = torch.randn(3, 12)
    with model.disable_adapter():
        expected = model(x)
    with grouped_lora(model), model.disable_adapter():
        found = model(x)
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a, b)


def test_a_model_without_adapters_stays_as_it_is():
    net = nn.Sequential(Block())
    before = [p.data_ptr() for p in net.parameters()]
    with grouped_lora(net):
        pass
    assert [p.data_ptr() for p in net.parameters()] == before


def test_the_weights_come_back_after_an_error():
    model = make_blocks()
    with pytest.raises(RuntimeError, match="stop"), grouped_lora(model):
        raise RuntimeError("stop")
    pointers = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert len(pointers) == len(list(model.parameters()))
