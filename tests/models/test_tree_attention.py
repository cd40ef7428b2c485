"""Rows that share their beginnings, against the same rows one by one."""

import copy

import pytest
import torch

from levertune.models.adapters import attach_lora
from levertune.models.batches import BatchCost, PaddedRows
from levertune.models.hardware import Hardware
from levertune.models.head import select_logits
from levertune.models.rendering import IGNORE_INDEX, TokenizedExample
from levertune.models.shared_rows import SharedRows, choose_batching
from levertune.models.tree_attention import _MODEL_TYPES, NAME, can_share, tree_attention

CPU = Hardware("cpu", torch.float32)


def row(number, prompt, completion):
    labels = [IGNORE_INDEX] * len(prompt) + completion
    return TokenizedExample(
        id=str(number),
        source="task",
        input_ids=[*prompt, *completion],
        labels=labels,
        num_end=1,
    )


def make_rows():
    """Task rows behind an anchor, general rows, two that are equal, one as long as many."""
    generator = torch.Generator().manual_seed(1)

    def draw(n):
        return torch.randint(3, 64, (n,), generator=generator).tolist()

    system, anchor = draw(12), draw(9)
    rows = [row(i, [*system, *anchor, *draw(4 + i)], draw(3)) for i in range(4)]
    rows.append(row(4, rows[0].input_ids[:-3], rows[0].input_ids[-3:]))
    rows += [row(5 + i, [*system, *draw(5 * i + 1)], draw(4 + i)) for i in range(3)]
    rows.append(row(8, [], draw(6)))  # its first token is supervised, and predicted by none
    rows.append(row(9, draw(90), draw(20)))
    return rows


def run(model, rows, batching, wanted):
    """Logits by row, and gradients of the wanted parameters, of a loss that weighs rows apart."""
    model.zero_grad()
    logits, num_passes = {}, 0
    with batching.engage(model):
        for part in batching.split(rows):
            num_passes += 1
            batch = batching.collate([rows[i] for i in part])
            found = select_logits(model, batch.inputs, batch.index)
            losses = torch.nn.functional.cross_entropy(found, batch.targets, reduction="none")
            weights = torch.tensor([1.0 + i for i in part])[batch.rows]
            (losses * weights).sum().backward()
            for at, i in enumerate(part):
                logits[i] = found[batch.rows == at].detach()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if wanted(n, p)}
    return logits, gradients, num_passes


PADDED = PaddedRows(0, BatchCost(0, 1))  # each row alone


@pytest.mark.parametrize("model_type", sorted(_MODEL_TYPES))
@pytest.mark.parametrize("max_tokens", [10_000, 60])
def test_logits_and_gradients_are_those_of_each_row_alone(model_type, max_tokens, make_model):
    model = make_model(model_type)
    assert can_share(model, CPU)
    rows = make_rows()

    def wanted(name, parameter):
        return parameter.grad is not None

    expected, gradients, num_alone = run(model, rows, PADDED, wanted)
    found, shared_gradients, num_passes = run(model, rows, SharedRows(max_tokens), wanted)
    assert num_alone == len(rows)
    assert num_passes == 1 if max_tokens > 1000 else 1 < num_passes < num_alone
    for i in range(len(rows)):
        torch.testing.assert_close(found[i], expected[i], rtol=1e-4, atol=1e-4)
    assert shared_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(shared_gradients[name], gradient, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model_type", ["mistral", "gemma2", "gemma3_text"])
def test_a_sliding_window_looks_back_as_far_as_it_does_in_a_row_alone(model_type, make_model):
    model = make_model(model_type, sliding_window=7)
    rows = make_rows()
    expected, _, _ = run(model, rows, PADDED, lambda *_: False)
    found, _, _ = run(model, rows, SharedRows(10_000), lambda *_: False)
    for i in range(len(rows)):
        torch.testing.assert_close(found[i], expected[i], rtol=1e-4, atol=1e-4)
    wide, _, _ = run(make_model(model_type, sliding_window=500), rows, PADDED, lambda *_: False)
    assert not torch.allclose(wide[9], expected[9], atol=1e-3)  # so the window does something


@pytest.mark.parametrize(
    ("model_type", "window", "expected_ways"),
    [
        ("llama", None, {"_attend_causal", "_attend_long"}),
        ("gemma3_text", 500, {"_attend_causal", "_attend_long"}),
        ("mistral", 7, {"_attend_long"}),  # runs that a window cuts need a mask
    ],
)
def test_long_rows_take_the_fused_kernel_and_end_the_same(
    model_type, window, expected_ways, monkeypatch, make_model
):
    from levertune.models import tree_attention as module

    sizes = {} if window is None else {"sliding_window": window}
    model, rows = make_model(model_type, **sizes), make_rows()
    expected, gradients, _ = run(model, rows, SharedRows(10_000), lambda n, p: p.grad is not None)
    monkeypatch.setattr(module, "EAGER_ATTENTION_MAX_LENGTH", 3)
    ways = set()
    for way in ("_attend_causal", "_attend_long", "_attend_short"):
        attend = getattr(module, way)
        monkeypatch.setattr(
            module, way, lambda *args, way=way, attend=attend: ways.add(way) or attend(*args)
        )
    found, fused, _ = run(model, rows, SharedRows(10_000), lambda n, p: p.grad is not None)
    assert ways == expected_ways
    for i in range(len(rows)):
        torch.testing.assert_close(found[i], expected[i], rtol=1e-4, atol=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(fused[name], gradient, rtol=1e-3, atol=1e-3)


def test_adapters_are_trained_through_it_and_the_model_comes_back(make_model):
    model = make_model("llama")
    before = model.config._attn_implementation
    adapted = attach_lora(model, r=4, alpha=8, dropout=0.0, target_modules="all-linear")
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)

    def wanted(name, parameter):
        return "lora_" in name

    rows = make_rows()
    _, expected, _ = run(adapted, rows, PADDED, wanted)
    _, found, _ = run(adapted, rows, SharedRows(10_000), wanted)
    assert len(expected) == 3 * 7 * 2
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-3)
    assert model.config._attn_implementation == before


