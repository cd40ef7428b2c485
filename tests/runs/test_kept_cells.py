"""Cells of a grid kept as ids and numbers: compared as the runs themselves, and without a text."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.results.cells import cell_dir, read_predictions
from levertune.results.schema import read_result
from levertune.runs.summary import BOOTSTRAP_SEED
from levertune.scoring.intervals import crossed_difference
from levertune.scoring.metrics import METRICS

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "evidence"))
from kept import keep_cell, pack_score, read_kept, unpack_score

RUN = Path("runs/whole")
SETTINGS = {"arms": ["tell"], "general.rows": 7}


@pytest.fixture
def kept(finished_copy):
    """Both arms of the finished run, kept."""
    for arm in ("tell", "sft-steps"):
        assert keep_cell(
            RUN, arm, 0, made_by="abc", settings=SETTINGS, to=Path("kept", f"{arm}.json")
        )


def test_kept_cells_differ_as_the_run_itself_says(kept):
    first, second = (read_kept(Path("kept", f"{arm}.json"), "abc") for arm in ("tell", "sft-steps"))
    result = read_result(RUN)
    said = {
        one.metric: one.difference
        for one in result.comparisons
        if (one.arm, one.against) == ("tell", "sft-steps")
    }
    pairs = {result.metrics.primary: (first.score, second.score)}
    pairs |= {f"nll.{name}": (first.nll[name], second.nll[name]) for name in first.nll}
    assert {"nll.task", "nll.retention"} <= set(pairs)
    for name, (mine, other) in pairs.items():
        found = crossed_difference([mine], [other], seed=BOOTSTRAP_SEED)
        assert found.value == pytest.approx(said[name].value, abs=1e-6)
        assert found.low == pytest.approx(said[name].low, abs=1e-6)
        assert found.high == pytest.approx(said[name].high, abs=1e-6)
    assert first.ids == second.ids
    assert first.ids["task"] == tuple(row.id for row in read_predictions(RUN / cell_dir("tell", 0)))


def test_what_is_kept_or_published_says_which_weights_it_was_measured_on(kept):
    sha256 = read_result(RUN).model.sha256
    assert len(sha256) == 64
    assert json.loads(Path("kept/tell.json").read_text())["model_sha256"] == sha256
    script = Path(__file__).parents[2] / "scripts" / "write_public_result.py"
    assert runpy.run_path(str(script))["public_result"](RUN)["model_sha256"] == sha256


def test_no_text_is_kept(kept):
    text = Path("kept/tell.json").read_text()
    for row in read_predictions(RUN / cell_dir("tell", 0)):
        for word in (row.prompt, row.prediction, *row.references):
            assert not word.strip() or json.dumps(word) not in text


def test_a_cell_of_another_run_is_not_taken(kept):
    path = Path("kept/tell.json")
    assert read_kept(path, "abc") is not None
    assert read_kept(path, "abd") is None
    assert read_kept(Path("kept/none.json"), "abc") is None


def test_what_is_not_finished_is_not_kept(finished_copy):
    assert not keep_cell(RUN, "tell", 9, made_by="abc", settings=SETTINGS, to=Path("kept.json"))
    assert not Path("kept.json").exists()


WORDS = st.sampled_from(["A1", "B2", "C3", '{"a": 1}', '{"a": 2, "b": "x"}', "no label", ""])


@pytest.mark.parametrize("name", sorted(METRICS))
@given(rows=st.lists(st.tuples(WORDS, WORDS.filter(bool)), min_size=2, max_size=9))
@settings(max_examples=25, deadline=None)
def test_every_metric_comes_back_as_it_was(name, rows):
    labels = ["A1", "B2", "C3", "D4"] if METRICS[name].kind == "label" else None
    score = METRICS[name].score([p for p, _ in rows], [[r] for _, r in rows], labels=labels)
    found = unpack_score(json.loads(json.dumps(pack_score(score))))
    draws = np.random.default_rng(0).integers(len(rows), size=(20, len(rows)))
    np.testing.assert_allclose(found.aggregate_many(draws), score.aggregate_many(draws), atol=1e-5)
    np.testing.assert_allclose(found.per_row, score.per_row, atol=1e-5)
    assert found.is_proportion == score.is_proportion
    assert found.bounds == score.bounds
