"""What a run does with instructions that its rows vary, said aloud."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.anchors.lift import shared_instruction
from levertune.anchors.paraphrases import quote
from levertune.anchors.varied import Varied, find_varied
from levertune.recipes.recipe import Recipe
from levertune.runs.arms import ARMS, Arm
from levertune.runs.cells import CellPlan, draw_training_rows, expand_cells
from levertune.runs.inputs import Inputs


def describe_varied(recipe: Recipe, inputs: Inputs) -> list[str]:
    """Name the instructions that are taken out of the rows, and those that stay for a doubt.

    Args:
        recipe: The recipe.
        inputs: Its rows.

    Returns:
        A sentence or two for those replaced and for those kept, over the trainings of all folds and
        drawn subsets; nothing where the rows vary none, or the recipe keeps them.
    """
    lifted = [name for name in recipe.arms if _takes_out(recipe, ARMS[name])]
    if recipe.anchor.varied == "keep" or not lifted:
        return []
    plans = plan_trainings(recipe, inputs, ARMS[lifted[0]])
    trainings = [draw_training_rows(recipe, inputs, plan) for plan in plans]
    found = [find_varied(rows) for rows in trainings if shared_instruction(rows) is None]
    is_kept = [recipe.anchor.varied == "replace" and bool(v and v.doubt) for v in found]
    replaced = [v for v, kept in zip(found, is_kept, strict=True) if v is not None and not kept]
    left = [v for v, kept in zip(found, is_kept, strict=True) if v is not None and kept]
    return [
        *(_say_replaced(replaced, len(trainings)) if replaced else []),
        *(_say_kept(left, len(trainings)) if left else []),
    ]


def plan_trainings(recipe: Recipe, inputs: Inputs, arm: Arm) -> list[CellPlan]:
    """The cells of an arm, without those that train on the rows of another.

    Args:
        recipe: The recipe.
        inputs: Its rows.
        arm: The arm.
    """
    is_drawn = recipe.task.subset is not None and recipe.task.subset_seed == "seed"
    return expand_cells(
        (arm.name,),
        recipe.seeds if is_drawn else recipe.seeds[:1],
        len(inputs.splits) if inputs.test_mode == "cv" else None,
    )


def _takes_out(recipe: Recipe, arm: Arm) -> bool:
    """Whether an arm's rows lose varied instructions; under an anchor of `null` they do not."""
    return arm.is_lifted and not (arm.is_anchored and recipe.anchor.text is None)


def _say_replaced(found: Sequence[Varied], trainings: int) -> list[str]:
    texts = _list_texts(found)
    return [
        f"Varied instructions: the task rows open with one of {len(texts)}, which are taken out"
        f"{_in_some(found, trainings)}, and the anchor stands in their place: "
        f"{', '.join(map(quote, texts))}. If they are not ways to say one thing, set "
        "anchor.varied=keep."
    ]


def _say_kept(found: Sequence[Varied], trainings: int) -> list[str]:
    texts = _list_texts(found)
    return [
        f"Varied openings: the task rows open with one of {len(texts)} texts, which stay in them"
        f"{_in_some(found, trainings)}, since {found[0].doubt}: {', '.join(map(quote, texts))}. If "
        "they are ways to say one thing, anchor.varied=always puts the anchor in their place; if "
        "not, anchor.varied=keep says so."
    ]


def _list_texts(found: Sequence[Varied]) -> list[str]:
    return list(dict.fromkeys(text for varied in found for text in varied.instructions))


def _in_some(found: Sequence[Varied], trainings: int) -> str:
    return "" if len(found) == trainings else f" in {len(found)} of {trainings} trainings"
