"""A user's own metric: found in the current folder, called, and told apart from its faults."""

import sys

import pytest

from levertune.errors import RecipeError, UserError
from levertune.scoring.metrics import find_metric

SOURCE = """
import sys

def half(prediction, references):
    return 0.5 if prediction in references else 0

def strict(prediction, references):
    return prediction == references[0]

def broken(prediction, references):
    return 1 / (len(prediction) - 1)

def wordy(prediction, references):
    return "good"

def endless(prediction, references):
    return float("nan")

def ending(prediction, references):
    sys.exit(3)

number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "house_metrics.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "faulty_metrics.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    (tmp_path / "ending_metrics.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    (tmp_path / "typo_metrics.py").write_text("def (:\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before
    for name in ("house_metrics", "faulty_metrics", "ending_metrics", "typo_metrics"):
        sys.modules.pop(name, None)


def test_a_function_of_a_module_in_the_current_folder_scores_rows():
    metric = find_metric("house_metrics:half")
    scored = metric.score(["a", "b"], [["a", "c"], ["c"]])
    assert metric.kind == "custom"
    assert scored.per_row.tolist() == [0.5, 0]
    assert scored.aggregate() == 0.25


def test_right_or_wrong_is_a_fair_answer():
    scored = find_metric("house_metrics:strict").score(["a", "b"], [["a"], ["c"]])
    assert scored.per_row.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("house_metrics:", "must be a metric's name or module:function; found 'house_metrics:'"),
        ("my metrics:score", "must be a metric's name or module:function"),
        ("no_such_module:score", "there is no module 'no_such_module' here.*no_such_module.py"),
        ("house_metrics:halve", "module 'house_metrics' has no function 'halve'"),
        ("house_metrics:number", "has no function 'number'"),
        ("faulty_metrics:score", "cannot be imported; found ModuleNotFoundError: .*nowhere"),
        ("ending_metrics:score", "cannot be imported; found SystemExit: 3"),
        ("typo_metrics:score", "cannot be imported; found SyntaxError"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_in_one_line(name, message):
    with pytest.raises(RecipeError, match=message) as caught:
        find_metric(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("house_metrics:broken", "failed on row 2; found ZeroDivisionError: "),
        ("house_metrics:ending", "failed on row 1; found SystemExit: 3"),
        ("house_metrics:wordy", "must return a finite number; found 'good' on row 1"),
        ("house_metrics:endless", "must return a finite number; found nan on row 1"),
    ],
)
def test_a_function_that_gives_no_number_is_refused_in_one_line(name, message):
    metric = find_metric(name)
    with pytest.raises(UserError, match=message) as caught:
        metric.score(["ab", "a"], [["a"], ["a"]])
    assert "\n" not in str(caught.value)
