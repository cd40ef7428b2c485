from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.errors import RecipeError
from levertune.recipes.dumping import dump_recipe
from levertune.recipes.loading import recipe_for_task, recipe_from_mapping
from levertune.recipes.yaml_text import parse_yaml
from levertune.results.inputs import AutoSetting
from levertune.settings import (
    Facts,
    choose_exposures,
    choose_general_rows,
    choose_learning_rate,
    resolve_settings,
    settings_table,
)

FACTS = Facts(
    task_rows=48,
    general_available=6000,
    model_parameters=135_000_000,
    device="cpu",
    memory_bytes=16 * 2**30,
    longest_completion=10,
)


def values(overrides=(), **facts):
    _, found = resolve_settings(recipe_for_task("a.csv", overrides), replace(FACTS, **facts))
    return {setting.key: setting.value for setting in found}


def test_every_auto_but_those_of_the_rows_content_is_replaced_with_a_reason():
    recipe, found = resolve_settings(recipe_for_task("a.csv"), FACTS)
    left = [line for line in dump_recipe(recipe, {}).splitlines() if line.endswith(": auto")]
    assert [line.strip() for line in left] == ["metric: auto", "text: auto"]
    assert all(setting.reason for setting in found)


def test_a_resolved_recipe_reads_back_equal_from_its_file():
    recipe, found = resolve_settings(recipe_for_task("a.csv"), FACTS)
    text = dump_recipe(recipe, {setting.key: setting.reason for setting in found})
    assert recipe_from_mapping(parse_yaml(text, "x").value) == recipe
    assert "  exposures: 24  # for 48 task rows\n" in text


def test_what_the_user_set_is_kept():
    recipe = recipe_for_task("a.csv", ["task.exposures=7", "training.learning_rate=1e-5"])
    resolved, found = resolve_settings(recipe, FACTS)
    assert resolved.task.exposures == 7
    assert resolved.training.learning_rate == 1e-5
    assert not {"task.exposures", "training.learning_rate"} & {setting.key for setting in found}


def test_resolving_twice_changes_nothing():
    found = [AutoSetting("task.metric", "chrf", "text"), AutoSetting("anchor.text", "Hi", "said")]
    once, _ = resolve_settings(recipe_for_task("a.csv"), FACTS, found)
    assert resolve_settings(once, replace(FACTS, task_rows=999)) == (once, [])


def test_values_found_elsewhere_fill_the_rest_and_come_first():
    found = [AutoSetting("task.metric", "chrf", "text"), AutoSetting("task.test", 0.5, "asked")]
    recipe, replaced = resolve_settings(recipe_for_task("a.csv"), FACTS, found)
    assert (recipe.task.metric, recipe.task.test) == ("chrf", 0.5)
    assert [setting.key for setting in replaced][:3] == [
        "task.test",
        "task.metric",
        "task.exposures",
    ]


def test_a_value_found_elsewhere_must_be_in_range():
    with pytest.raises(RecipeError, match="evaluation.batch_size: must be a whole number"):
        resolve_settings(
            recipe_for_task("a.csv"), FACTS, [AutoSetting("evaluation.batch_size", 0, "no")]
        )


@pytest.mark.parametrize(
    ("rows", "exposures"),
    [(1, 32), (20, 32), (48, 24), (50, 24), (200, 12), (1000, 5), (5000, 3), (10**6, 3)],
)
def test_exposures_go_through_the_stated_points(rows, exposures):
    assert choose_exposures(rows) == exposures


@settings(max_examples=50)
@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_more_rows_never_mean_more_exposures_nor_fewer_general_rows(first, second):
    few, many = sorted((first, second))
    assert choose_exposures(few) >= choose_exposures(many)
    assert choose_general_rows(few, 10**9, "cuda")[0] <= choose_general_rows(many, 10**9, "cuda")[0]


@pytest.mark.parametrize(
    ("rows", "available", "device", "general"),
    [
        (48, 6000, "cpu", 300),
        (48, 100, "cpu", 100),
        (48, 0, "cpu", 0),
        (1000, 6000, "cpu", 2000),
        (5000, 60000, "cpu", 4000),
        (5000, 60000, "cuda", 10000),
        (1, 6000, "cpu", 10),
    ],
)
def test_general_rows_are_bounded_by_what_there_is_and_by_the_device(
    rows, available, device, general
):
    assert choose_general_rows(rows, available, device)[0] == general


def test_too_few_general_rows_are_said():
    assert choose_general_rows(48, 100, "cpu")[1].startswith("all there are; ")
    assert choose_general_rows(48, 100, "cpu")[1].endswith("would be 300")


def test_rows_that_sources_ask_for_are_the_fewest_general_rows():
    recipe = recipe_from_mapping({"task": {"path": "t.jsonl"}})
    facts = replace(FACTS, task_rows=48, general_available=900, general_fixed=500)
    _, settings = resolve_settings(recipe, facts)
    (found,) = [setting for setting in settings if setting.key == "general.rows"]
    assert found.value == 500
    assert found.reason.startswith("asked for by the sources themselves; ")
    assert found.reason.endswith("would be 300")


def test_general_tokens_or_no_source_decide_the_general_rows():
    assert values(["general.tokens=1000"])["general.rows"] is None
    assert values(["general.sources=[]"])["general.rows"] == 0


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [(135_000_000, 5e-4), (300_000_000, 2e-4), (1_700_000_000, 2e-4), (7_000_000_000, 1e-4)],
)
def test_larger_models_learn_at_lower_rates(parameters, rate):
    assert choose_learning_rate(parameters) == rate


def test_new_tokens_leave_room_beyond_the_longest_completion():
    assert values(longest_completion=10)["evaluation.max_new_tokens"] == 23
    assert values(longest_completion=None)["evaluation.max_new_tokens"] == 128


def test_the_device_decides_the_precision():
    assert values()["model.dtype"] == "float32"
    assert values(has_native_bfloat16=True)["model.dtype"] == "bfloat16"


def test_a_model_that_fills_the_memory_is_run_sparingly():
    large = values(model_parameters=7 * 10**9)
    assert large["training.gradient_checkpointing"] is True
    assert large["evaluation.batch_size"] == 16
    assert values()["evaluation.batch_size"] == 64
    assert values()["training.gradient_checkpointing"] is False


def test_small_tasks_are_cross_validated():
    assert values(task_rows=199)["task.test"] == "cv:5"
    assert values(task_rows=200)["task.test"] == 0.2


def test_a_shipped_task_is_tested_on_its_own_test_rows():
    recipe, _ = resolve_settings(recipe_for_task("embedded:ticket_codes"), FACTS)
    assert recipe.task.test == "embedded:ticket_codes@test"
    assert recipe.output_dir == "runs/ticket_codes"


def test_checkpoints_follow_the_number_of_steps():
    assert values(task_rows=20)["training.save_steps"] == 24
    assert values(["training.effective_batch_size=64"])["training.save_steps"] == 20


def test_the_table_in_the_documentation_is_the_one_the_function_gives():
    page = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
    assert f"-->\n{settings_table()}\n<!-- end of table" in page.read_text(encoding="utf-8")
