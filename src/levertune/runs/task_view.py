"""The rows of a recipe that anchors are written, scored and guarded by."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.auto import choose_lifting
from levertune.anchors.guard import FindFault, make_guard
from levertune.anchors.setting import describe_name
from levertune.data.draws import sample_items
from levertune.data.records import Record
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan, draw_training_rows
from levertune.runs.control_tokens import keep_out_control_tokens
from levertune.runs.inputs import Inputs, choose_fold_anchor, read_inputs
from levertune.runs.workspace import Workspace

_GENERAL_ROWS = 200


@dataclass(frozen=True, slots=True)
class TaskView:
    """The rows that anchors are written and scored on.

    Args:
        inputs: The inputs of the recipe.
        train: Task rows in training, what they share or vary taken out of them.
        verbatim: The same rows as the user wrote them.
        test: Rows that no candidate may give an answer of.
        general: General rows with a prompt, a sample.
        workspace: The model.
        notes: What a reader should know of them.
    """

    inputs: Inputs
    train: tuple[Record, ...]
    verbatim: tuple[Record, ...]
    test: tuple[Record, ...]
    general: tuple[Record, ...]
    workspace: Workspace
    notes: tuple[str, ...]


def view_task(recipe: Recipe, *, progress: Progress | None = None) -> TaskView:
    """Read the rows of a recipe for its anchor.

    Of a test file or a hold-out the test rows are left out. In cross-validation all rows are looked
    at, since the final adapter trains on them; a note says what that means for a comparison.

    Args:
        recipe: The recipe.
        progress: Where to show the progress of downloads.

    Raises:
        DataError: If a file or row cannot be used.
    """
    workspace = Workspace(recipe)
    # A general row with a control token cannot be rendered, and a run leaves it out too.
    inputs, told = keep_out_control_tokens(
        recipe, read_inputs(recipe, progress=progress), workspace.tokenizer.control_tokens
    )
    notes = tuple(told)
    if inputs.test_mode == "cv":
        notes += (
            "The recipe cross-validates, so that every row was looked at here: a run of the same "
            "rows with such an anchor tests on rows that had a part in it. Keep test rows in a "
            "file of their own for a comparison.",
        )
        return view_rows(recipe, inputs, workspace, inputs.task.records, notes=notes)
    rows = draw_training_rows(recipe, inputs, CellPlan(ARMS["tell"], recipe.seeds[0], None))
    return view_rows(recipe, inputs, workspace, rows, inputs.test_records, notes=notes)


def view_rows(
    recipe: Recipe,
    inputs: Inputs,
    workspace: Workspace,
    rows: Sequence[Record],
    test: Sequence[Record] = (),
    *,
    notes: Sequence[str] = (),
) -> TaskView:
    """A view of given training rows.

    Args:
        recipe: The recipe.
        inputs: The inputs, for the kind of task and the general rows.
        workspace: The model.
        rows: Task rows in training, as the user wrote them.
        test: Rows that no candidate may give an answer of.
        notes: What a reader should know of the rows.
    """
    lifting = choose_lifting(rows, varied_rule=recipe.anchor.varied)
    general = [row for file in inputs.general for row in file.records if not row.is_text]
    return TaskView(
        inputs=inputs,
        train=lifting.take_from_all(rows).records,
        verbatim=tuple(rows),
        test=tuple(test),
        general=tuple(sample_items(general, _GENERAL_ROWS)),
        workspace=workspace,
        notes=tuple(notes),
    )


def make_view_guard(view: TaskView) -> FindFault:
    """Says what makes a text unusable as an anchor of the rows in view.

    Refused is also what `anchor.text` would take for a name (`anchors.setting`): a text that is
    found good may be written into a recipe. So are control characters, as in the pool: a model's
    answer could move a terminal's cursor with them.
    """
    tokens = view.workspace.tokenizer.control_tokens

    def find_control_token(text: str) -> str | None:
        fault = tokens.describe_in(text)
        return None if fault is None else fault.removesuffix(".")  # a sentence goes on behind it

    def find_control_character(text: str) -> str | None:
        found = next(
            (c for c in text if unicodedata.category(c) == "Cc" and c not in "\r\n\t"), None
        )
        return None if found is None else f"contains the control character {found!r}"

    find_fault = make_guard(view.verbatim, view.test, find_control_token=find_control_token)
    return lambda text: describe_name(text) or find_control_character(text) or find_fault(text)


def own_anchor_text(recipe: Recipe, view: TaskView) -> str | None:
    """The words of the recipe's own anchor, read from a file or the pool where it names one.

    Args:
        recipe: The recipe.
        view: Its rows.

    Returns:
        The words; None where the recipe leaves the anchor to `auto` or asks for none.

    Raises:
        UserError: If the file or the pool cannot be read.
    """
    if recipe.anchor.text in (None, "auto"):
        return None
    anchor = choose_fold_anchor(recipe, view.verbatim, view.inputs.kind).anchor
    return None if anchor is None else anchor.text
