"""The timed step: it takes what a training would take, and leaves the base model as it was."""

from dataclasses import replace

import pytest
import torch

from levertune.errors import RunError
from levertune.models.batches import BatchCost, PaddedRows
from levertune.training import timing
from levertune.training.train import TrainingConfig

CONFIG = TrainingConfig(learning_rate=1e-3, lora_r=2, lora_target_modules=("q_proj",))


@pytest.fixture
def time_step(rows, tiny_model, cpu):
    def time_step(config=CONFIG):
        return timing.time_step(tiny_model, rows[:8], config, hardware=cpu, pad_id=2)

    return time_step


@pytest.fixture
def passes(monkeypatch):
    """The models and numbers of rows of each pass."""
    seen, real = [], timing.select_logits

    def look(model, inputs, index):
        found = real(model, inputs, index)
        seen.append((model, len(inputs["input_ids"])))
        return found

    whole = PaddedRows(2, BatchCost(10_000, 100_000))
    monkeypatch.setattr(timing, "choose_batching", lambda *args, **options: whole)
    monkeypatch.setattr(timing, "select_logits", look)
    return seen


def test_where_memory_runs_out_the_step_is_timed_in_smaller_pieces(time_step, passes, monkeypatch):
    look = timing.select_logits

    def scarce(model, inputs, index):
        found = look(model, inputs, index)
        if len(inputs["input_ids"]) > 3:
            torch.empty(1 << 55, dtype=torch.uint8)  # torch's own error
        return found

    monkeypatch.setattr(timing, "select_logits", scarce)
    assert time_step() > 0
    assert [n for _, n in passes] == [8, 4, *[2] * 4, *[2] * 4]


def test_a_row_that_does_not_fit_alone_is_named(time_step, monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(timing, "select_logits", fail)
    message = (
        r"^estimate: memory runs out at row \w+:\d+ alone; found \d+ tokens. Set training.grad"
    )
    with pytest.raises(RunError, match=message):
        time_step()


def test_any_other_fault_stays_what_it_is(time_step, monkeypatch):
    def fail(*args):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(timing, "select_logits", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        time_step()


@pytest.mark.parametrize("is_on", [False, True])
def test_activations_are_computed_again_where_the_training_will(
    time_step, tiny_model, monkeypatch, is_on
):
    """Each layer then goes forward twice a pass."""
    calls = []
    tiny_model.model.layers[0].mlp.register_forward_pre_hook(lambda *args: calls.append(1))
    passes = []
    real = timing.select_logits
    monkeypatch.setattr(timing, "select_logits", lambda *args: (passes.append(1), real(*args))[1])
    time_step(replace(CONFIG, gradient_checkpointing=is_on))
    assert len(calls) == (2 if is_on else 1) * len(passes)
    assert not tiny_model.is_gradient_checkpointing


def test_the_base_model_and_the_random_numbers_are_as_they_were(time_step, tiny_model):
    before, names = torch.get_rng_state(), [name for name, _ in tiny_model.named_parameters()]
    time_step(replace(CONFIG, gradient_checkpointing=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert [name for name, _ in tiny_model.named_parameters()] == names
    assert not tiny_model.training
    assert not any(parameter.requires_grad for parameter in tiny_model.parameters())
