"""The settings a tuning tries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from levertune.errors import RecipeError
from levertune.recipes.recipe import Recipe
from levertune.results.tuning import Value

What = Literal["general", "learning_rate", "exposures", "anchor"]

KEYS: dict[What, tuple[str, ...]] = {
    "general": ("general.rows",),
    "learning_rate": ("training.learning_rate",),
    "exposures": ("task.exposures",),
    # Another anchor takes the place of what the rows share.
    "anchor": ("anchor.text", "anchor.shared"),
}

GENERAL_PER_TASK_ROW = (0, 2, 5, 10, 20, 40)
LEARNING_RATE_FACTORS = (0.25, 0.5, 1.0, 2.0)
EXPOSURE_FACTORS = (0.5, 1.0, 2.0)

_WAYS_OUT: dict[What, str] = {
    "general": "Name a general source",
    "learning_rate": "Set a lower learning rate",
    "exposures": "Set more exposures",
    "anchor": "Name other ways with --ways, or anchors with --text",
}


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


def tuned_keys(what: Sequence[What]) -> tuple[str, ...]:
    """The recipe keys that a tuning of `what` sets."""
    return tuple(key for name in what for key in KEYS[name])


def list_candidates(
    what: Sequence[What],
    recipe: Recipe,
    *,
    train_rows: int,
    general_available: int,
    general_fixed: int = 0,
    anchors: Sequence[Mapping[str, Value]] = (),
) -> list[dict[str, Value]]:
    """Every combination of the values tried, the fewest rows to train on first.

    Between combinations of as many rows the anchors are in the order given.

    General rows are listed for the training rows given; a number that no mixture can have becomes
    the nearest that one can, once. Without general rows is one of them always.

    Args:
        what: What to tune.
        recipe: The recipe, resolved.
        train_rows: Task rows in training.
        general_available: Most general rows that a mixture can have.
        general_fixed: Fewest, beside none: rows sources give by amounts of their own.
        anchors: Settings of the anchors tried, the one to keep longest first.

    Returns:
        The candidates, by recipe key.

    Raises:
        RecipeError: If there is nothing to choose between.
    """
    axes: list[list[Mapping[str, Value]]] = []
    for name in what:
        if name == "anchor":
            axes.append(list(anchors))
        else:
            (key,) = KEYS[name]
            values = _values(name, recipe, train_rows, general_fixed, general_available)
            axes.append([{key: value} for value in values])
    candidates = [
        {key: value for part in combination for key, value in part.items()}
        for combination in itertools.product(*axes)
    ]
    if len(candidates) < 2:
        found = "one value"
        if what[0] == "anchor":
            found = f"{len(anchors)} anchor" + ("s" if len(anchors) != 1 else "")
        elif what[0] == "general" and general_available == 0:
            found = "no general rows"
        raise RecipeError(
            f"--what {','.join(what)}: there is nothing to choose between; found {found}. "
            f"{_WAYS_OUT[what[0]]}, or tune something else."
        )
    ranks = [dict(anchor) for anchor in anchors]

    def cost(candidate: dict[str, Value]) -> tuple[float, ...]:
        own = {key: candidate[key] for key in KEYS["anchor"] if key in candidate}
        numbers = [float(v) for key, v in candidate.items() if key not in own]
        rank = ranks.index(own) if own else 0
        return (_num_positions(candidate, recipe, train_rows), rank, *numbers)

    return sorted(candidates, key=cost)


def _values(name: What, recipe: Recipe, train_rows: int, fewest: int, most: int) -> list[Value]:
    if name == "general":
        wanted = [ratio * train_rows for ratio in GENERAL_PER_TASK_ROW]
        return list(dict.fromkeys(min(max(n, fewest), most) if n else 0 for n in wanted))
    if name == "learning_rate":
        rate = float(recipe.training.learning_rate)
        return [rate * factor for factor in LEARNING_RATE_FACTORS if rate * factor <= 1]
    exposures = int(recipe.task.exposures)
    return list(dict.fromkeys(max(1, round(exposures * f)) for f in EXPOSURE_FACTORS))


def _num_positions(candidate: Mapping[str, Value], recipe: Recipe, train_rows: int) -> int:
    rows = recipe.general.rows
    general = candidate.get("general.rows", rows if isinstance(rows, int) else 0)
    exposures = candidate.get("task.exposures", int(recipe.task.exposures))
    return int(exposures) * train_rows + int(general)
