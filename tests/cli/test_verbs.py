"""The thin verbs, against stand-ins for the modules that do the work."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from levertune.cli.main import main


@pytest.fixture
def worker(monkeypatch):
    """Puts a function in place of a module's, and keeps how it was called."""
    calls = []

    def put(module, name, gives):
        def record(*args, **kwargs):
            calls.append((args, kwargs))
            return gives

        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: record}))
        return calls

    return put


@pytest.fixture
def outcome():
    found = {"verdict": "tell is ahead", "run_dir": "runs/a"}
    return SimpleNamespace(
        lines=["3 arms, 1 seed"],
        columns=["arm", "score"],
        rows=[["tell", 0.75]],
        verdict=found["verdict"],
        report_path=Path("runs/a/report.html"),
        next_command="levertune chat runs/a",
        to_mapping=lambda: found,
        result=SimpleNamespace(failures=()),
    )


def test_run_passes_the_recipe_on_and_shows_what_came_out(worker, outcome, capsys):
    calls = worker("levertune.runs.run", "run_recipe", outcome)
    assert main(["run", "--task", "a.csv", "--quick", "seeds=2"]) == 0
    ((recipe,), options) = calls[0]
    assert (recipe.task.path, recipe.seeds) == ("a.csv", (0, 1))
    assert options["quick"] is True
    assert options["dry_run"] is False
    out, err = capsys.readouterr()
    for words in ("3 arms, 1 seed", "tell", "0.75", "tell is ahead", "report.html"):
        assert words in out
    assert err == "next: levertune chat runs/a\n"


def test_run_exits_with_1_when_a_cell_failed(worker, outcome):
    outcome.result.failures = ("arms/tell/seed-0",)
    worker("levertune.runs.run", "run_recipe", outcome)
    assert main(["run", "--task", "a.csv"]) == 1


def test_run_json_is_the_outcome_alone(worker, outcome, capsys):
    worker("levertune.runs.run", "run_recipe", outcome)
    assert main(["run", "--task", "a.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == outcome.to_mapping()


def test_a_dry_run_shows_the_plan(worker, outcome, capsys):
    outcome.rows, outcome.verdict, outcome.report_path, outcome.next_command = [], None, None, None
    calls = worker("levertune.runs.run", "run_recipe", outcome)
    assert main(["run", "--task", "a.csv", "--dry-run", "--quiet"]) == 0
    assert calls[0][1]["dry_run"] is True
    assert capsys.readouterr() == ("3 arms, 1 seed\n", "")


@pytest.mark.parametrize(
    ("verb", "extra", "option"),
    [("mix", ["--to", "jsonl"], {"to": "jsonl"}), ("train", [], {}), ("eval", [], {})],
)
def test_a_stage_runs_for_the_arm_and_seed_named_and_lists_its_files(
    worker, capsys, verb, extra, option
):
    calls = worker("levertune.runs.stages", f"{verb}_stage", [Path("runs/a/x.jsonl")])
    assert main([verb, "--task", "a.csv", "--arm", "tell", "--seed", "1", *extra]) == 0
    options = calls[0][1]
    assert (options["arm"], options["seed"], options["dry_run"]) == ("tell", 1, False)
    assert option.items() <= options.items()
    assert capsys.readouterr().out == f"{Path('runs/a/x.jsonl')}\n"


def test_report_says_where_the_page_is(worker, capsys):
    calls = worker("levertune.reports.page", "write_report", Path("page.html"))
    assert main(["report", "runs/a", "--no-text"]) == 0
    assert calls == [(("runs/a",), {"include_text": False})]
    assert capsys.readouterr().out == "page.html\n"


def test_generate_says_how_many_answers_it_wrote(worker, capsys):
    calls = worker("levertune.serving.generate", "generate_file", 3)
    assert main(["generate", "runs/a", "in.csv", "-o", "out.jsonl", "--max-new-tokens", "5"]) == 0
    ((folder, source, output), options) = calls[0]
    assert (folder, source, output) == ("runs/a", "in.csv", "out.jsonl")
    assert options["max_new_tokens"] == 5
    assert capsys.readouterr().out == "out.jsonl: 3 answers\n"


def test_chat_finds_a_local_base_model_in_the_recipe_of_the_run(worker, tmp_path):
    calls = worker("levertune.serving.chat", "chat", None)
    (tmp_path / "recipe.yaml").write_text(
        "task: {path: a.jsonl}\nmodel: {model_name_or_path: models/mine}\n"
    )
    for folder in (tmp_path, tmp_path / "best"):
        assert main(["chat", str(folder)]) == 0
        assert calls[-1][1]["base"] == "models/mine"
    assert main(["chat", str(tmp_path), "--base", "other"]) == 0
    assert calls[-1][1]["base"] == "other"


def test_chat_can_leave_the_anchor_out(worker):
    calls = worker("levertune.serving.chat", "chat", None)
    assert main(["chat", "runs/a", "--no-anchor"]) == 0
    options = {"max_new_tokens": None, "base": None, "trust_remote_code": False}
    assert calls == [(("runs/a",), {**options, "use_anchor": False})]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chat", ["chat", "runs/a"]),
        ("generate", ["generate", "runs/a", "in.csv", "-o", "out.jsonl"]),
    ],
)
def test_code_that_came_with_the_base_model_runs_by_an_option(worker, name, words):
    function = "generate_file" if name == "generate" else name
    calls = worker(f"levertune.serving.{name}", function, 0)
    for options in ([], ["--trust-remote-code"]):
        main([*words, *options])
        assert calls[-1][1]["trust_remote_code"] is bool(options)
