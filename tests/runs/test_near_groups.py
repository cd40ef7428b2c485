"""Near duplicates too many for one side: warned of, listed and counted before any training."""

from dataclasses import replace

import pytest

from levertune.data.leaks import find_leaks
from levertune.reports.view import leak_lines
from levertune.results.files import read_jsonl
from levertune.runs.assemble import _task_info
from levertune.runs.finish import write_row_lists
from levertune.runs.prepare import prepare_run

APART = [
    ("amber light in the morning", "red"), ("seven birches bend", "green"),
    ("who wrote this long letter", "blue"), ("cut the cedar", "red"), ("no dahlias here", "green"),
    ("elm leaves everywhere", "blue"), ("ferns and gorse", "red"), ("hazel knows", "green"),
]  # fmt: skip


def fees(count):
    return [(f"what is the fee for a transfer of {i} crowns abroad", "red") for i in range(count)]


@pytest.fixture
def prepare(project):
    def _prepare(rows, **changes):
        project.write("task.jsonl", rows)
        return prepare_run(project.recipe(**changes))

    return _prepare


@pytest.mark.parametrize(("test", "count", "parted"), [("cv:2", 20, 20), (0.25, 5, 0)])
def test_a_group_that_is_too_large_is_warned_of_listed_and_counted(prepare, test, count, parted):
    prepared = prepare([*fees(count), *APART], task__test=test)
    assert any(f"Near duplicates, by chains: {count} rows" in w for w in prepared.warnings)
    write_row_lists(prepared, [])
    assert read_jsonl(prepared.run_dir / "near_groups.jsonl") == [
        {"ids": [str(i + 1) for i in range(count)], "is_parted": parted > 0}
    ]
    assert _task_info(prepared, []).parted_rows == parted


def test_without_such_a_group_nothing_is_listed(prepare):
    prepared = prepare(APART, task__test="cv:2")
    prepared.run_dir.mkdir(parents=True)
    (prepared.run_dir / "near_groups.jsonl").write_text("{}\n")
    write_row_lists(prepared, [])
    assert not (prepared.run_dir / "near_groups.jsonl").exists()
    assert _task_info(prepared, []).parted_rows == 0
    assert _task_info(prepare(APART, task__test="test.jsonl"), []).parted_rows is None


def test_every_pair_of_rows_is_listed(prepare, project):
    prompt = "how do i reset the pin of my card"
    project.write("test.jsonl", [(prompt, "red"), (prompt.replace("pin", "code"), "red")])
    project.write(
        "general.jsonl", [(f"tell of {w}", "yes") for w in "abcdefghi"] + [(prompt, "no")]
    )
    rows = [(prompt.replace("card", "account"), "red"), *APART]
    prepared = prepare(rows, evaluation__general_heldout=0)
    write_row_lists(prepared, [])
    listed = read_jsonl(prepared.run_dir / "leaks.jsonl")
    inputs = prepared.inputs
    for sets, found in (
        ("train-test", find_leaks(inputs.splits[0].train, inputs.splits[0].test)),
        ("general-test", find_leaks(_general(project), inputs.splits[0].test)),
    ):
        pairs = {frozenset([leak.id, leak.like_id]) for leak in found}
        mine = [row for row in listed if row["sets"] == sets]
        assert {frozenset([row["id"], row["like_id"]]) for row in mine} == pairs
        assert len(mine) == len(found)
    assert any(row["kind"] == "near" for row in listed)


def _general(project):
    from levertune.data.general import read_general

    return [record for file in read_general("general.jsonl") for record in file.records]


def test_the_report_tells_of_rows_on_both_sides(finished):
    _, outcome, _ = finished
    result = outcome.result
    parted = replace(result, task=replace(result.task, parted_rows=1_200))
    assert len(leak_lines(parted)) == len(leak_lines(result)) + 1
    assert "in training and test both: 1,200 rows" in leak_lines(parted)[-1]
