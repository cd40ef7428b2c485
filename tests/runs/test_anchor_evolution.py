"""`--way evolve` on the tiny model, with a model behind a local endpoint that reflects."""

import json
import sys
from pathlib import Path

import pytest

from levertune.anchors.asking import Answer
from levertune.cli.main import main
from levertune.errors import RecipeError
from levertune.runs.anchor_candidates import suggest_anchors
from levertune.runs.anchor_evolution import NUM_CALLS, record_path
from levertune.runs.task_view import view_task

CALLS = ("--evolve-calls", "60")


@pytest.fixture
def endpoint(answering):
    """An endpoint that answers with texts in turn; its address, and the prompts it was sent."""
    prompts = []

    def respond(body):
        prompts.append(body["messages"][0]["content"])
        return f"the answer is red green blue, version {len(prompts)}"

    return answering(respond), prompts


def test_a_search_runs_from_the_command_line_and_goes_on(project, endpoint, capsys):
    pytest.importorskip("gepa")
    url, prompts = endpoint
    words = [
        "anchor", "suggest", project.recipe_file(), "--way", "evolve", "--way", "template", *CALLS,
        "--endpoint", url, "--endpoint-model", "m", "--to", "c.jsonl",
    ]  # fmt: skip
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    ways = [one["way"] for one in result["candidates"]]
    assert ways[0] == "template"  # evolve goes last, whatever the order
    note = next(note for note in result["notes"] if note.startswith("Evolved: "))
    assert f"{len(prompts)} requests" in note
    tried = [json.loads(x) for x in (project.folder / "c.evolved.jsonl").read_text().splitlines()]
    assert tried[0]["origin"] == "seed: template"
    assert {one["text"] for one in tried[1:]} <= {
        f"the answer is red green blue, version {i + 1}" for i in range(len(prompts))
    }
    assert len(tried) > 1
    tests = [json.loads(x) for x in (project.folder / "test.jsonl").read_text().splitlines()]
    assert not any(row["prompt"] in prompt for prompt in prompts for row in tests)
    if "evolve" in ways:
        [evolved] = [one for one in result["candidates"] if one["way"] == "evolve"]
        # What the base model read to measure the candidates is part of the cost.
        read = sum(one["read"] for one in tried)
        assert read > sum(n for one in tried for _, n in one["losses"].values()) > 0
        assert evolved["cost"]["tokens"] == 42 * len(prompts) + read
        assert evolved["cost"]["seconds"] > 0
    asked = len(prompts)
    assert main([*words, "--force", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [one["text"] for one in again["candidates"]] == [
        one["text"] for one in result["candidates"]
    ]
    assert len(prompts) == asked


def test_a_candidate_that_leaves_no_room_for_the_rows_is_refused(project):
    pytest.importorskip("gepa")
    recipe = project.recipe(training__max_length=90)
    prompts = []

    def ask(prompt, *, seed, max_tokens):
        prompts.append(prompt)
        return Answer("name the colour " * 12)

    found = suggest_anchors(
        recipe, view_task(recipe), ways=("evolve",), ask=ask, asked_model="m", evolve_calls=60
    )
    assert found.candidates == ()
    assert "leaves 12 of 12 rows longer than 90 tokens" in prompts[1]
    assert "1 refused" in found.notes[-1]


def test_what_evolve_cannot_do_is_refused_before_another_way_has_done_its_work(
    project, endpoint, capsys
):
    pytest.importorskip("gepa")
    url, prompts = endpoint
    words = ["anchor", "suggest", project.recipe_file(), "--way", "model", "--way", "evolve"]
    words += ["--endpoint", url, "--endpoint-model", "m", "--to", "c.jsonl"]
    assert main([*words, "--evolve-calls", "29"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "--evolve-calls: must be at least 30" in line
    rows = [json.loads(x) for x in (project.folder / "task.jsonl").read_text().splitlines()]
    project.write("task.jsonl", [(row["prompt"], row["completion"]) for row in rows[:3]])
    assert main(words) == 2
    assert "needs at least 4 training rows" in capsys.readouterr().err
    assert prompts == []
    assert not (project.folder / "c.jsonl").exists()


def test_a_search_that_fails_loses_nothing_that_other_ways_wrote(project, endpoint, capsys):
    pytest.importorskip("gepa")
    url, prompts = endpoint
    (project.folder / "c.evolved.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    words = ["anchor", "suggest", project.recipe_file(), "--way", "evolve", "--endpoint", url]
    words += ["--endpoint-model", "m", "--to", "c.jsonl"]
    assert main([*words, "--way", "template", "--json"]) == 1
    shown = capsys.readouterr()
    assert "warning: --way evolve has written nothing: c.evolved.jsonl, row 1: no c" in shown.err
    assert [one["way"] for one in json.loads(shown.out)["candidates"]] == ["template"]
    assert "template" in (project.folder / "c.jsonl").read_text(encoding="utf-8")
    assert prompts == []
    # With nothing to lose it is an error like any other.
    assert main([*words, "--force"]) == 2


def test_without_a_capable_model_or_gepa_one_line_says_so(project, monkeypatch):
    recipe = project.recipe()
    view = view_task(recipe)
    with pytest.raises(RecipeError, match="needs a capable model .* Name one with --endpoint URL"):
        suggest_anchors(recipe, view, ways=("template", "evolve"))
    monkeypatch.setitem(sys.modules, "gepa", None)
    with pytest.raises(RecipeError, match="pip install 'gepa>="):
        suggest_anchors(recipe, view, ways=("evolve",), ask=lambda *_, **__: Answer("a"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--way", "evolve"], "needs a capable model"),
        (["--evolve-calls", "9"], "--evolve-calls: stands without --way evolve"),
        (
            ["--way", "evolve", "--evolve-calls", "0"],
            "--evolve-calls: must be a number from 1; found '0'",
        ),
    ],
)
def test_what_is_wrong_is_one_line(project, words, message, capsys):
    assert main(["anchor", "suggest", project.recipe_file(), *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_record_stands_beside_the_answers_and_the_default_is_the_plan_s():
    assert record_path(Path("x/c.answers.jsonl")) == Path("x/c.evolved.jsonl")
    from levertune.cli import anchor_suggest

    assert anchor_suggest._EVOLVE_CALLS == NUM_CALLS
