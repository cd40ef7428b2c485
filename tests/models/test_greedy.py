"""Answers grown together, against each row alone without any memory."""

import pytest
import torch

from levertune.models import greedy
from levertune.models.adapters import attach_lora
from levertune.models.greedy import continue_greedily
from levertune.models.hardware import Hardware
from levertune.models.tree_attention import _MODEL_TYPES, can_share

CPU = Hardware("cpu", torch.float32)
STOP = 5


def make_prompts():
    """Prompts behind an anchor, some behind the half of it, two equal, one of a single token."""
    generator = torch.Generator().manual_seed(2)

    def draw(n):
        return torch.randint(6, 64, (n,), generator=generator).tolist()

    anchor = draw(20)
    prompts = [[*anchor, *draw(1 + 3 * i)] for i in range(5)]
    prompts += [[*anchor[:10], *draw(6)] for _ in range(2)]
    return [*prompts, prompts[1], draw(1), draw(50)]


def alone(model, prompt, limit):
    """One token at a time, the whole row computed anew."""
    ids = list(prompt)
    while len(ids) - len(prompt) < limit:
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == STOP:
            break
    return ids[len(prompt) :]


def together(model, prompts, limit=20, batch_size=100, **options):
    assert can_share(model, CPU)
    return continue_greedily(
        model,
        prompts,
        stop_ids=frozenset([STOP]),
        max_new_tokens=limit,
        batch_size=batch_size,
        **options,
    )


@pytest.fixture
def some_stop(make_model):
    """A model some of whose answers end early."""
    model = make_model("llama")
    with torch.no_grad():
        model.get_output_embeddings().weight[STOP] *= 0.7
    return model


@pytest.mark.parametrize("model_type", sorted(_MODEL_TYPES))
def test_answers_are_those_of_each_row_alone(model_type, make_model):
    model, prompts = make_model(model_type), make_prompts()
    expected = [alone(model, prompt, 20) for prompt in prompts]
    assert together(model, prompts) == expected
    assert len({tuple(answer) for answer in expected}) > 4  # they say something


@pytest.mark.parametrize("model_type", ["mistral", "gemma2", "gemma3_text"])
def test_a_sliding_window_looks_back_as_far_as_it_does_in_a_row_alone(model_type, make_model):
    model, prompts = make_model(model_type, sliding_window=9), make_prompts()
    assert together(model, prompts) == [alone(model, prompt, 20) for prompt in prompts]


def test_rows_that_end_leave_and_the_others_go_on(some_stop, monkeypatch):
    prompts = make_prompts()
    expected = [alone(some_stop, prompt, 40) for prompt in prompts]
    lengths = {len(answer) for answer in expected}
    assert len(lengths) > 2
    assert 40 in lengths
    rows = []
    real = greedy.select_logits

    def watch(model, inputs, index):
        rows.append(len(index))
        return real(model, inputs, index)

    monkeypatch.setattr(greedy, "select_logits", watch)
    assert together(some_stop, prompts, limit=40) == expected
    assert rows == sorted(rows, reverse=True)
    assert len(rows) == 40  # a pass a token
    assert rows[-1] <= 1.2 * sum(len(answer) == 40 for answer in expected)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_who_is_answered_together_changes_nothing(some_stop, batch_size):
    prompts = make_prompts()
    expected = together(some_stop, prompts)
    assert together(some_stop, prompts, batch_size=batch_size) == expected


def test_no_more_is_remembered_at_once_than_allowed(some_stop, monkeypatch):
    prompts = make_prompts()
    expected = together(some_stop, prompts)
    sizes = []
    real = greedy.RowMemory

    def watch(places):
        sizes.append(len(places) * (max(map(len, places)) + 20))
        return real(places)

    monkeypatch.setattr(greedy, "RowMemory", watch)
    monkeypatch.setattr(greedy, "_MAX_REMEMBERED", 150)
    assert together(some_stop, prompts) == expected
    assert len(sizes) > 2
    assert max(sizes) <= 150


def test_a_prompt_that_is_too_long_for_the_memory_is_answered_alone(some_stop, monkeypatch):
    prompts = make_prompts()
    monkeypatch.setattr(greedy, "_MAX_REMEMBERED", 1)
    monkeypatch.setattr(greedy, "_MAX_PASS_TOKENS", 1)
    assert together(some_stop, prompts) == [alone(some_stop, prompt, 20) for prompt in prompts]


def test_every_row_is_told_once_when_it_is_done(some_stop):
    prompts = make_prompts()
    told = []
    together(some_stop, prompts, limit=40, on_finished=told.append)
    assert sum(told) == len(prompts)
    assert told[-1] < len(prompts)  # not all at the end


def test_one_token_is_allowed_and_no_rows_are_no_answers(some_stop):
    prompts = make_prompts()
    assert together(some_stop, prompts, limit=1) == [alone(some_stop, p, 1) for p in prompts]
    assert together(some_stop, []) == []


def test_an_adapter_is_heard(make_model):
    model, prompts = make_model("llama"), make_prompts()
    plain = together(model, prompts)
    adapted = attach_lora(model, r=4, alpha=8, dropout=0.0, target_modules="all-linear").eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    found = together(adapted, prompts)
    assert found == [alone(adapted, prompt, 20) for prompt in prompts]
    assert found != plain
