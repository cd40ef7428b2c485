"""Control tokens kept out of everything a run renders: refused in the task, dropped elsewhere."""

from __future__ import annotations

from dataclasses import replace

from levertune.data.control_tokens import ControlTokens
from levertune.errors import DataError, RecipeError
from levertune.recipes.recipe import Recipe
from levertune.runs.inputs import Inputs, as_tested, choose_fold_anchor

_NUM_SHOWN = 5


def keep_out_control_tokens(
    recipe: Recipe, inputs: Inputs, tokens: ControlTokens
) -> tuple[Inputs, list[str]]:
    """Look for the model's control tokens in every text a run could render.

    Args:
        recipe: The recipe.
        inputs: The inputs as read.
        tokens: The model's control tokens.

    Returns:
        The inputs without the general rows that hold one, which are listed in `dropped`, and what
        a reader should know of them.

    Raises:
        DataError: If a row of the task, a test row, a row of the retention probe or every row of a
            general source holds one.
        RecipeError: If the anchor or its lead-in does.
    """
    _require_clean_anchor(recipe, inputs, tokens)
    for file in (inputs.task, inputs.test_file):
        if file is not None:
            tokens.require_none_in(file)
    for record in inputs.retention:
        for text in (*(turn.content for turn in record.prompt), record.completion):
            if fault := tokens.describe_in(text):
                raise DataError(f"{recipe.evaluation.retention}, row {record.id!r}: {fault}")
    cleaned = [tokens.leave_out(file) for file in inputs.general]
    dropped = [row for _, rows in cleaned for row in rows]
    if not dropped:
        return inputs, []
    shown = ", ".join(f"{row['id']!r} of {row['source']}" for row in dropped[:_NUM_SHOWN])
    more = f" and {len(dropped) - _NUM_SHOWN:,} more" if len(dropped) > _NUM_SHOWN else ""
    kept = replace(
        inputs,
        general=tuple(file for file, _ in cleaned),
        dropped=(*inputs.dropped, *dropped),
    )
    return kept, [
        f"General rows with a control token of {tokens.model}, dropped: {len(dropped):,} "
        f"({shown}{more})."
    ]


def _require_clean_anchor(recipe: Recipe, inputs: Inputs, tokens: ControlTokens) -> None:
    texts = {"anchor.lead_in": recipe.anchor.lead_in}
    for key, own in (("anchor.text", recipe), ("evaluation.anchor", as_tested(recipe))):
        if own.anchor.text not in (None, "auto"):  # those are made of the rows, if of anything
            anchor = choose_fold_anchor(own, inputs.task.records[:1], inputs.kind).anchor
            texts[key] = anchor.text if anchor is not None else None
    for key, text in texts.items():
        if text is not None and (fault := tokens.describe_in(text)):
            raise RecipeError(f"{key}: {fault}")