def test_the_same_rows_give_the_same_bits(make_model):
    model, rows = make_model("llama"), make_rows()
    _, one, _ = run(model, rows, SharedRows(10_000), lambda n, p: p.grad is not None)
    _, two, _ = run(model, rows, SharedRows(10_000), lambda n, p: p.grad is not None)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_is_shared_is_computed_once():
    rows = make_rows()[:5]
    batch = SharedRows(10_000).collate(rows)
    lengths = [len(one.input_ids) for one in rows]
    assert batch.inputs["input_ids"].shape == (1, sum(lengths) - 3 * 21 - lengths[4])
    # The row that is there twice counts twice.
    assert (batch.rows == 0).sum() == (batch.rows == 4).sum() == 3
    assert torch.equal(batch.index[batch.rows == 0], batch.index[batch.rows == 4])


def test_dropout_other_models_and_accelerators_go_the_padded_way(make_model):
    model = make_model("llama")
    assert isinstance(choose_batching(model, CPU, pad_id=0), SharedRows)
    cuda = Hardware("cuda", torch.float32)
    assert isinstance(choose_batching(model, cuda, pad_id=0), PaddedRows)
    dropped = copy.deepcopy(model)
    dropped.config.attention_dropout = 0.1
    assert not can_share(dropped, CPU)
    adapted = attach_lora(model, r=2, alpha=4, dropout=0.1, target_modules="all-linear")
    assert not can_share(adapted, CPU)
    other = make_model("llama")
    other.config.model_type = "mamba"
    assert not can_share(other, CPU)


def test_a_pass_of_half_the_tokens_can_be_asked_for(make_model):
    model = make_model("llama")
    whole, half = (choose_batching(model, CPU, pad_id=0, share=s) for s in (1.0, 0.5))
    assert half.max_tokens == whole.max_tokens // 2


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gemma3_text"])
def test_a_model_generates_between_two_steps_as_it_always_does(model_type, make_model):
    model = make_model(model_type)
    model.set_attn_implementation("eager")
    ids = torch.tensor([[0, 0, 5, 6, 7, 9], [3, 4, 5, 6, 8, 11]])
    mask = (ids != 0).long()

    def answers():
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=8, do_sample=False,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        return out.sequences, torch.stack(out.logits)

    expected, logits = answers()
    with tree_attention(model):
        assert model.config._attn_implementation == NAME
        found, found_logits = answers()
    assert model.config._attn_implementation == "eager"
    assert torch.equal(found, expected)
    torch.testing.assert_close(found_logits, logits)
