import pytest

from levertune.errors import RecipeError
from levertune.recipes.loading import recipe_from_mapping
from levertune.tuning.candidates import list_candidates, parse_what


@pytest.fixture
def recipe():
    return recipe_from_mapping(
        {
            "task": {"path": "t.jsonl", "exposures": 8},
            "general": {"rows": 100},
            "training": {"learning_rate": 0.001},
        }
    )


def values(candidates, key):
    return [candidate[key] for candidate in candidates]


def test_general_rows_go_by_task_rows_and_stop_at_what_there_is(recipe):
    found = list_candidates(["general"], recipe, train_rows=10, general_available=1000)
    assert values(found, "general.rows") == [0, 20, 50, 100, 200, 400]
    found = list_candidates(["general"], recipe, train_rows=10, general_available=120)
    assert values(found, "general.rows") == [0, 20, 50, 100, 120]


def test_no_two_candidates_have_the_same_mixture(recipe):
    # Below what sources give by themselves, and above what there is, every number is one.
    found = list_candidates(
        ["general"], recipe, train_rows=10, general_available=120, general_fixed=60
    )
    assert values(found, "general.rows") == [0, 60, 100, 120]
    found = list_candidates(
        ["general"], recipe, train_rows=10, general_available=3, general_fixed=3
    )
    assert values(found, "general.rows") == [0, 3]


def test_learning_rates_and_exposures_surround_what_auto_says(recipe):
    found = list_candidates(["learning_rate"], recipe, train_rows=10, general_available=0)
    assert values(found, "training.learning_rate") == [0.00025, 0.0005, 0.001, 0.002]
    found = list_candidates(["exposures"], recipe, train_rows=10, general_available=0)
    assert values(found, "task.exposures") == [4, 8, 16]


def test_several_are_combined_the_cheapest_first(recipe):
    found = list_candidates(["exposures", "general"], recipe, train_rows=10, general_available=1000)
    assert len(found) == 18
    costs = [10 * c["task.exposures"] + c["general.rows"] for c in found]
    assert costs == sorted(costs)


def test_nothing_to_choose_between_is_refused(recipe):
    with pytest.raises(RecipeError, match=r"nothing to choose between; found no general rows"):
        list_candidates(["general"], recipe, train_rows=10, general_available=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "anchors",
            r"must be among \['general', 'learning_rate', 'exposures', 'anchor'\]; found 'anchors'",
        ),
        ("general,general", "names something twice; found 'general,general'"),
        ("", "must be among"),
    ],
)
def test_what_is_unknown_or_twice_is_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_what(text)


def test_what_is_a_list():
    assert parse_what("learning_rate, exposures") == ("learning_rate", "exposures")
