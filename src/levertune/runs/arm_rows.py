"""How an arm shows the task rows to the model: its anchor chosen, and put on a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from levertune.anchors.anchor import Anchor, Example, plain_example
from levertune.anchors.auto import AnchorChoice, choose_lifting
from levertune.anchors.shorten import anneal
from levertune.data.records import Record
from levertune.mixtures.forms import FormPlan
from levertune.recipes.recipe import Recipe
from levertune.runs.arms import Arm
from levertune.runs.inputs import Inputs, as_tested, choose_fold_anchor
from levertune.runs.workspace import Workspace


def choose_arm_anchor(
    recipe: Recipe,
    inputs: Inputs,
    train: Sequence[Record],
    arm: Arm,
    *,
    count_tokens: Callable[[str], int],
) -> AnchorChoice | None:
    """The anchor of an arm; for an arm without one, what is to be taken off its rows.

    Args:
        recipe: The recipe.
        inputs: The inputs.
        train: The training rows, on which alone it is chosen.
        arm: The arm.
        count_tokens: Gives the tokens of a text, for an anchor that is shortened.

    Returns:
        The choice; None for an arm that leaves rows verbatim.
    """
    if not arm.is_lifted:
        return None
    if arm.is_anchored:
        choice = choose_fold_anchor(recipe, train, inputs.kind)
        if choice.anchor is None or recipe.anchor.schedule == "constant":
            return choice
        if recipe.anchor.schedule == "refine":
            return replace(choice, is_open=True, reason=f"{choice.reason}; challenged in training")
        stages = anneal(choice.anchor, count_tokens, served_tokens=recipe.anchor.served_tokens)
        last = stages[-1].anchor
        tokens = 0 if last is None else last.token_cost(count_tokens)
        how = (
            f"shortened while training to {tokens} tokens"
            if len(stages) > 1
            else "short enough to be served whole"
        )
        return replace(choice, stages=stages, reason=f"{choice.reason}; {how}")
    # Whatever anchor the recipe names.
    lifting = choose_lifting(train, varied_rule=recipe.anchor.varied)
    return AnchorChoice(None, lifting, f"{arm.name} has no anchor")


def choose_test_anchor(
    recipe: Recipe,
    inputs: Inputs,
    train: Sequence[Record],
    arm: Arm,
    trained: AnchorChoice | None,
) -> AnchorChoice | None:
    """The anchor an arm is tested with.

    What was taken off its rows in training is taken off test rows too.

    Args:
        recipe: The recipe.
        inputs: The inputs.
        train: The training rows, on which alone it is chosen.
        arm: The arm.
        trained: What it is trained with.

    Returns:
        The choice; what it is trained with, unless `evaluation.anchor` says otherwise and the arm
        has an anchor at all.
    """
    if trained is None or not arm.is_anchored or recipe.evaluation.anchor == "trained":
        return trained
    choice = choose_fold_anchor(as_tested(recipe), train, inputs.kind)
    lifting = trained.lifting if trained.lifting.instructions else choice.lifting
    return AnchorChoice(choice.anchor, lifting, f"evaluation.anchor; {choice.reason}")


def arm_example(record: Record, arm: Arm, choice: AnchorChoice | None) -> Example:
    """A task row as an arm shows it to the model once it is trained."""
    served = choice.served if choice is not None and arm.is_anchored else None
    return form_example(record, arm, choice, served)


def foreseen_example(record: Record, arm: Arm, choice: AnchorChoice | None) -> Example:
    """The same before training: where that is yet to decide the anchor, the one it begins with."""
    if choice is not None and choice.is_open:
        return form_example(record, arm, choice, choice.anchor)
    return arm_example(record, arm, choice)


def form_example(
    record: Record, arm: Arm, choice: AnchorChoice | None, anchor: Anchor | None
) -> Example:
    """A task row as an arm shows it with one form of its anchor, or without."""
    if choice is None or not arm.is_lifted:
        return plain_example(record)
    lifted = choice.lifting.take_from(record)
    return plain_example(lifted) if anchor is None else anchor.apply(lifted)


def count_pushed_over(
    too_long: Sequence[Record],
    arm: Arm,
    choice: AnchorChoice | None,
    workspace: Workspace,
    max_length: int,
) -> int:
    """How many of the rows that are too long would fit without their anchor."""
    if choice is None or choice.anchor is None or not arm.is_anchored:
        return 0
    bare = [form_example(record, arm, choice, None) for record in too_long]
    rows, _ = workspace.tokenize_within(bare, max_length)
    return sum(row is not None for row in rows)


def list_forms(arm: Arm, choice: AnchorChoice | None) -> tuple[Anchor | None, ...]:
    """The forms of the anchor that an arm trains with, that for dropout last."""
    if choice is None or choice.anchor is None or not arm.is_anchored:
        return (None,)
    forms = tuple(stage.anchor for stage in choice.stages) or (choice.anchor,)
    return (*forms, None) if choice.anchor.dropout and forms[-1] is not None else forms


def plan_forms(arm: Arm, choice: AnchorChoice | None, *, num_positions: int, seed: int) -> FormPlan:
    """Which of these forms each exposure has.

    Args:
        arm: The arm.
        choice: Its anchor.
        num_positions: Positions of the order.
        seed: Seed of the dropout.
    """
    forms = list_forms(arm, choice)
    if choice is None or choice.anchor is None or not arm.is_anchored:
        return FormPlan(num_positions)
    return FormPlan(
        num_positions,
        starts=tuple(stage.start for stage in choice.stages) or (0.0,),
        dropout=choice.anchor.dropout,
        bare=len(forms) - 1,
        seed=seed,
    )
