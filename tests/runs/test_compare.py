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


def change_rows(name, change):
    """Change each line of the other run's files of that name."""
    for path in OTHER.glob(f"arms/**/{name}"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            change(line)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_rows_with_the_same_ids_and_other_answers_are_refused(twins):
    def change(line):
        if line["id"] in ("2", "5"):
            line["references"] = ["silver"]

    change_rows("predictions.jsonl", change)
    with pytest.raises(RunError, match=r"found 2 of 6 rows with the same id .* the first '2'\."):
        compare_runs(RUN, OTHER)


def test_probes_with_the_same_ids_and_other_words_are_left_out(twins):
    def change(line):
        if line["rows"] == "general_heldout":
            line["sha256"] = "0" * 64

    change_rows("likelihoods.jsonl", change)
    found = compare_runs(RUN, OTHER)
    assert [note.split()[0] for note in found.notes] == ["nll.general_heldout"]
    names = [difference.metric for difference in found.differences]
    assert "nll.general_heldout" not in names
    assert "nll.retention" in names


def test_other_prompts_with_the_same_ids_and_answers_are_told(twins):
    def change(line):
        line["sha256"] = "0" * 64 if line["rows"] == "task" else line["sha256"]

    change_rows("likelihoods.jsonl", change)
    found = compare_runs(RUN, OTHER)
    assert [note.split(":")[0] for note in found.notes] == [
        "test rows with the same ids and answers have other prompts in the two runs"
    ]
    assert found.differences


def test_cells_from_before_rows_were_hashed_are_compared_by_their_ids(twins):
    change_rows("likelihoods.jsonl", lambda line: line.pop("sha256"))
    assert compare_runs(RUN, OTHER) == compare_runs(RUN, RUN)


@pytest.fixture
def two_seeds(twins):
    """Both runs with a second seed, whose test answers differ; the other one has it first."""
    for folder, seeds in ((RUN, [0, 1]), (OTHER, [1, 0])):
        result = json.loads((folder / "result.json").read_text())
        for arm in result["arms"]:
            if arm["arm"] == "base":
                continue
            first = folder / "arms" / arm["arm"] / "seed-0"
            second = first.with_name("seed-1")
            shutil.copytree(first, second)
            cell = json.loads((second / "cell.json").read_text())
            (second / "cell.json").write_text(json.dumps(cell | {"seed": 1}))
            rows = [json.loads(x) for x in (second / "predictions.jsonl").read_text().splitlines()]
            for row in rows:
                row["prediction"] = row["references"][0]
            (second / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
            arm["seeds"] = seeds
            arm["cells"] = [f"arms/{arm['arm']}/seed-{seed}" for seed in seeds]
        (folder / "result.json").write_text(json.dumps(result))


def test_seeds_are_paired_by_what_they_are_not_by_where_they_stand(two_seeds):
    found = compare_runs(RUN, OTHER)
    assert found.seeds == (0, 1)
    for difference in found.differences:
        assert not difference.rows_better
        assert not difference.rows_worse
        assert not difference.difference.value


def test_an_arm_without_training_may_stand_first_beside_several_seeds(two_seeds):
    forth = compare_runs(RUN, OTHER, arm="base", against_arm="tell")
    back = compare_runs(OTHER, RUN, arm="tell", against_arm="base")
    assert sorted(forth.seeds) == [0, 1]
    for mine, theirs in zip(forth.differences, back.differences, strict=True):
        assert (mine.metric, mine.rows_better) == (theirs.metric, theirs.rows_worse)
        if mine.difference.value is not None:
            assert mine.difference.value == pytest.approx(-theirs.difference.value)
            assert mine.difference.seeds == 2
