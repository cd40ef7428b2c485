"""Which rows the general ones are compared with, and what is done about those alike."""

import pytest

from levertune.errors import DataError
from levertune.runs.inputs import read_inputs

TASK = [(f"which kind of {word} is it that we saw", word[:2]) for word in (
    "bread", "cloud", "dance", "engine", "flower", "guitar", "harbour", "island", "jacket",
    "kitchen", "lantern", "meadow", "needle", "orchard", "pebble", "quarry", "ribbon", "saddle",
    "temple", "umbrella",
)]  # fmt: skip
OTHERS = [(f"count to {i}", "one, two") for i in range(5)]


@pytest.fixture
def gate(project):
    """Reads a recipe's rows, where the first of the general ones equal some of the task's."""
    project.write("task.jsonl", TASK)

    def _gate(equal=TASK[:2], **changes):
        project.write("general.jsonl", [*equal, *OTHERS])
        return read_inputs(project.recipe(task__metric="exact_match", **changes))

    return _gate


def kept(inputs):
    return {(row.user_text, row.completion) for file in inputs.general for row in file.records}


def test_in_folds_copies_of_task_rows_that_may_be_tested_on_are_not_trained_on_twice(gate):
    asked = {"task__test": "cv:4", "general__test_leaks": "keep"}
    inputs = gate(**asked)
    assert kept(inputs) == set(OTHERS)
    assert {row["reason"].split(" row ")[0] for row in inputs.dropped} == {"equals training"}
    found = {leakage.sets: leakage.dropped for leakage in inputs.leakage}
    assert found["general-train"] == {"exact": 2}
    assert kept(gate(general__train_leaks="keep", **asked)) == {*TASK[:2], *OTHERS}
    with pytest.raises(DataError, match=r"general.train_leaks: 2 of 7 general rows are like train"):
        gate(general__train_leaks="refuse", **asked)


def test_in_folds_a_row_dropped_as_a_test_row_is_not_counted_as_a_training_row_too(gate):
    inputs = gate(task__test="cv:4")
    assert kept(inputs) == set(OTHERS)
    assert {row["reason"].split(" row ")[0] for row in inputs.dropped} == {"equals test"}
    assert [len(leakage.leaks) for leakage in inputs.leakage[1:]] == [2, 0]


@pytest.mark.parametrize("where", ["file", "share"])
def test_general_rows_like_test_rows_that_are_not_drawn_are_dropped_too(project, gate, where):
    test = [(f"tell me what {prompt} in the end", label) for prompt, label in TASK[:6]]
    project.write("test.jsonl", test)
    settings = {
        "task__test": "test.jsonl" if where == "file" else 0.4,
        "general__train_leaks": "keep",
    }
    everything = gate([], **settings).splits[0].test
    few = gate([], evaluation__test_rows=2, **settings).splits[0].test
    assert (len(everything), len(few)) == (6 if where == "file" else 8, 2)
    equal = [(row.user_text, row.completion) for row in everything]
    inputs = gate(equal, evaluation__test_rows=2, **settings)
    assert kept(inputs) == set(OTHERS)
    assert len(inputs.dropped) == len(equal)
