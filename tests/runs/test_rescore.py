"""A cell's files say what its answers are worth by the metric there is now."""

import sys
from pathlib import Path

import pytest

from levertune.results.cells import read_cell, read_predictions
from levertune.runs.run import run_recipe

CELL = Path("runs/whole/arms/base/seed-0")
METRIC = "own_metric:score"


@pytest.fixture
def run(project, monkeypatch):
    """Runs the base arm by a metric of one's own, in a new process as it were."""
    monkeypatch.syspath_prepend(str(project.folder))

    def run(body):
        Path("own_metric.py").write_text(f"def score(prediction, references):\n    return {body}\n")
        sys.modules.pop("own_metric", None)
        for cached in Path("__pycache__").glob("own_metric*"):
            cached.unlink()  # two files of one second and size pass for one
        return run_recipe(project.recipe(arms=["base"], task__metric=METRIC))

    yield run
    sys.modules.pop("own_metric", None)


def test_cells_take_the_scores_of_a_metric_that_was_changed(run):
    run("0.25")
    before = read_cell(CELL)
    rows = read_predictions(CELL)
    assert before.scores[METRIC] == 0.25
    result = run("0.75").result
    after = read_cell(CELL)
    assert after.scores[METRIC] == result.arms[0].scores[METRIC].value == 0.75
    assert {row.scores[METRIC] for row in read_predictions(CELL)} == {0.75}
    # It was not evaluated again: answers and times are those of the first call.
    assert after.seconds == before.seconds
    assert [row.prediction for row in read_predictions(CELL)] == [row.prediction for row in rows]
    others = [name for name in before.scores if name != METRIC]
    assert {name: after.scores[name] for name in others} == {
        name: before.scores[name] for name in others
    }


def test_files_whose_scores_are_right_are_left_alone(run):
    run("len(prediction) / 7")
    files = [CELL / "cell.json", CELL / "predictions.jsonl"]
    before = [path.stat().st_mtime_ns for path in files]
    run("len(prediction) / 7")
    assert [path.stat().st_mtime_ns for path in files] == before
