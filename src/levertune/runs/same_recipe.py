"""Whether a run folder holds the run of this recipe, or of another one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.recipes.dumping import read_reasons
from levertune.recipes.loading import load_recipe
from levertune.recipes.recipe import Recipe
from levertune.recipes.url_secrets import without_secrets

RECIPE_FILE = "recipe.yaml"

FREE_TRAINING = ("save_steps", "save_minutes", "save_total_limit", "report_to", "logging_steps",
                 "gradient_checkpointing")  # fmt: skip
"""Keys of `training` that no weight depends on: no manifest holds them."""

CHOSEN_BY_DEVICE = ("model.dtype", "general.rows")
"""Keys whose `auto` depends on the device, and on which cells depend."""

# May change from one call to the next in one folder: they change what is done, not any cell.
_FREE_KEYS = frozenset(
    {"arms", "seeds", "output_dir", "evaluation.batch_size", "evaluation.backend"}
    | {f"training.{key}" for key in FREE_TRAINING}
)


def require_same_recipe(run_dir: Path, recipe: Recipe, *, unsettled: Collection[str] = ()) -> None:
    """Refuse a run folder that another recipe made.

    Args:
        run_dir: The run folder; it need not be there.
        recipe: The recipe, resolved as far as it can be.
        unsettled: Keys still `auto`, of which a run alone knows what they come to.

    Raises:
        RunError: If a setting that changes cells differs, naming each, or the folder is a file.
        RecipeError: If the recipe there cannot be read.
    """
    path = run_dir / RECIPE_FILE
    if not path.is_file():
        if run_dir.is_file():
            raise RunError(f"{run_dir}: is a file. Name a folder with output_dir=...")
        return
    free = _FREE_KEYS.union(unsettled)
    earlier = without_secrets(load_recipe(path))  # an older one may still hold some
    changes = describe_changes(earlier.model_dump(), recipe.model_dump(), free=free)
    if changes:
        raise RunError(
            f"{run_dir}: holds the run of another recipe; changed: {'; '.join(changes)}. "
            "Change it back, or choose another output_dir."
        )


def keep_choices(run_dir: Path, recipe: Recipe, *, apart: Collection[str] = ()) -> Recipe:
    """A recipe with what its run chose for the device it began on, where both say `auto`.

    Without this, a run could not go on on another device. What follows from the rows or the model
    is not kept: where it differs, these do, and the run is another one.

    Args:
        run_dir: The run folder; it need not be there.
        recipe: The recipe.
        apart: Keys that a tuning chooses.

    Raises:
        RecipeError: If the recipe there cannot be read.
    """
    path = run_dir / RECIPE_FILE
    if not path.is_file():
        return recipe
    # A key without a reason was the user's choice then: `auto` may be another one.
    reasons, earlier = read_reasons(path.read_text("utf-8")), load_recipe(path)
    for key in CHOSEN_BY_DEVICE:
        section, _, name = key.partition(".")
        values = getattr(recipe, section)
        if getattr(values, name) == "auto" and key in reasons and key not in apart:
            kept = values.model_copy(update={name: getattr(getattr(earlier, section), name)})
            recipe = recipe.model_copy(update={section: kept})
    return recipe


def describe_changes(
    old: dict[str, Any],
    new: dict[str, Any],
    prefix: str = "",
    *,
    free: Collection[str] = _FREE_KEYS,
) -> list[str]:
    """Settings that differ, as `training.learning_rate: 0.0002 -> 0.0005`.

    Args:
        old: Sections and keys of one recipe.
        new: Those of the other.
        prefix: What stands before their names.
        free: Keys that may differ; by default those that change no cell (arms, seeds, where it is
            written, how it is logged).
    """
    changes = []
    for key in dict.fromkeys([*old, *new]):
        name = prefix + key
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += describe_changes(before, after, f"{name}.", free=free)
        elif before != after and name not in free:
            changes.append(f"{name}: {before!r} -> {after!r}")
    return changes
