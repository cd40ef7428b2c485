"""Where memory runs out while rows are chosen: fewer at once, the same choice, a row named."""

import numpy as np
import pytest
import torch

from levertune.errors import RunError
from levertune.evaluation import likelihood
from levertune.selection import gradients, states
from levertune.selection.encoder import Encoder
from levertune.selection.gradients import GradientSettings, select_gradient
from levertune.selection.losses import select_loss
from levertune.selection.selection import Budget
from levertune.selection.states import last_states, pool_states

FEW = GradientSettings(lora_r=2, warm_up_steps=2, warm_up_rows=4, width=512)
ROWS = [[5, 9, 12, 7], [8, 30], [11] * 6, [4] * 3, [17, 3, 20], [6] * 5]


@pytest.fixture
def most_rows(monkeypatch, tiny_model):
    """Lets memory run out where more rows are run at once; what was tried, in rows."""

    def plant(most):
        tried = []
        run = tiny_model.model.forward

        def scarce(*args, **kwargs):
            tried.append(len(kwargs["input_ids"]))
            if tried[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return run(*args, **kwargs)

        monkeypatch.setattr(tiny_model.model, "forward", scarce)
        return tried

    return plant


@pytest.mark.parametrize("take", [pool_states, last_states])
def test_states_are_taken_of_fewer_rows_at_once_and_stay_the_same(
    take, most_rows, tiny_model, cpu, monkeypatch
):
    monkeypatch.setattr(states, "split_by_length", lambda lengths, cost: [range(len(lengths))])
    settings = {"num_layers": 2, "hardware": cpu, "pad_id": 2}
    whole = take(tiny_model, ROWS, **settings)
    tried = most_rows(2)
    split = take(tiny_model, ROWS, **settings)
    assert tried[0] == len(ROWS)
    assert sum(n for n in tried if n <= 2) == len(ROWS)
    assert split.dtype == whole.dtype
    np.testing.assert_allclose(split.astype(float), whole.astype(float), atol=1e-3)


def test_an_encoder_keeps_to_what_fits_in_the_blocks_that_follow(
    most_rows, tiny_model, tiny_tokenizer, cpu, pool, tmp_path, monkeypatch
):
    monkeypatch.setattr(states, "split_by_length", lambda lengths, cost: [range(len(lengths))])
    monkeypatch.setattr("levertune.selection.encoder._BLOCK_ROWS", 6)

    def encode(name):
        encoder = Encoder(
            lambda: tiny_model, tiny_tokenizer, cpu, identity=name, folder=tmp_path / name
        )
        return encoder.take(encoder.encode(pool)).astype(float)

    whole = encode("whole")
    tried = most_rows(3)
    np.testing.assert_allclose(encode("split"), whole, atol=1e-3)
    assert tried.count(6) == 1  # of two blocks
    assert sum(n for n in tried if n <= 3) == len(pool)


def test_a_row_whose_state_does_not_fit_alone_is_named(
    most_rows, tiny_model, tiny_tokenizer, cpu, pool, tmp_path
):
    most_rows(0)
    encoder = Encoder(lambda: tiny_model, tiny_tokenizer, cpu, identity="a", folder=tmp_path)
    message = (
        r"^states: memory runs out at row (garden|travel|music):\w+-\d alone; found \d+ tokens. "
        "Use a device with more memory.$"
    )
    with pytest.raises(RunError, match=message):
        encoder.encode(pool)


def test_another_fault_while_states_are_taken_stays_what_it_is(tiny_model, cpu, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(tiny_model.model, "forward", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        pool_states(tiny_model, ROWS, num_layers=2, hardware=cpu, pad_id=2)


def choose(select, fruit_task, pool, tiny_model, tiny_tokenizer, cpu, **more):
    return select(
        fruit_task,
        pool,
        Budget(5),
        model=tiny_model,
        tokenizer=tiny_tokenizer,
        hardware=cpu,
        max_length=120,
        seed=0,
        **more,
    )


def test_losses_are_scored_of_fewer_rows_at_once_and_the_choice_stays_the_same(
    fruit_task, pool, tiny_model, tiny_tokenizer, cpu, monkeypatch
):
    whole = choose(select_loss, fruit_task, pool, tiny_model, tiny_tokenizer, cpu)
    score = likelihood._score_batch
    tried = []

    def scarce(model, rows, *args, **kwargs):
        tried.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return score(model, rows, *args, **kwargs)

    monkeypatch.setattr(likelihood, "_score_batch", scarce)
    split = choose(select_loss, fruit_task, pool, tiny_model, tiny_tokenizer, cpu)
    assert max(tried) > 2
    assert split.ids == whole.ids
    assert split.scores == pytest.approx(whole.scores, abs=1e-4)


def test_a_row_whose_gradient_does_not_fit_is_named_and_the_model_stays_as_it_was(
    fruit_task, pool, tiny_model, tiny_tokenizer, cpu, monkeypatch
):
    """Gradients are taken row by row: there is nothing smaller to take."""
    compute = gradients._mean_nll
    before = list(tiny_model.state_dict())

    def scarce(model, row, *args):
        if row.source == "music":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return compute(model, row, *args)

    monkeypatch.setattr(gradients, "_mean_nll", scarce)
    message = (
        r"^gradients: memory runs out at row music:music-\d alone; found \d+ tokens. Lower "
        r"training.max_length, choose rows without their gradients \(as general.select=rds\), or "
        "use a device with more memory.$"
    )
    with pytest.raises(RunError, match=message):
        choose(select_gradient, fruit_task, pool, tiny_model, tiny_tokenizer, cpu, settings=FEW)
    assert list(tiny_model.state_dict()) == before
    assert not any(parameter.requires_grad for parameter in tiny_model.parameters())
