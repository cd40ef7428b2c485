"""What an anchor must not do in a run: quote rows, or stand where the model has no place for it."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.anchors.guard import find_fault
from levertune.errors import RecipeError
from levertune.models.rendering import ChatTokenizer
from levertune.recipes.loading import recipe_from_mapping
from levertune.recipes.recipe import Recipe
from levertune.results.url_secrets import without_url_secrets
from levertune.runs.arms import ARMS
from levertune.runs.inputs import Inputs, as_tested, choose_fold_anchor


def settle_placement(
    recipe: Recipe, tokenizer: ChatTokenizer, *, always: bool = False
) -> tuple[Recipe, list[str]]:
    """Put anchors into the user's turn where the model's template has no system turn.

    Args:
        recipe: The recipe.
        tokenizer: The model's tokenizer.
        always: Whether anchors are placed by it even if it asks for none itself, in training or on
            test prompts.

    Returns:
        The recipe, and what a reader should know.
    """
    has_anchor = _has_anchored(recipe.arms) and any(
        one.anchor.text is not None for one in (recipe, as_tested(recipe))
    )
    if recipe.anchor.placement != "system" or not (has_anchor or always):
        return recipe, []
    if tokenizer.has_system_role:
        return recipe, []
    values = recipe.model_dump()
    values["anchor"]["placement"] = "prefix"
    return recipe_from_mapping(values), [
        f"anchor.placement=system: the template of {tokenizer.name} has no system turn; the anchor "
        "stands in front of the user's text, as with prefix."
    ]


def require_changeable(recipe: Recipe) -> None:
    """Refuse settings of how the anchor changes while training where no arm has one.

    Args:
        recipe: The recipe.

    Raises:
        RecipeError: If no arm of a recipe with `anchor.schedule` or `anchor.dropout` carries the
            anchor.
    """
    if _has_anchored(recipe.arms):
        return
    anchor, arms = recipe.anchor, list(recipe.arms)
    if anchor.schedule != "constant":
        raise RecipeError(
            f"anchor.schedule: {anchor.schedule} changes the anchor of tell; found arms={arms}. "
            "Add tell, or remove anchor.schedule."
        )
    if anchor.dropout:
        raise RecipeError(
            f"anchor.dropout: leaves out the anchor of tell; found arms={arms}. Add tell, or "
            "remove anchor.dropout."
        )


def require_exportable(recipe: Recipe, arm: str | None) -> None:
    """Refuse to write a mixture out whose later anchors only its training decides.

    Args:
        recipe: The recipe.
        arm: The arm that is written out; None for all.

    Raises:
        RecipeError: If the anchor of an arm that is written out is refined.
    """
    if recipe.anchor.schedule == "refine" and _has_anchored(recipe.arms if arm is None else (arm,)):
        raise RecipeError(
            "--to: the rows of tell cannot be written out with anchor.schedule=refine, which "
            "chooses later anchors while levertune trains. Set anchor.schedule=constant and "
            "anchor.text to the anchor a run ended with, or name another --arm."
        )


def _has_anchored(arms: Sequence[str]) -> bool:
    return any(name in ARMS and ARMS[name].is_anchored for name in arms)


def require_fair_anchor(recipe: Recipe, inputs: Inputs) -> None:
    """Refuse an anchor of the user's that quotes a row.

    An anchor that holds a training row teaches it on every prompt; one that holds the answer of a
    test row gives it away. What `auto` makes of the rows quotes none.

    Args:
        recipe: The recipe.
        inputs: The inputs.

    Raises:
        RecipeError: If the anchor or its lead-in holds a whole prompt or answer of a training row,
            or an answer of a test row that no training row has, of at least five words each.
    """
    lead_in = recipe.anchor.lead_in
    if lead_in is not None:
        for split in inputs.splits:
            if fault := find_fault(lead_in, split.train, split.test):
                raise RecipeError(
                    f"anchor.lead_in: {fault}; found in {lead_in[:60]!r}. Every answer starts with "
                    "it: say what the answers have in common, not what one of them says."
                )
    for key, own in (("anchor.text", recipe), ("evaluation.anchor", as_tested(recipe))):
        text = own.anchor.text
        if text is None or text == "auto":
            continue
        for split in inputs.splits:
            anchor = choose_fold_anchor(own, split.train, inputs.kind).anchor
            fault = find_fault(anchor.text, split.train, split.test) if anchor is not None else None
            if fault is not None:
                raise RecipeError(
                    f"{key}: {fault}; found in {text[:60]!r}. An anchor stands on every task "
                    "prompt: say what the rows have in common, not what one of them says."
                )


def fetch_private_pools(recipe: Recipe) -> None:
    """Fetch the pools whose address holds a password, while the recipe still has it.

    Args:
        recipe: The recipe as the user gave it.

    Raises:
        DataError: If a place is malformed or cannot be had.
    """
    from levertune.anchors.pool.places import locate

    for place in recipe.anchor.pools:
        if without_url_secrets(place) != place:
            locate(place)


def describe_test_anchor(recipe: Recipe) -> list[str]:
    """Say where test prompts have another anchor than the adapter is served with."""
    if recipe.evaluation.anchor == "trained":
        return []
    if not _has_anchored(recipe.arms):
        return [f"evaluation.anchor is not used: no arm of {list(recipe.arms)} has an anchor."]
    found = "no anchor" if recipe.evaluation.anchor is None else "an anchor of their own"
    return [
        f"Test prompts of tell have {found} (evaluation.anchor): its scores are not those of the "
        "adapter as it is served."
    ]
