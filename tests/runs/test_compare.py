"""Two runs compared: paired on the same rows and seeds, refused on others."""

import json
import shutil
from pathlib import Path

import pytest

from levertune.cli.main import main
from levertune.errors import RunError
from levertune.results.schema import read_result
from levertune.runs.compare import compare_runs

RUN = Path("runs/whole")
OTHER = Path("runs/other")


@pytest.fixture
def twins(finished_copy):
    """The finished run twice over."""
    shutil.copytree(RUN, OTHER)


def change_result(change):
    path = OTHER / "result.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_run_does_not_differ_from_its_copy(twins):
    found = compare_runs(RUN, OTHER)
    assert found.seeds == (0,)
    assert not found.notes
    names = [difference.metric for difference in found.differences]
    assert names[0] == read_result(RUN).metrics.primary
    assert {"nll.task", "nll.general_heldout", "nll.retention"} <= set(names)
    assert found.differences[0].difference.value == 0
    for difference in found.differences:
        assert not difference.difference.value  # None for a metric without meaning on these rows
        assert not difference.rows_better
        assert not difference.rows_worse


def test_two_arms_differ_as_the_run_itself_says(twins):
    found = compare_runs(RUN, OTHER, arm="tell", against_arm="sft-steps")
    said = {
        comparison.metric: comparison
        for comparison in read_result(RUN).comparisons
        if (comparison.arm, comparison.against) == ("tell", "sft-steps")
    }
    assert {difference.metric: difference for difference in found.differences} == said
    assert any(difference.difference.value for difference in found.differences)


def test_an_arm_without_training_stands_for_every_seed(twins):
    found = compare_runs(RUN, OTHER, arm="tell", against_arm="base")
    assert found.seeds == (0,)


def test_rows_of_another_test_file_are_refused(twins):
    for path in OTHER.glob("arms/**/likelihoods.jsonl"):
        path.write_text(path.read_text().replace('"id": "', '"id": "new-'))
    for path in OTHER.glob("arms/**/predictions.jsonl"):
        path.write_text(path.read_text().replace('"id": "', '"id": "new-'))
    with pytest.raises(RunError, match=r"same rows.*found 0 rows in both"):
        compare_runs(RUN, OTHER)


def test_probes_on_other_rows_are_left_out_and_named(twins):
    for path in OTHER.glob("arms/**/likelihoods.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["rows"] == "retention":
                line["id"] += "-other"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = compare_runs(RUN, OTHER)
    names = [difference.metric for difference in found.differences]
    assert "nll.retention" not in names
    assert "nll.general_heldout" in names
    assert found.notes == ("nll.retention is left out: the runs measured it on different rows",)


def test_an_arm_the_run_lacks_is_refused_with_those_it_has(twins):
    with pytest.raises(RunError, match=r"no finished arm 'sft'; found \['base'"):
        compare_runs(RUN, OTHER, arm="sft")


def test_runs_without_a_common_seed_are_refused(twins):
    def change(result):
        for arm in result["arms"]:
            arm["seeds"] = [7]

    change_result(change)
    with pytest.raises(RunError, match=r"shares no seed .*found \[0\] and \[7\]"):
        compare_runs(RUN, OTHER)


def test_runs_without_a_common_metric_are_refused(twins):
    def change(result):
        for metric in result["metrics"]["all"]:
            metric["name"] += "_2"

    change_result(change)
    with pytest.raises(RunError, match="shares no metric"):
        compare_runs(RUN, OTHER)


def test_the_verb_shows_each_difference(twins, capsys):
    assert main(["compare", str(RUN), str(OTHER), "--against-arm", "sft-steps"]) == 0
    shown = capsys.readouterr().out
    assert "runs/whole (tell) minus runs/other (sft-steps), 1 seeds" in " ".join(shown.split())
    assert "nll.task" in shown


def test_the_verb_gives_json(twins, capsys):
    assert main(["compare", str(RUN), str(OTHER), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seeds"] == [0]
    assert found["differences"][0]["difference"]["value"] == 0
