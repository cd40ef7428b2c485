import numpy as np
import pytest
import torch

from levertune.errors import ModelError
from levertune.selection import encoder as encoder_module
from levertune.selection import rds
from levertune.selection.dissimilar import select_dissimilar
from levertune.selection.encoder import CosineSimilarity, Encoder, encode_similarity
from levertune.selection.ranking import ScoreTable
from levertune.selection.rds import measure_agreement, select_rds
from levertune.selection.selection import Budget, row_text
from levertune.selection.states import count_layers, lower_layers, pool_states


@pytest.fixture
def make_encoder(tiny_model, tiny_tokenizer, cpu, tmp_path):
    """Makes an encoder on the tiny model, and counts how often the model is asked for."""

    def make(**changes):
        settings = {"identity": "tiny", "folder": tmp_path / "states", **changes}
        return Encoder(lambda: tiny_model, tiny_tokenizer, cpu, **settings)

    return make


def test_pooled_states_are_position_weighted_means_of_unit_length(tiny_model, cpu):
    rows = [[5, 9, 12, 7], [8, 30], [11] * 6]
    pooled = pool_states(tiny_model, rows, num_layers=2, hardware=cpu, pad_id=2)
    for ids, found in zip(rows, pooled, strict=True):
        with torch.inference_mode():
            states = tiny_model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        mean = (states * torch.arange(1, len(ids) + 1)[:, None]).sum(dim=0)
        expected = mean / mean.norm()
        np.testing.assert_allclose(found.astype(float), expected.numpy(), atol=2e-3)


def test_fewer_layers_are_run_and_the_model_is_put_back(tiny_model, cpu):
    ids = torch.tensor([[5, 9, 12, 7]])
    with torch.inference_mode():
        whole = tiny_model.model(input_ids=ids, output_hidden_states=True)
        with lower_layers(tiny_model, 1):
            assert len(tiny_model.model.layers) == 1
            lower = tiny_model.model(input_ids=ids).last_hidden_state
        expected = tiny_model.model.norm(whole.hidden_states[1])
    torch.testing.assert_close(lower, expected)
    assert count_layers(tiny_model) == 2
    with pytest.raises(RuntimeError, match="inside"), lower_layers(tiny_model, 1):
        raise RuntimeError("inside")
    assert len(tiny_model.model.layers) == 2
    assert list(tiny_model.state_dict()) == list(tiny_model.state_dict())


def test_a_model_without_a_list_of_layers_is_refused(tiny_model):
    tiny_model.config.num_hidden_layers = 3
    with pytest.raises(ModelError, match=r"looked for a list of 3\. Choose general rows without"):
        count_layers(tiny_model)


