import argparse

import pytest

from levertune.cli.arguments import add_output_arguments, add_recipe_arguments, read_recipe
from levertune.errors import RecipeError, RunError


def parse(*words):
    parser = argparse.ArgumentParser()
    add_recipe_arguments(parser)
    add_output_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def recipe_path(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("task: {path: tickets.csv}\nseeds: 2\n", encoding="utf-8")
    return path


def test_a_recipe_file_is_read_with_its_overrides(recipe_path):
    recipe = read_recipe(parse(str(recipe_path), "training.lora_r=4", "seeds=3"))
    assert recipe.training.lora_r == 4
    assert recipe.seeds == (0, 1, 2)


def test_a_run_folder_gives_its_recipe_and_is_the_output_folder(recipe_path):
    recipe = read_recipe(parse(str(recipe_path.parent)))
    assert recipe.output_dir == str(recipe_path.parent)
    assert recipe.seeds == (0, 1)


def test_a_task_file_gives_the_defaults():
    recipe = read_recipe(parse("--task", "tickets.csv", "seeds=3"))
    assert recipe.task.path == "tickets.csv"
    assert recipe.seeds == (0, 1, 2)


def test_a_file_with_an_equals_sign_in_its_name_is_a_recipe(recipe_path):
    path = recipe_path.rename(recipe_path.with_name("lr=1.yaml"))
    assert read_recipe(parse(str(path))).seeds == (0, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "one recipe is needed; found nothing"),
        (("a.yaml", "b.yaml"), "one recipe is needed; found 'a.yaml', 'b.yaml'"),
        (("--task", "a.csv", "b.yaml"), "--task a.csv: stands beside 'b.yaml'. Name one"),
        (("a.csv",), "a.csv: is a data file, not a recipe. Write --task a.csv"),
        (("missing.yaml",), "missing.yaml: there is no such file"),
    ],
)
def test_what_is_no_single_recipe_is_refused(words, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(parse(*words))


def test_a_folder_without_a_recipe_is_no_run_folder(tmp_path):
    with pytest.raises(RunError, match=r"has no recipe\.yaml, so it is no run folder"):
        read_recipe(parse(str(tmp_path)))


def test_a_long_text_is_an_override_and_no_file_name(recipe_path):
    text = "Give codes" * 100  # no file system has room for such a name
    recipe = read_recipe(parse(str(recipe_path), f"anchor.text={text}"))
    assert recipe.anchor.text == text
    assert read_recipe(parse("--task", "a.csv", f"anchor.text={text}")).anchor.text == text


def test_a_long_word_that_is_no_override_is_no_such_file():
    with pytest.raises(RecipeError, match="cannot be read: File name too long"):
        read_recipe(parse("word " * 200))
    with pytest.raises(RecipeError, match="one recipe is needed; found nothing"):
        read_recipe(parse("seeds=" + "1, " * 200))
