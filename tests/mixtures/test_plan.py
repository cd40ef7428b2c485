import json
import re

import pytest

from levertune.errors import RecipeError
from levertune.mixtures.plan import MixturePlan

PLAN = MixturePlan(48, 24, (("skills", 200), ("self", 100)), "even", 3)


def test_plan_counts_its_positions():
    assert (PLAN.num_task, PLAN.num_general, PLAN.num_positions) == (1152, 300, 1452)
    assert PLAN.sources == ("task", "skills", "self")


def test_plan_survives_json():
    assert MixturePlan.from_json(json.loads(json.dumps(PLAN.to_json()))) == PLAN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_rows": -1}, "task rows: must be a whole number of at least 0; found -1"),
        ({"task_rows": 2.0}, "task rows: must be a whole number of at least 0; found 2.0"),
        ({"exposures": 0}, "task.exposures: must be a whole number of at least 1; found 0"),
        ({"exposures": True}, "task.exposures: must be a whole number of at least 1; found True"),
        ({"seed": -1}, "mixture.seed: must be a whole number of at least 0; found -1"),
        ({"order": "random"}, "mixture.order: must be one of ['shuffle', 'even', "),
        ({"general": (("a", -1),)}, "general.sources: rows of 'a': must be a whole number"),
        ({"general": (("a", 1), ("a", 2))}, "general.sources: 'a' is named twice"),
        ({"general": (("task", 1),)}, "general.sources: 'task' cannot name a general source"),
        ({"general": ((" ", 1),)}, "general.sources: ' ' cannot name a general source"),
        ({"task_rows": 0}, "mixture: holds no rows; found 0 task rows and 0 general rows"),
    ],
)
def test_bad_plan_names_setting_and_value(change, message):
    settings = {"task_rows": 2, "exposures": 1, **change}
    with pytest.raises(RecipeError, match=re.escape(message)):
        MixturePlan(**settings)
