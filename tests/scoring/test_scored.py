"""Scored rows: means, ratios, resamples, and what is undefined."""

import numpy as np
import pytest

from levertune.scoring.scored import scored_mean, scored_ratio


def test_rows_without_a_score_are_left_out_of_the_mean():
    scored = scored_mean("m", [1.0, np.nan, 0.0, 1.0])
    assert scored.aggregate() == pytest.approx(2 / 3)
    assert scored.aggregate([1, 0]) == 1
    assert scored.aggregate([1]) is None


def test_rows_may_be_chosen_by_mask():
    scored = scored_mean("m", [1.0, 2.0, 3.0])
    assert scored.aggregate(np.array([False, True, True])) == 2.5


def test_nothing_has_no_mean():
    assert scored_mean("m", []).aggregate() is None
    assert scored_mean("m", [1.0]).aggregate([]) is None


def test_a_ratio_weighs_rows_by_their_denominator():
    scored = scored_ratio("nll_per_token", [2.0, 9.0, 0.0], [1, 9, 0])
    assert scored.aggregate() == pytest.approx(1.1)
    assert scored.per_row[:2].tolist() == [2, 1]
    assert np.isnan(scored.per_row[2])


def test_many_draws_agree_with_one_at_a_time_over_several_blocks(monkeypatch):
    monkeypatch.setattr("levertune.scoring.scored._BLOCK_NUMBERS", 7)
    scored = scored_mean("m", np.arange(5.0))
    index = np.random.default_rng(0).integers(0, 5, size=(11, 4))
    expected = [scored.aggregate(rows) for rows in index]
    np.testing.assert_allclose(scored.aggregate_many(index), expected)


def test_unparseable_rows_are_counted():
    assert scored_mean("m", [1.0, 0.0], unparseable=[False, True]).num_unparseable == 1
    assert scored_mean("m", [1.0, 0.0]).num_unparseable == 0
