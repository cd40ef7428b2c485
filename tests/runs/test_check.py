"""`check` refuses what a run refuses, and reads the rows as a run reads them."""

import pytest

from levertune.cli.main import main
from levertune.data.checks import find_regime
from levertune.errors import RunError
from levertune.recipes.dumping import dump_recipe
from levertune.runs.check import check_recipe
from levertune.runs.prepare import prepare_run

pytestmark = pytest.mark.usefixtures("on_cpu")


@pytest.mark.parametrize("test", ["test.jsonl", "cv:3", 0.25])
def test_a_check_reads_splits_and_judges_the_rows_as_a_run(project, test):
    recipe = project.recipe(task__test=test)
    checked, prepared = check_recipe(recipe).inputs, prepare_run(recipe).inputs
    assert checked == prepared


def test_the_kind_is_told_from_task_and_test_rows_together(project):
    """Few labels alone; no labels with test answers that are all different."""
    project.write(
        "test.jsonl", [(f"a thing, number {i}", f"colour {i} of a kind") for i in range(40)]
    )
    recipe = project.recipe()
    kind = check_recipe(recipe).inputs.kind
    assert kind == prepare_run(recipe).inputs.kind
    assert kind.kind != "label"


def test_every_arm_counts_the_rows_as_it_shows_them(project):
    """An anchor makes rows longer, so that a limit holds for some arms only."""
    project.write("task.jsonl", [(f"{word} fields", "red") for word in ("one", "two", "three")])
    text = "Name the colour of what the message is about, in one word. " * 2
    settings = {"anchor__text": text, "training__max_length": 60}
    with pytest.raises(ValueError, match="all 3 task rows are longer"):
        check_recipe(project.recipe(arms=["base", "tell"], **settings))
    report = check_recipe(project.recipe(arms=["base", "sft"], **settings)).report
    assert report.task.over_length == ()


def test_rows_are_shown_as_an_anchored_arm_has_them_if_there_is_one(project):
    checked = check_recipe(project.recipe(arms=["base", "sft", "tell"], anchor__text="Name it."))
    shown = checked.show(checked.train[0])
    assert (shown.is_anchored, checked.anchor.text) == (True, "Name it.")
    checked = check_recipe(project.recipe(arms=["base", "sft"], anchor__text="Name it."))
    shown = checked.show(checked.train[0])
    assert (shown.is_anchored, checked.anchor) == (False, None)


def test_the_rows_shown_are_those_of_a_runs_first_training_under_its_own_anchor(project):
    recipe = project.recipe(task__test=0.25, arms=["base", "sft", "tell"])
    checked, prepared = check_recipe(recipe), prepare_run(recipe)
    cell = prepared.build(next(plan for plan in prepared.plans if plan.arm.name == "tell"))
    assert set(checked.train) == set(cell.records)
    assert checked.anchor == cell.choice.anchor
    assert not set(checked.train) & set(prepared.inputs.splits[0].test)


@pytest.mark.parametrize("subset", [{}, {"task__subset": 6, "seeds": [0, 1]}])
def test_a_check_counts_the_tokens_and_finds_the_regime_of_a_run(project, subset):
    recipe = project.recipe(**subset)
    report, prepared = check_recipe(recipe).report, prepare_run(recipe)
    cells = [prepared.build(plan) for plan in prepared.plans]
    assert report.rendered_tokens == prepared.count_task_tokens(cells) > report.task.tokens
    assert report.regime == find_regime(report.rendered_tokens)


def test_what_a_run_settles_by_itself_is_no_other_recipe(project):
    recipe = project.recipe(training__learning_rate="auto")
    folder = project.folder / "runs/whole"
    folder.mkdir(parents=True)
    settled = prepare_run(recipe).recipe
    assert settled.training.learning_rate != "auto"
    (folder / "recipe.yaml").write_text(dump_recipe(settled, {}), "utf-8")
    check_recipe(recipe)
    with pytest.raises(RunError, match="changed: training.learning_rate: .* -> 0.125"):
        check_recipe(project.recipe(training__learning_rate=0.125))
    with pytest.raises(RunError, match="changed: anchor.text: 'auto' -> 'Name it.'"):
        check_recipe(project.recipe(training__learning_rate="auto", anchor__text="Name it."))


def test_rows_not_written_yet_are_neither_counted_nor_missed(project):
    sources = [{"path": "general.jsonl"}, {"path": "self:50"}]
    report = check_recipe(project.recipe(general__sources=sources, general__rows=60)).report
    assert [summary.source for summary in report.general] == ["general"]
    assert not [w for w in report.warnings if "were asked for" in w]
    assert any("the base model writes these rows when a run starts" in w for w in report.warnings)


@pytest.mark.parametrize("schedule", ["constant", "anneal", "refine"])
def test_a_check_takes_every_schedule_that_a_run_takes(project, schedule):
    changes = {"anchor__refine_rows": 0.45} if schedule == "refine" else {}
    recipe = project.recipe(
        anchor__schedule=schedule, anchor__text="Name the colour of it.", **changes
    )
    assert check_recipe(recipe).inputs == prepare_run(recipe).inputs


@pytest.mark.parametrize("test", ["test.jsonl", "cv:3"])
@pytest.mark.parametrize("new_tokens", [3, "auto"])
def test_a_test_row_the_model_cannot_read_is_refused_before_anything_is_trained(
    project, capsys, test, new_tokens
):
    """It may be left out of training, but not of the test."""
    rows = [(f"name the colour of {word}", "red") for word in ("one", "two", "ten", "six")]
    project.write(
        "test.jsonl" if test == "test.jsonl" else "task.jsonl", [*rows, ("a " * 150, "b")]
    )
    changes = {"task__test": test, "task__allow_dropped": True, "general__rows": 4}
    words = project.recipe_file(evaluation__max_new_tokens=new_tokens, **changes)
    before = project.files()
    for verb in ("check", "run", "train"):
        assert main([verb, words]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: test row '5': prompt and answer need up to ")
        assert line.endswith(
            "tokens; the model reads 256. Shorten it or lower evaluation.max_new_tokens."
        )
    assert project.files() == before
