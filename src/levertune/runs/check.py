"""A recipe looked at without torch: refused where a run of it would be, described otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from levertune.anchors.anchor import Anchor, Example, plain_example
from levertune.anchors.auto import AnchorChoice
from levertune.data.check_report import CheckReport
from levertune.data.checks import check_task, require_rows_that_fit, rows_to_count
from levertune.data.general import read_general
from levertune.data.records import TASK_SOURCE, Record, RecordFile
from levertune.data.splits import warn_of_large_groups
from levertune.models.context_length import read_context_length
from levertune.models.rendering import ChatTokenizer
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.recipes.url_secrets import without_secrets
from levertune.runs.anchor_rules import (
    describe_test_anchor,
    require_changeable,
    require_fair_anchor,
    settle_placement,
)
from levertune.runs.answers import require_backend, require_test_rows_fit
from levertune.runs.arm_rows import (
    choose_arm_anchor,
    choose_test_anchor,
    count_pushed_over,
    foreseen_example,
    form_example,
    list_forms,
)
from levertune.runs.arms import ARMS, Arm
from levertune.runs.cells import draw_training_rows, expand_cells, split_of
from levertune.runs.control_tokens import keep_out_control_tokens
from levertune.runs.general_amounts import describe_shortfalls, require_room
from levertune.runs.general_draw import hold_out_general
from levertune.runs.inputs import Inputs, read_inputs
from levertune.runs.other_wordings import describe_other_wordings
from levertune.runs.quantization import require_quantization
from levertune.runs.refine_rows import set_aside
from levertune.runs.same_recipe import require_same_recipe
from levertune.runs.self_sources import check_self_sources
from levertune.runs.system_turns import describe_system_turns
from levertune.runs.varied_instructions import describe_varied
from levertune.runs.workspace import Workspace
from levertune.settings import unsettled_keys

_ENGLISH = "embedded-skills"
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class _View:
    """The rows of a cell, and how it shows them to the model."""

    train: tuple[Record, ...]
    test: tuple[Record, ...]
    arm: Arm
    choice: AnchorChoice | None
    tested: AnchorChoice | None
    seed: int

    @property
    def look(self) -> tuple[object, ...]:
        """Equal for views that show every row alike."""
        if self.choice is None:
            return ()
        anchor = self.choice.anchor
        return (self.choice.lifting, None if anchor is None else anchor.id)

    def show(self, record: Record) -> Example:
        """As it is trained on at first: an anchor shortened later is the longest then."""
        return form_example(record, self.arm, self.choice, list_forms(self.arm, self.choice)[0])


@dataclass(frozen=True, slots=True)
class Checked:
    """A recipe that a run would take.

    Args:
        inputs: The inputs.
        tokenizer: The model's tokenizer.
        report: What was found in the rows.
    """

    inputs: Inputs
    tokenizer: ChatTokenizer
    report: CheckReport
    _view: _View

    @property
    def anchor(self) -> Anchor | None:
        """The anchor of the training that is shown; None where no arm has one."""
        return None if self._view.choice is None else self._view.choice.anchor

    @property
    def train(self) -> tuple[Record, ...]:
        """Training rows of the first seed and fold, without test rows."""
        return self._view.train

    def show(self, record: Record) -> Example:
        """A task row as that training has it: anchored if an arm is."""
        return self._view.show(record)


def check_recipe(recipe: Recipe, *, progress: Progress | None = None) -> Checked:
    """Read and describe the rows of a recipe.

    Args:
        recipe: The recipe.
        progress: Where to show the progress of downloads.

    Returns:
        What was found.

    Raises:
        UserError: If a run of this recipe would be refused before it trains.
    """
    require_changeable(recipe)
    require_quantization(recipe, os.environ)
    require_backend(recipe)
    workspace = Workspace(recipe)
    tokenizer = workspace.tokenizer
    unwritten = check_self_sources(recipe, tokenizer, progress=progress)
    inputs, notes = keep_out_control_tokens(
        recipe, read_inputs(recipe, progress=progress), tokenizer.control_tokens
    )
    require_fair_anchor(recipe, inputs)
    recipe, moved = settle_placement(without_secrets(recipe), tokenizer)
    notes += [*moved, *describe_system_turns(inputs, tokenizer), *describe_test_anchor(recipe)]
    notes += describe_varied(recipe, inputs) + describe_other_wordings(recipe, inputs)
    require_same_recipe(Path(recipe.output_dir), recipe, unsettled=unsettled_keys(recipe))
    views = _list_views(recipe, inputs, tokenizer.count)
    looks = list({view.look: view for view in views}.values())
    dropped = {(row["source"], row["id"]) for row in inputs.dropped}

    def count_row(record: Record) -> int:
        if record.source == TASK_SOURCE:
            return max(len(tokenizer.tokenize(view.show(record)).input_ids) for view in looks)
        if (record.source, record.id) in dropped:  # it may hold a control token
            return 0
        return len(tokenizer.tokenize(plain_example(record)).input_ids)

    report = check_task(
        inputs.task,
        test=inputs.test_file,
        general=inputs.sources,
        count_tokens=lambda texts: _count_tokens(tokenizer, texts),
        count_row=count_row,
        max_length=recipe.training.max_length,
        leakage=inputs.leakage,
        duplicates=inputs.duplicates,
        conflicts=inputs.conflicts,
        instruction=inputs.instruction,
        english=_english_texts(inputs.sources),
        unseen=inputs.unseen_labels,
        rendered_tokens=_count_rendered(recipe, inputs, views, tokenizer),
    )
    _require_rows_that_fit(recipe, views, set(report.task.over_length), workspace)
    context_length = read_context_length(workspace.tokenizer_location.folder)
    for view in views:
        shown = [foreseen_example(record, view.arm, view.tested) for record in view.test]
        require_test_rows_fit(recipe, shown, tokenizer, context_length)
    _, pool = hold_out_general(inputs.general, recipe.evaluation.general_heldout)
    require_room(recipe, pool, count_tokens=workspace.count_record)
    notes += warn_of_large_groups(inputs.splits)
    notes += [note for file in inputs.sources for note in file.notes]
    notes += describe_shortfalls(recipe, pool, count_tokens=workspace.count_record)
    notes += unwritten
    report = replace(report, warnings=(*report.warnings, *notes))
    return Checked(inputs, tokenizer, report, _shown_view(views))


def _list_views(recipe: Recipe, inputs: Inputs, count: Callable[[str], int]) -> list[_View]:
    """The cells of a run in its order, without those that show the same rows alike."""
    by_look: dict[tuple[bool, bool], str] = {}
    for name in recipe.arms:
        arm = ARMS[name]
        known = by_look.get((arm.is_lifted, arm.is_anchored))
        if known is None or not ARMS[known].is_trained:  # that one has no cell for a second seed
            by_look[arm.is_lifted, arm.is_anchored] = name
    is_drawn = recipe.task.subset is not None and recipe.task.subset_seed == "seed"
    plans = expand_cells(
        tuple(by_look.values()),
        recipe.seeds if is_drawn else recipe.seeds[:1],
        len(inputs.splits) if inputs.test_mode == "cv" else None,
    )
    views = []
    for plan in plans:
        train = draw_training_rows(recipe, inputs, plan)
        choice = choose_arm_anchor(recipe, inputs, train, plan.arm, count_tokens=count)
        tested = choose_test_anchor(recipe, inputs, train, plan.arm, choice)
        test = split_of(inputs, plan).test
        views.append(_View(train, test, plan.arm, choice, tested, plan.seed))
    return views


def _shown_view(views: Sequence[_View]) -> _View:
    """The first training of the most telling arm: an anchored one, if there is any."""
    return max(views, key=lambda view: (view.arm.is_anchored, view.arm.is_lifted))


def _count_rendered(
    recipe: Recipe, inputs: Inputs, views: Sequence[_View], tokenizer: ChatTokenizer
) -> int:
    """Tokens of the task rows in chat form, as `Prepared.count_task_tokens` counts them."""
    trained = [view.train for view in views if view.arm.is_trained]
    is_drawn = recipe.task.subset is not None and trained
    counts = []
    for rows in trained if is_drawn else [inputs.task.records]:
        sample = rows_to_count(rows)
        tokens = sum(len(tokenizer.tokenize(plain_example(row)).input_ids) for row in sample)
        counts.append(tokens / len(sample) * len(rows))
    return round(sum(counts) / len(counts))


def _require_rows_that_fit(
    recipe: Recipe, views: Sequence[_View], over_length: set[str], workspace: Workspace
) -> None:
    """Refuse rows too long for training as building the cells of a run does."""
    for view in views:
        near = [view.show(record) for record in view.train if record.id in over_length]
        _, too_long = workspace.tokenize_within(near, recipe.training.max_length)
        require_rows_that_fit(
            recipe.task.path,
            too_long,
            len(view.train),
            max_length=recipe.training.max_length,
            allow_dropped=recipe.task.allow_dropped,
            num_by_anchor=count_pushed_over(
                [r for r in view.train if r.id in {row["id"] for row in too_long}],
                view.arm,
                view.choice,
                workspace,
                recipe.training.max_length,
            ),
        )
        if recipe.anchor.schedule == "refine" and view.arm.is_anchored:
            long = {row["id"] for row in too_long}
            kept = [record for record in view.train if record.id not in long]
            set_aside(recipe, kept, seed=view.seed)


def _count_tokens(tokenizer: ChatTokenizer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, on all cores; in batches, as encodings are large."""
    return [
        len(encoding)
        for start in range(0, len(texts), _BATCH)
        for encoding in tokenizer.tokenizer.encode_batch_fast(
            list(texts[start : start + _BATCH]), add_special_tokens=False
        )
    ]


def _english_texts(sources: Sequence[RecordFile]) -> list[str]:
    """Prompts of a shipped source in English."""
    files = [file for file in sources if file.path == _ENGLISH] or read_general(_ENGLISH)
    return [record.user_text for file in files for record in file.records]
