"""Which rows show what is forgotten: none the model cannot read, none like a row trained on."""

import pytest

from levertune.errors import DataError
from levertune.runs.inputs import read_inputs
from levertune.runs.prepare import prepare_run

WORDS = ("bread", "cloud", "dance", "engine", "flower", "guitar")
KEPT = [(f"how do you spell the word {word} when asked", "-".join(word)) for word in WORDS]


def test_rows_past_the_models_context_measure_nothing_and_are_counted(project):
    long, deep = "very " * 60, "deep " * 60  # a token a letter: the tiny model reads 256
    project.write("kept.jsonl", [*KEPT[:2], (deep, "yes")])
    project.write("general.jsonl", [(f"{long} {n}", "no") for n in range(12)])
    prepared = prepare_run(project.recipe(general__rows=0))
    assert {row.user_text for row in prepared.probes.retention} == {row[0] for row in KEPT[:2]}
    assert prepared.probes.general_heldout == ()
    said = [line for line in prepared.warnings if "the model reads" in line]
    assert said == [
        "Rows longer than the model reads (256 tokens), left out of the held-out general rows: "
        "2 of 2.",
        "Rows longer than the model reads (256 tokens), left out of the retention rows: 1 of 3.",
    ]


@pytest.mark.parametrize("where", ["general.jsonl", "task.jsonl"])
def test_rows_like_those_trained_on_do_not_measure_retention(project, where):
    project.write("kept.jsonl", KEPT)
    rows = [(f"count to {i}", f"{i} and on") for i in range(12)]
    project.write(where, [*rows, (KEPT[0][0].upper(), KEPT[0][1]), KEPT[3]])
    inputs = read_inputs(project.recipe(evaluation__retention_rows=6))
    assert {row.user_text for row in inputs.retention} == {KEPT[i][0] for i in (1, 2, 4, 5)}
    [line] = [line for line in inputs.warnings if line.startswith("evaluation.retention: ")]
    assert line.startswith("evaluation.retention: 2 of 6 rows are like task or general rows (row '")
    assert line.endswith("so they do not show retention; they are left out.")


def test_a_retention_file_whose_every_row_may_be_trained_on_is_refused(project):
    project.write("kept.jsonl", KEPT[:3])
    project.write("general.jsonl", [*KEPT, *((f"count to {i}", f"{i}") for i in range(9))])
    with pytest.raises(DataError, match=r"^evaluation\.retention: 3 of 3 rows .*\. Name rows that"):
        read_inputs(project.recipe())
