"""Test rows worded otherwise than those trained on, whose wording the anchor cannot replace."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.anchors.auto import choose_lifting
from levertune.anchors.lift import Lifting
from levertune.anchors.paraphrases import quote
from levertune.data.records import Record
from levertune.recipes.recipe import Recipe
from levertune.runs.arms import ARMS, Arm
from levertune.runs.cells import draw_training_rows, split_of
from levertune.runs.inputs import Inputs, choose_fold_anchor
from levertune.runs.varied_instructions import plan_trainings


def describe_other_wordings(recipe: Recipe, inputs: Inputs) -> list[str]:
    """Count the test rows that do not carry what is taken out of all training rows.

    Args:
        recipe: The recipe.
        inputs: Its rows.

    Returns:
        A sentence or two on them, over all folds and drawn subsets; nothing where there are none,
        or no arm takes anything out of its rows.
    """
    lifted = [ARMS[name] for name in recipe.arms if ARMS[name].is_lifted]
    for arm in sorted(lifted, key=lambda arm: not arm.is_anchored):
        if told := _describe(recipe, inputs, arm):
            return [told]
    return []


def _describe(recipe: Recipe, inputs: Inputs, arm: Arm) -> str | None:
    found: set[tuple[int | None, int]] = set()
    instructions: dict[str, None] = {}
    for plan in plan_trainings(recipe, inputs, arm):
        train = draw_training_rows(recipe, inputs, plan)
        lifting = _choose(recipe, inputs, train, arm)
        test = split_of(inputs, plan).test
        without = [n for n, row in enumerate(test) if lifting.take_from(row) is row]
        # Where some training rows lack it too, both wordings are trained on.
        if lifting.instructions and without and not lifting.take_from_all(train).num_without:
            found |= {(plan.fold, n) for n in without}
            instructions |= dict.fromkeys(lifting.instructions)
    if not found:
        return None
    first = quote(next(iter(instructions)))
    what = f"the instruction that is taken out of the training rows ({first})"
    if len(instructions) > 1:
        num = len(instructions)
        what = f"any of the {num} instructions that are taken out of the training rows"
    num_test = sum(len(split.test) for split in inputs.splits)
    return (
        f"Other wordings: {len(found)} of {num_test} test rows do not carry {what}. They stay as "
        "they are, and get the anchor where the others get it, so that those which ask in words "
        "of their own ask twice. Write the instruction there as the other rows do, or leave it out."
    )


def _choose(recipe: Recipe, inputs: Inputs, train: Sequence[Record], arm: Arm) -> Lifting:
    if arm.is_anchored and recipe.anchor.text != "auto":
        return choose_fold_anchor(recipe, train, inputs.kind).lifting
    # The same for `auto`, whose anchor need not be written for it.
    return choose_lifting(train, varied_rule=recipe.anchor.varied)