@pytest.mark.parametrize("block_rows", [1, 3, None])
def test_cosines_are_the_same_however_they_are_blocked(block_rows, monkeypatch):
    generator = np.random.default_rng(0)
    task, rows = (generator.normal(size=(n, 33)).astype(np.float16) for n in (4, 50))
    whole = CosineSimilarity(task, 50, lambda a, b: rows[a:b]).block(0, 50)
    monkeypatch.setattr(encoder_module, "_ROWS_AT_A_TIME", block_rows or 7)
    again = CosineSimilarity(task, 50, lambda a, b: rows[a:b])
    parts = [again.block(i, min(i + 9, 50)) for i in range(0, 50, 9)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    exact = task.astype(float) @ rows.astype(float).T
    exact /= np.outer(*(np.linalg.norm(v.astype(float), axis=1) for v in (task, rows)))
    np.testing.assert_allclose(whole, exact, atol=1e-4)


def test_the_nearest_states_are_chosen_in_turn(make_encoder, fruit_task, pool):
    encoder = make_encoder()
    chosen = select_rds(fruit_task, pool, Budget(6), encoder=encoder, seed=0)
    assert chosen.selector == "rds"
    assert [row.nearest for row in chosen.rows] == ["t0", "t1", "t2"] * 2
    scores = encode_similarity(encoder, fruit_task, pool).block(0, len(pool))
    best = pool[int(scores[0].argmax())]
    assert chosen.ids[0] == (best.source, best.id)
    assert chosen.scores[0] == pytest.approx(scores[0].max(), abs=1e-6)
    assert chosen.tokens > 0


def test_states_are_computed_once_for_any_order_block_and_task(
    make_encoder, fruit_task, pool, monkeypatch
):
    first = make_encoder()
    chosen = select_rds(fruit_task, pool, Budget(5), encoder=first, seed=0)
    again = make_encoder()
    monkeypatch.setattr(Encoder, "_run", None)
    same = select_rds(fruit_task, pool[::-1], Budget(5), encoder=again, seed=0, block_rows=2)
    assert same.rows == chosen.rows
    assert again.tokens_run == 0
    assert select_rds(fruit_task[:1], pool, Budget(5), encoder=again, seed=0).tokens == 0


def test_a_killed_run_goes_on_with_the_next_block(make_encoder, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_module, "_BLOCK_ROWS", 5)
    whole = make_encoder(folder=tmp_path / "whole")
    expected = whole.take(whole.encode(pool))
    broken, run, calls = make_encoder(), Encoder._run, []

    def stop_at_second(self, rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "_run", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            broken.encode(pool)
    after = make_encoder()
    assert np.array_equal(after.take(after.encode(pool)), expected)
    assert after.tokens_run < whole.tokens_run


def test_another_model_or_setting_has_states_of_its_own(make_encoder, pool):
    made = make_encoder()
    made.encode(pool)
    for changes in ({"identity": "other"}, {"max_tokens": 5}, {"layer_share": 1.0}):
        other = make_encoder(**changes)
        other.encode(pool)
        assert other.tokens_run > 0, changes
    assert make_encoder(max_tokens=5).encode(pool[:1]).dtype == np.uint64


def test_only_the_first_tokens_are_looked_at(make_encoder, make_row, tiny_tokenizer):
    encoder = make_encoder(max_tokens=8)
    rows = [make_row(0, "the answer is one two three " * 9), make_row(1, "red")]
    encoder.encode(rows)
    short = len(tiny_tokenizer.encode(row_text(rows[1])))
    assert encoder.tokens_run == 8 + min(8, short)


def test_agreement_with_all_layers_is_measured_on_a_sample(make_encoder, fruit_task, pool):
    found, tokens = measure_agreement(make_encoder(), fruit_task, pool, top=4)
    assert (found.layers, found.all_layers, found.rows, found.top) == (1, 2, 12, 4)
    assert 0 <= found.share <= 1
    assert found.by_chance == pytest.approx(4 / 12)
    assert tokens > 0
    assert measure_agreement(make_encoder(layer_share=1.0), fruit_task, pool, top=4) == (None, 0)
    assert measure_agreement(make_encoder(), fruit_task, pool, top=10) == (None, 0)


class MadeUpEncoder:
    """Scores that are written down, for few layers and for all."""

    num_layers, all_layers, tokens_run = 1, 2, 7

    def __init__(self, scores, deep=None):
        self.scores, self.deep = np.array(scores, dtype=float), deep

    def at_full_depth(self):
        return MadeUpEncoder(self.deep)


def test_the_agreement_is_the_mean_share_of_nearest_rows_in_common(fruit_task, pool, monkeypatch):
    monkeypatch.setattr(
        rds, "encode_similarity", lambda encoder, *_, **__: ScoreTable(encoder.scores)
    )
    few = [[9, 8, 7, 6, 0, 0], [9, 8, 7, 6, 0, 0], [1, 2, 3, 4, 5, 6]]
    # In common: all three of the nearest; one of 0, 1, 2; none.
    all_layers = [[7, 9, 8, 0, 0, 6], [0, 0, 5, 6, 7, 0], [6, 5, 4, 3, 2, 1]]
    found, tokens = measure_agreement(MadeUpEncoder(few, all_layers), fruit_task, pool[:6], top=3)
    assert found.share == pytest.approx((3 + 1 + 0) / 9)
    assert (found.top, found.rows, found.by_chance, tokens) == (3, 6, 0.5, 7)
    same, _ = measure_agreement(MadeUpEncoder(few, few), fruit_task, pool[:6], top=3)
    assert same.share == 1


def test_states_that_were_changed_on_the_disk_are_computed_again_and_it_is_said(
    make_encoder, fruit_task, pool, tmp_path
):
    chosen = select_rds(fruit_task, pool, Budget(5), encoder=make_encoder(), seed=0)
    assert chosen.notes == ()
    for path in (tmp_path / "states").rglob("*.states.npy"):
        np.save(path, -np.load(path))
    again = select_rds(fruit_task, pool, Budget(5), encoder=make_encoder(), seed=0)
    assert again.rows == chosen.rows
    assert "blocks of states in the cache were not as they had been written" in again.notes[0]
    for path in (tmp_path / "states").rglob("*.keys.npy"):
        path.write_bytes(b"")
    far = select_dissimilar(fruit_task, pool, Budget(5), encoder=make_encoder(), seed=0)
    assert far.notes[0].startswith("2 blocks of states")
    assert far.tokens > 0


def test_the_control_takes_what_rds_would_take_last(make_encoder, fruit_task, pool):
    encoder = make_encoder()
    far = select_dissimilar(fruit_task, pool, Budget(3), seed=0, encoder=encoder)
    scores = encode_similarity(encoder, fruit_task, pool).block(0, len(pool)).max(axis=0)
    lowest = sorted(range(len(pool)), key=lambda i: scores[i])[:3]
    assert set(far.ids) == {(pool[i].source, pool[i].id) for i in lowest}
    assert far.scores[0] == pytest.approx(scores.min(), abs=1e-6)
