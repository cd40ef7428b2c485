import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from levertune.anchors.anchor import Example, plain_example
from levertune.data.records import Message
from levertune.evaluation.likelihood import mean_nll_with_end, score_likelihood
from levertune.selection.gradients import (
    GradientSettings,
    _Features,
    _warm_adapter,
    select_gradient,
)
from levertune.selection.losses import select_loss
from levertune.selection.selection import Budget

FEW = GradientSettings(lora_r=2, warm_up_steps=2, warm_up_rows=4, width=512)


@pytest.fixture
def settings(tiny_model, tiny_tokenizer, cpu):
    return {
        "model": tiny_model,
        "tokenizer": tiny_tokenizer,
        "hardware": cpu,
        "max_length": 120,
        "seed": 0,
    }


@pytest.fixture
def few_steps(monkeypatch):
    """Gradients after a short warm-up by default."""
    monkeypatch.setitem(select_gradient.__kwdefaults__, "settings", FEW)


def test_a_rows_loss_score_is_the_ratio_of_its_nll_with_and_without_prompt(
    settings, fruit_task, pool, tiny_tokenizer, tiny_model, cpu
):
    chosen = select_loss(fruit_task, pool, Budget(4), **settings)
    assert chosen.selector == "loss"
    for record, score in zip(chosen.pick(pool), chosen.scores, strict=True):
        bare = Example(record.id, record.source, (Message("user", ""),), record.completion)
        values = [
            mean_nll_with_end(
                score_likelihood(
                    tiny_model, [tiny_tokenizer.tokenize(example)], hardware=cpu, pad_id=2
                )
            )
            for example in (plain_example(record), bare)
        ]
        assert score == pytest.approx(values[0] / values[1], abs=1e-4)
    assert chosen.tokens > 0


def test_of_the_rows_found_for_a_task_row_the_highest_ratio_below_one_comes_first(
    settings, fruit_task, pool
):
    chosen = select_loss(fruit_task, pool, Budget(12), **settings)
    assert len(chosen.rows) == len(pool)
    for task_id in ("t0", "t1", "t2"):
        scores = [row.score for row in chosen.rows if row.nearest == task_id]
        helped = [score for score in scores if score < 1]
        assert helped == sorted(helped, reverse=True)
        assert scores[: len(helped)] == helped
        assert scores[len(helped) :] == sorted(scores[len(helped) :])


@pytest.mark.parametrize("select", [select_loss, select_gradient])
def test_rows_that_cannot_be_trained_on_are_not_scored(
    select, settings, fruit_task, pool, make_row, few_steps
):
    odd = [
        make_row("long", "ripe cherries " * 90),
        make_row("control", "ripe <|im_end|> cherries"),
        replace(make_row("text", ""), prompt=(), completion="ripe cherries on a tree"),
    ]
    chosen = select(fruit_task, [*pool, *odd], Budget(4), **settings)
    assert not {row.id for row in chosen.rows} & {"long", "control", "text"}
    assert any("rows were not scored" in note for note in chosen.notes)


@pytest.mark.parametrize("select", [select_loss, select_gradient])
def test_the_order_of_the_candidates_changes_nothing(select, settings, fruit_task, pool, few_steps):
    chosen = select(fruit_task, pool, Budget(5), **settings)
    assert select(fruit_task, pool[::-1], Budget(5), **settings).rows == chosen.rows
    assert len(chosen.rows) == 5


@pytest.mark.parametrize("select", [select_loss, select_gradient])
def test_only_a_shortlist_is_scored(select, settings, fruit_task, pool, few_steps):
    chosen = select(fruit_task, pool, Budget(2), factor=2, **settings)
    assert len(chosen.rows) == 2
    assert "Scored were the 4 of 12 rows nearest by BM25." in chosen.notes


def test_gradients_leave_the_model_and_the_global_generator_as_they_were(
    settings, fruit_task, pool, tiny_model
):
    before = copy.deepcopy(tiny_model.state_dict())
    state = torch.random.get_rng_state()
    chosen = select_gradient(fruit_task, pool, Budget(3), settings=FEW, **settings)
    assert torch.equal(torch.random.get_rng_state(), state)
    after = tiny_model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad for p in tiny_model.parameters())
    assert [row.nearest for row in chosen.rows] == ["t0", "t1", "t2"]


def test_projected_gradients_keep_the_cosines_of_the_gradients(
    tiny_model, tiny_tokenizer, cpu, fruit_task, pool
):
    rows = [tiny_tokenizer.tokenize(plain_example(r)) for r in (*fruit_task, *pool[:5])]
    with _warm_adapter(tiny_model, [rows[:3]] * 3, cpu, 2, FEW, 0) as adapted:
        narrow = _Features(adapted, cpu, 2, 2048, 1).of(rows, None)
        whole = []
        for row in rows:
            adapted.zero_grad()
            from levertune.selection.gradients import _mean_nll, _trained

            _mean_nll(adapted, row, cpu, 2).backward()
            assert all(p.grad is not None for p in _trained(adapted))
            flat = torch.cat([p.grad.flatten() for p in _trained(adapted)])
            whole.append((flat / flat.norm()).numpy())
    np.testing.assert_allclose(narrow @ narrow.T, np.array(whole) @ np.array(whole).T, atol=0.12)


def test_a_row_is_nearest_to_itself(settings, fruit_task, pool):
    twin = replace(fruit_task[1], id="twin", source="travel")
    task = [fruit_task[1], fruit_task[0]]
    chosen = select_gradient(task, [*pool, twin], Budget(2), settings=FEW, **settings)
    assert chosen.ids[0] == ("travel", "twin")
    assert chosen.rows[0].nearest == "t1"
    assert chosen.scores[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("select", [select_loss, select_gradient])
def test_a_second_budget_runs_only_what_was_not_scored(
    select, settings, fruit_task, pool, few_steps, tmp_path
):
    kept = {**settings, "folder": tmp_path, "identity": "tiny"}
    few = select(fruit_task, pool, Budget(2), factor=3, **kept)
    more = select(fruit_task, pool, Budget(4), factor=3, **kept)
    assert more.tokens > 0
    again = select(fruit_task, pool, Budget(3), factor=3, **kept)
    assert again.tokens == 0
    fresh = {n: select(fruit_task, pool, Budget(n), factor=3, **settings) for n in (2, 3, 4)}
    assert [few.ids, again.ids, more.ids] == [fresh[n].ids for n in (2, 3, 4)]
    assert again.scores == pytest.approx(fresh[3].scores, abs=1e-5)
    whole = fresh[4].tokens
    assert few.tokens + more.tokens < fresh[2].tokens + whole
    other = select(fruit_task, pool, Budget(3), factor=3, **{**kept, "identity": "another"})
    assert other.tokens == fresh[3].tokens


def test_gradients_of_other_task_rows_are_others(settings, fruit_task, pool, few_steps, tmp_path):
    kept = {**settings, "folder": tmp_path}
    select_gradient(fruit_task, pool, Budget(2), **kept)
    fewer = select_gradient(fruit_task[:2], pool, Budget(2), **kept)
    assert fewer.tokens > 0
    assert fewer.rows == select_gradient(fruit_task[:2], pool, Budget(2), **settings).rows


def test_nothing_to_choose_from_gives_nothing(settings, fruit_task, pool):
    assert select_gradient(fruit_task, [], Budget(3), **settings).rows == ()
    assert select_loss(fruit_task, [], Budget(3), **settings).rows == ()
