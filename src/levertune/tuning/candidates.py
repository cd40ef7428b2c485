"""The settings a tuning tries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

from levertune.errors import RecipeError
from levertune.recipes.recipe import Recipe
from levertune.results.tuning import Value

What = Literal["general", "learning_rate", "exposures"]

KEYS: dict[What, str] = {
    "general": "general.rows",
    "learning_rate": "training.learning_rate",
    "exposures": "task.exposures",
}

GENERAL_PER_TASK_ROW = (0, 2, 5, 10, 20, 40)
LEARNING_RATE_FACTORS = (0.25, 0.5, 1.0, 2.0)
EXPOSURE_FACTORS = (0.5, 1.0, 2.0)


def parse_what(text: str) -> tuple[What, ...]:
    """Names of what to tune, as `learning_rate,exposures`.

    Raises:
        RecipeError: If a name is unknown or named twice.
    """
    names = [name.strip() for name in text.split(",")]
    known = get_args(What)
    for name in names:
        if name not in known:
            raise RecipeError(f"--what: must be among {list(known)}; found {name!r}.")
    if len(set(names)) < len(names):
        raise RecipeError(f"--what: names something twice; found {text!r}.")
    return tuple(names)  # type: ignore[arg-type]


def list_candidates(
    what: Sequence[What],
    recipe: Recipe,
    *,
    train_rows: int,
    general_available: int,
    general_fixed: int = 0,
) -> list[dict[str, Value]]:
    """Every combination of the values tried, the fewest rows to train on first.

    General rows are listed for the training rows given; a number that no mixture can have becomes
    the nearest that one can, once. Without general rows is one of them always.

    Args:
        what: What to tune.
        recipe: The recipe, resolved.
        train_rows: Task rows in training.
        general_available: Most general rows that a mixture can have.
        general_fixed: Fewest, beside none: rows sources give by amounts of their own.

    Returns:
        The candidates, by recipe key.

    Raises:
        RecipeError: If there is nothing to choose between.
    """
    axes: list[list[tuple[str, Value]]] = []
    for name in what:
        values = _values(name, recipe, train_rows, general_fixed, general_available)
        axes.append([(KEYS[name], value) for value in values])
    candidates = [dict(combination) for combination in itertools.product(*axes)]
    if len(candidates) < 2:
        found = "no general rows" if general_available == 0 else "one value"
        raise RecipeError(
            f"--what {','.join(what)}: there is nothing to choose between; found {found}. "
            "Name a general source, or tune something else."
        )
    return sorted(candidates, key=lambda c: _cost(c, recipe, train_rows))


def _values(name: What, recipe: Recipe, train_rows: int, fewest: int, most: int) -> list[Value]:
    if name == "general":
        wanted = [ratio * train_rows for ratio in GENERAL_PER_TASK_ROW]
        return list(dict.fromkeys(min(max(n, fewest), most) if n else 0 for n in wanted))
    if name == "learning_rate":
        rate = float(recipe.training.learning_rate)
        return [rate * factor for factor in LEARNING_RATE_FACTORS if rate * factor <= 1]
    exposures = int(recipe.task.exposures)
    return list(dict.fromkeys(max(1, round(exposures * f)) for f in EXPOSURE_FACTORS))


def _cost(candidate: dict[str, Value], recipe: Recipe, train_rows: int) -> tuple[float, ...]:
    rows = recipe.general.rows
    general = candidate.get("general.rows", rows if isinstance(rows, int) else 0)
    exposures = candidate.get("task.exposures", int(recipe.task.exposures))
    return (exposures * train_rows + general, *candidate.values())
