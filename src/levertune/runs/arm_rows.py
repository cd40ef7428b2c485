"""How an arm shows the task rows to the model: its anchor chosen, and put on a row."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.anchors.anchor import Example, plain_example
from levertune.anchors.auto import AnchorChoice, choose_lifting
from levertune.data.records import Record
from levertune.recipes.recipe import Recipe
from levertune.runs.arms import Arm
from levertune.runs.inputs import Inputs, choose_fold_anchor


def choose_arm_anchor(
    recipe: Recipe, inputs: Inputs, train: Sequence[Record], arm: Arm
) -> AnchorChoice | None:
    """The anchor of an arm; for an arm without one, what is to be taken off its rows.

    Args:
        recipe: The recipe.
        inputs: The inputs.
        train: The training rows, on which alone it is chosen.
        arm: The arm.

    Returns:
        The choice; None for an arm that leaves rows verbatim.
    """
    if not arm.is_lifted:
        return None
    if arm.is_anchored:
        return choose_fold_anchor(recipe, train, inputs.kind)
    # Whatever anchor the recipe names.
    lifting = choose_lifting(train, replace_varied=recipe.anchor.varied == "replace")
    return AnchorChoice(None, lifting, f"{arm.name} has no anchor")


def arm_example(record: Record, arm: Arm, choice: AnchorChoice | None) -> Example:
    """A task row as an arm shows it to the model."""
    if choice is None or not arm.is_lifted:
        return plain_example(record)
    lifted = choice.lifting.take_from(record)
    if arm.is_anchored and choice.anchor is not None:
        return choice.anchor.apply(lifted)
    return plain_example(lifted)
