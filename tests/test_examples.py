"""The examples: read and compared here, run where the test is marked slow."""

import ast
import json
import runpy
from pathlib import Path

import pytest

from levertune.cli.main import main
from levertune.data.readers import read_records
from levertune.recipes.loading import load_recipe
from levertune.scoring.custom import load_function, score_custom

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
# As small as a run can be; what it scores says nothing.
TINY = {
    "task.subset": 8,
    "task.exposures": 1,
    "general.rows": 8,
    "evaluation.test_rows": 4,
    "evaluation.general_heldout": 4,
    "evaluation.retention_rows": 4,
    "evaluation.max_new_tokens": 4,
    "training.max_length": 256,
    "arms": ["base", "tell"],
}


def test_the_demo_compares_three_arms_on_few_rows_and_tests_on_128():
    recipe = load_recipe(EXAMPLES / "demo.yaml")
    assert recipe.task.path == "embedded:ticket_codes"
    assert recipe.task.subset <= 48
    assert recipe.evaluation.test_rows == 128
    assert recipe.arms == ("base", "sft-steps", "tell")
    assert recipe.seeds == (0,)
    assert recipe.output_dir == "runs/demo"


def test_every_python_example_says_how_to_run_it():
    for path in EXAMPLES.glob("*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, path.name
        assert "Run: " in docstring, path.name


def test_the_quickstart_has_about_ten_lines():
    tree = ast.parse((EXAMPLES / "quickstart.py").read_text(encoding="utf-8"))
    assert len(tree.body) - 1 <= 10


def test_the_rows_to_try_are_rows_of_the_shipped_task():
    script = runpy.run_path(str(EXAMPLES.parent / "scripts" / "write_example_rows.py"))
    written = (EXAMPLES / "tickets.csv").read_text(encoding="utf-8")
    assert written == script["example_rows"](), "run: python scripts/write_example_rows.py"
    assert len(read_records(str(EXAMPLES / "tickets.csv")).records) == 50


def test_the_custom_metric_scores_answers(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    name = "custom_metric:score"
    predictions = ["R4-QU", "W2-TW", "no idea"]
    scored = score_custom(name, load_function(name), predictions, [["R4-QU"]] * 3)
    assert scored.per_row.tolist() == [1.0, 0.25, 0.0]


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine with two cores takes minutes
def test_the_demo_runs_from_recipe_to_report(tmp_path, capsys):
    settings = [f"{key}={json.dumps(value)}" for key, value in TINY.items()]
    recipe = str(EXAMPLES / "demo.yaml")
    assert main(["run", recipe, *settings, f"output_dir={tmp_path / 'demo'}"]) == 0
    assert "report" in capsys.readouterr().out
    for name in ("recipe.yaml", "result.json", "report.html", "best/adapter_config.json"):
        assert (tmp_path / "demo" / name).is_file(), name


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine with two cores takes minutes
def test_the_quickstart_trains_answers_and_tabulates(tmp_path, monkeypatch, capsys):
    import levertune

    monkeypatch.chdir(tmp_path)
    real = levertune.run
    monkeypatch.setattr(
        levertune, "run", lambda **settings: real(**{**settings, **TINY}), raising=False
    )
    runpy.run_path(str(EXAMPLES / "quickstart.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "tell" in shown
    assert "nll_retention" in shown
