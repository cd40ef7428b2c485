"""Anchors that a run refuses, or puts elsewhere."""

import json

import pytest

from levertune.errors import DataError, RecipeError
from levertune.models.rendering import ChatTokenizer
from levertune.runs.check import check_recipe
from levertune.runs.prepare import prepare_run

LONG = "the sea at noon in the far south"


@pytest.fixture(params=[check_recipe, prepare_run], ids=["check", "run"])
def look(request):
    """What `check` and `run` do before anything is trained."""
    return request.param


def with_row(project, prompt, completion):
    rows = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    project.write("task.jsonl", [*rows, (prompt, completion)])


def test_an_anchor_that_holds_a_training_row_is_refused(project, look):
    with_row(project, LONG, "blue")
    with pytest.raises(RecipeError, match="anchor.text: contains the whole prompt of training row"):
        look(project.recipe(anchor__text=f"Do as you did for: {LONG}. Name the colour."))


def test_an_anchor_that_gives_away_a_test_answer_is_refused_and_does_not_quote_it(project, look):
    answer = "a green so pale it is hardly there"
    rows = [json.loads(line) for line in (project.folder / "test.jsonl").read_text().splitlines()]
    project.write("test.jsonl", [*rows, ("the inside of a shell", answer)])
    text = "Name the colour. " * 4 + answer
    with pytest.raises(RecipeError, match="contains the answer of test row") as caught:
        look(project.recipe(anchor__text=text))
    assert answer not in str(caught.value)


def test_a_lead_in_that_quotes_a_row_is_refused_too(project, look):
    answer = "a green so pale it is hardly there"
    rows = [json.loads(line) for line in (project.folder / "test.jsonl").read_text().splitlines()]
    project.write("test.jsonl", [*rows, ("the inside of a shell", answer)])
    for text in ("auto", "Name the colour."):
        message = "anchor.lead_in: contains the answer of test row"
        with pytest.raises(RecipeError, match=message) as caught:
            look(project.recipe(anchor__text=text, anchor__lead_in=f"As said, {answer}: "))
        assert "Every answer starts with it" in str(caught.value)
    with_row(project, LONG, "blue")
    with pytest.raises(RecipeError, match="anchor.lead_in: contains the whole prompt of training"):
        look(project.recipe(anchor__lead_in=f"Of {LONG}: "))
    look(project.recipe(anchor__lead_in="The colour is: "))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anchor__schedule": "anneal"}, "anchor.schedule: anneal changes the anchor of tell"),
        ({"anchor__schedule": "refine"}, "anchor.schedule: refine changes the anchor of tell"),
        ({"anchor__dropout": 0.5}, "anchor.dropout: leaves out the anchor of tell; found arms="),
    ],
)
def test_a_changing_anchor_without_an_arm_that_has_one_is_refused(project, look, changes, message):
    with pytest.raises(RecipeError, match=message):
        look(project.recipe(arms=["base", "sft"], **changes))


def test_an_anchor_of_ordinary_words_is_taken(project, look):
    look(project.recipe(anchor__text="Name the colour that the text is about, in one word."))


def test_rows_that_only_the_anchor_makes_too_long_are_counted(project):
    text = "Name the colour that the text is about. " * 12
    recipe = project.recipe(anchor__text=text, training__max_length=60, arms=["tell"])
    message = "all 12 task rows .* 12 of them only with the anchor: shorten anchor.text too"
    with pytest.raises(DataError, match=message):
        check_recipe(recipe)
    prepared = prepare_run(recipe)
    with pytest.raises(DataError, match=message):
        prepared.build(prepared.plans[0])


def test_a_template_without_a_system_turn_has_the_anchor_in_front_and_says_so(
    project, without_system_role, look
):
    tokenizer = ChatTokenizer.from_folder(without_system_role)
    assert not tokenizer.has_system_role
    recipe = project.recipe(
        anchor__text="Name the colour.",
        anchor__placement="system",
        model__model_name_or_path=str(without_system_role),
    )
    found = look(recipe)
    warnings = found.report.warnings if look is check_recipe else found.warnings
    assert any("has no system turn; the anchor stands in front" in line for line in warnings)
    if look is prepare_run:
        tell = next(plan for plan in found.plans if plan.arm.name == "tell")
        assert found.build(tell).choice.anchor.placement == "prefix"


@pytest.mark.parametrize("tested", ["Name the colour.", "auto", None, "trained"])
def test_a_test_anchor_stands_in_front_too_where_there_is_no_system_turn(
    project, without_system_role, look, tested
):
    recipe = project.recipe(
        anchor__text=None,
        anchor__placement="system",
        evaluation__anchor=tested,
        model__model_name_or_path=str(without_system_role),
    )
    found = look(recipe)
    warnings = found.report.warnings if look is check_recipe else found.warnings
    has_anchor = tested in ("Name the colour.", "auto")
    assert any("stands in front of the user's text" in line for line in warnings) == has_anchor
    if look is prepare_run and has_anchor:
        tell = next(plan for plan in found.plans if plan.arm.name == "tell")
        assert found.build(tell).tested.anchor.placement == "prefix"


def test_a_template_with_a_system_turn_keeps_the_anchor_there(project, look):
    found = look(project.recipe(anchor__text="Name the colour.", anchor__placement="system"))
    warnings = found.report.warnings if look is check_recipe else found.warnings
    assert not any("system turn" in line for line in warnings)
