"""Rows with a system turn, for a model whose chat template has none."""

import pytest

from levertune.errors import RecipeError
from levertune.runs.check import check_recipe
from levertune.runs.export import build_export
from levertune.runs.prepare import prepare_run
from levertune.runs.workspace import Workspace


@pytest.fixture
def talking(project):
    """General rows, ten of them with a system turn, and a recipe that mixes them in."""
    rows = [
        {
            "system": "Be short.",
            "prompt": f"count to {i}",
            "completion": " ".join(map(str, range(i))),
        }
        for i in range(2, 12)
    ]
    project.write("general.jsonl", [*rows, {"prompt": "say one", "completion": "one"}])
    return project


@pytest.mark.parametrize("look", [check_recipe, prepare_run], ids=["check", "run"])
def test_their_text_opens_the_users_turn_and_that_is_said(talking, without_system_role, look):
    def warnings_of(**changes):
        found = look(talking.recipe(**changes))
        return " ".join(found.report.warnings if look is check_recipe else found.warnings)

    said = warnings_of(model__model_name_or_path=str(without_system_role))
    assert "Rows with a system turn: 10 (general). The template of no-system has none" in said
    assert "system turn" not in warnings_of()


def test_they_are_trained_on_and_exported_as_rows_without_one(talking, without_system_role):
    recipe = talking.recipe(
        model__model_name_or_path=str(without_system_role), arms=["tell"], anchor__text="Name it."
    )
    prepared = prepare_run(recipe)
    cell = prepared.build(prepared.plans[0])
    tokenizer = prepared.workspace.tokenizer
    shown = [tokenizer.decode_all(row.prompt_ids) for row in cell.rows]
    opened = [text for text in shown if "<|im_start|>user\nBe short.\n\ncount to" in text]
    assert len(opened) > 3
    assert not any("<|im_start|>system" in text for text in shown)
    rows = list(build_export(prepared, cell).rows)
    assert [row.prompt_text for row in rows] == shown
    turns = [turn for row in rows for turn in row.example.messages]
    assert {turn.role for turn in turns} == {"user"}


def test_rows_longer_than_the_model_reads_are_refused_in_one_line(project):
    workspace = Workspace(project.recipe())
    workspace.base(256)
    with pytest.raises(RecipeError, match="training.max_length: tiny-llama reads 256 tokens") as e:
        workspace.base(257)
    assert "\n" not in str(e.value)
