"""levertune from Python."""

import json

import pytest

import levertune as lt
from levertune.api import Run
from levertune.errors import DataError, ModelError, RecipeError, RunError
from levertune.recipes.loading import load_recipe

pytestmark = pytest.mark.usefixtures("on_cpu")


def dotted(settings, prefix=""):
    """Nested settings as `{"training.learning_rate": 0.01}`."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


@pytest.fixture
def settings(project):
    """Everything but the task, as `lt.run` takes it."""
    settings = dotted(project.settings(arms=["base", "tell"]))
    del settings["task.path"]
    return settings


def test_run_gives_verdict_table_report_and_the_best_adapter(settings):
    run = lt.run(task="task.jsonl", **settings)
    assert run.verdict.startswith("TELL scored")
    assert run.result.verdict.sentence == run.verdict
    assert sorted(run.table["arm"]) == ["base", "tell"]
    assert run.report.is_file()
    answer = run.best.generate("roses", max_new_tokens=2)
    assert isinstance(answer, str)
    assert run.best.generate("roses", max_new_tokens=2) == answer
    assert run.best.card.anchor.text == run.result.anchor.text
    assert lt.load_results("runs/**").equals(run.table)

    again = lt.run(run.folder / "recipe.yaml")
    assert again.result.arms == run.result.arms


def test_a_quick_run_keeps_no_adapter_and_gives_no_verdict(settings):
    run = lt.run(
        task="task.jsonl", quick=True, **{**settings, "task.test": "cv:3", "arms": ["base"]}
    )
    assert run.verdict == "No verdict: nothing was compared, or this was a quick look."
    with pytest.raises(RunError, match=r"has no best/ folder\. Run it without `quick`"):
        _ = run.best


@pytest.mark.parametrize("given", [{}, {"recipe": "r.yaml", "task": "t.jsonl"}])
def test_either_a_recipe_or_a_task_is_needed(given):
    with pytest.raises(RecipeError, match="takes a recipe file or task=FILE"):
        lt.run(**given)


def test_what_is_wrong_is_raised_as_a_users_mistake(project, settings):
    with pytest.raises(DataError, match=r"none\.jsonl: there is no such file"):
        lt.run(task="none.jsonl", **settings)
    with pytest.raises(RecipeError, match="did you mean 'training.learning_rate'|learning_rate"):
        lt.run(task="task.jsonl", **{"training.learningrate": 1.0})
    settings["model.model_name_or_path"] = str(project.folder)
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        lt.run(task="task.jsonl", **settings)


def test_settings_reach_the_recipe_as_they_are(project, monkeypatch):
    seen = []

    def stop(recipe, **options):
        seen.append((recipe, options))
        raise RunError("enough")

    monkeypatch.setattr("levertune.runs.run.run_recipe", stop)
    text = 'Wähle: "eins"\nvon {3} \N{GRINNING FACE} # ja'
    with pytest.raises(RunError, match="enough"):
        lt.run(
            task=project.folder / "task.jsonl",
            seeds=3,
            output_dir=project.folder / "runs" / "x",
            **{"anchor.text": text, "training.learning_rate": 1e-5, "arms": ("tell", "base"),
               "anchor.lead_in": None},
        )  # fmt: skip
    recipe, options = seen[0]
    assert recipe.anchor.text == text
    assert recipe.anchor.lead_in is None
    assert recipe.training.learning_rate == 1e-5
    assert (recipe.seeds, recipe.arms) == ((0, 1, 2), ("tell", "base"))
    assert recipe.output_dir == str(project.folder / "runs" / "x")
    assert recipe.task.path == str(project.folder / "task.jsonl")
    assert options == {"quick": False, "jobs": "auto", "num_processes": None, "progress": None}


def test_settings_change_a_recipe_file(project, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "levertune.runs.run.run_recipe", lambda recipe, **_: seen.append(recipe) or 1 / 0
    )
    (project.folder / "r.yaml").write_text(json.dumps(project.settings()), "utf-8")
    with pytest.raises(ZeroDivisionError):
        lt.run("r.yaml", seeds=[4], **{"training.lora_r": 8})
    assert seen[0].seeds == (4,)
    assert seen[0].training.lora_r == 8
    assert seen[0].training.max_length == load_recipe("r.yaml").training.max_length


def test_a_run_that_is_not_done_says_so(project):
    with pytest.raises(RunError, match="result.json"):
        _ = Run(project.folder).verdict
