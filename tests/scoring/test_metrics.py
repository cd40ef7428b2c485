"""The registry, the contract every metric keeps, and its speed."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.errors import RecipeError
from levertune.scoring.intervals import bootstrap_metric
from levertune.scoring.metrics import METRICS, find_metric

ROWS = [
    ("the cat sat on the mat", ["the cat sat on a mat"]),
    ('{"a": 1, "b": 2}', ['{"a": 1, "b": 3}']),
    ("red", ["red"]),
    ("", ["green"]),
    ("red", ["blue", "teal"]),
]
PREDICTIONS = [prediction for prediction, _ in ROWS]
REFERENCES = [references for _, references in ROWS]


@pytest.mark.parametrize("name", METRICS)
@given(index=st.lists(st.integers(0, len(ROWS) - 1), min_size=1, max_size=8))
@settings(max_examples=15)
def test_a_resample_scores_as_if_its_rows_were_all_there_are(name, index):
    metric = METRICS[name]
    labels = [text for row in REFERENCES for text in row]
    scored = metric.score(PREDICTIONS, REFERENCES, labels=labels)
    fresh = metric.score(
        [PREDICTIONS[row] for row in index], [REFERENCES[row] for row in index], labels=labels
    )
    expected = fresh.aggregate()
    many = scored.aggregate_many(np.array([index, index]))
    if expected is None:
        assert scored.aggregate(index) is None
        assert np.isnan(many).all()
    else:
        assert scored.aggregate(index) == pytest.approx(expected)
        np.testing.assert_allclose(many, expected, atol=1e-9)
        assert metric.minimum - 1e-9 <= expected <= metric.maximum + 1e-9


@pytest.mark.parametrize("name", METRICS)
def test_perfect_predictions_score_the_maximum(name):
    references = [['{"verb": "open the door now", "n": 1}'], ['{"verb": "shut it", "n": 22}']]
    metric = METRICS[name]
    scored = metric.score([row[0] for row in references], references)
    assert scored.name == name
    assert scored.aggregate() == pytest.approx(metric.maximum)
    assert scored.per_row.tolist() == pytest.approx([min(metric.maximum, 100.0)] * 2)
    assert scored.num_unparseable == 0


def test_points_run_to_a_hundred():
    assert METRICS["macro_f1"].points_per_unit == 100
    assert METRICS["chrf"].points_per_unit == 1


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(RecipeError, match="found 'macrof1'. Did you mean 'macro_f1'"):
        find_metric("macrof1")
    with pytest.raises(RecipeError, match=r"found 'zzz'. Known: exact_match"):
        find_metric("zzz")


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="1 predictions for 2 rows"):
        METRICS["chrf"].score(["a"], [["a"], ["b"]])


@pytest.mark.parametrize("row", ["text", []])
def test_each_row_needs_a_list_of_references(row):
    with pytest.raises(ValueError, match=r"references\[0\] must be a list"):
        METRICS["chrf"].score(["a"], [row])


@pytest.mark.parametrize("name", METRICS)
def test_two_thousand_draws_of_a_thousand_rows_are_quick(name):
    rng = np.random.default_rng(0)
    texts = [f'{{"slot": "K{code} of {code % 7}"}}' for code in rng.integers(0, 80, size=1000)]
    references = [[f'{{"slot": "K{code} of 3"}}'] for code in rng.integers(0, 80, size=1000)]
    scored = METRICS[name].score(texts, references)
    start = time.process_time()
    bootstrap_metric(scored, seed=0, draws=2000)
    # About a tenth of a second where nothing else runs; the bound leaves room for a busy machine.
    assert time.process_time() - start < 2
