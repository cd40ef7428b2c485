"""The grid of a run (arm x seed x fold) and the exact training rows of each cell of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from levertune.anchors.anchor import plain_example
from levertune.anchors.auto import AnchorChoice
from levertune.data.checks import require_rows_that_fit
from levertune.data.records import TASK_SOURCE, Record
from levertune.data.splits import Split, draw_subset
from levertune.mixtures.dispersion import describe_dispersion
from levertune.mixtures.manifest import Manifest
from levertune.mixtures.order import build_mixture
from levertune.mixtures.plan import MixturePlan
from levertune.models.rendering import TokenizedExample
from levertune.recipes.recipe import Recipe
from levertune.results.cells import TokenCounts, cell_dir
from levertune.results.dispersion import Dispersion
from levertune.runs.answers import require_test_rows_fit
from levertune.runs.arm_rows import (
    choose_arm_anchor,
    choose_test_anchor,
    count_pushed_over,
    foreseen_example,
    form_example,
    list_forms,
    plan_forms,
)
from levertune.runs.arms import ARMS, Arm
from levertune.runs.cell_manifest import describe_cell
from levertune.runs.general_selection import GeneralChooser
from levertune.runs.inputs import Inputs
from levertune.runs.mixture_rows import MixtureRows
from levertune.runs.refine_rows import RefineRows, set_aside
from levertune.runs.workspace import Workspace
from levertune.selection.selection import Selection


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One cell of the grid.

    Args:
        arm: The arm.
        seed: Draws the subset, the general rows, the order and the adapter's start.
        fold: Fold of the cross-validation; None without one, and for all rows.
    """

    arm: Arm
    seed: int
    fold: int | None = None

    @property
    def folder(self) -> str:
        """The cell's folder below the run folder."""
        return cell_dir(self.arm.name, self.seed, fold=self.fold)

    @property
    def final_folder(self) -> str:
        """Where the arm and seed trained on all task rows go, below the run folder."""
        return f"final/{self.arm.name}/seed-{self.seed}"

    @property
    def label(self) -> str:
        """How progress and failures call it."""
        fold = "" if self.fold is None else f" fold {self.fold + 1}"
        return f"{self.arm.name} seed {self.seed}{fold}"


def expand_cells(
    arms: Sequence[str], seeds: Sequence[int], num_folds: int | None, *, quick: bool = False
) -> list[CellPlan]:
    """The cells of a run, in the order in which they are done.

    Seed by seed, so that a run stopped early holds whole comparisons.

    Args:
        arms: Names of the arms.
        seeds: Seeds.
        num_folds: Folds of the cross-validation, or None.
        quick: Whether to take the first seed and the first fold only.

    Returns:
        One plan a cell. `base` has no seed of its own: its one cell a fold stands for all.
    """
    if quick:
        seeds = seeds[:1]
    folds = [None] if num_folds is None else list(range(1 if quick else num_folds))
    return [
        CellPlan(ARMS[name], seed, fold)
        for seed in seeds
        for fold in folds
        for name in arms
        if ARMS[name].is_trained or seed == seeds[0]
    ]


@dataclass(frozen=True, slots=True)
class CellData:
    """Everything a cell trains on.

    Args:
        plan: The cell.
        records: Task rows in training, as the user wrote them.
        choice: The anchor, chosen on these rows; None for an arm that leaves rows verbatim.
        tested: The anchor on test rows; as `choice`, unless the recipe says otherwise.
        task: The task rows, tokenized as this arm sees them at first.
        general: General rows by source, tokenized.
        rows: The training order.
        manifest: What it all depends on.
        dispersion: Where the task rows fell.
        tokens: Tokens trained on, exposures counted.
        exposures: Exposures of each task row, on average.
        dropped: Rows left out.
        selections: How the general rows were drawn or chosen; empty without any.
        refine_rows: What challenges the anchor while training; None where nothing does.
    """

    plan: CellPlan
    records: tuple[Record, ...]
    choice: AnchorChoice | None
    tested: AnchorChoice | None
    task: tuple[TokenizedExample, ...]
    general: dict[str, list[TokenizedExample]]
    rows: MixtureRows
    manifest: Manifest
    dispersion: Dispersion
    tokens: TokenCounts
    exposures: float
    dropped: tuple[dict[str, str], ...]
    selections: tuple[Selection, ...] = ()
    refine_rows: RefineRows | None = None

    @property
    def num_general(self) -> int:
        """General rows in the mixture."""
        return sum(len(rows) for rows in self.general.values())

    @property
    def longest_row(self) -> int:
        """Tokens of the longest row."""
        general = (row for rows in self.general.values() for row in rows)
        return max(len(row.input_ids) for row in (*self.task, *general))


def split_of(inputs: Inputs, plan: CellPlan, *, all_rows: bool = False) -> Split:
    """The rows a cell trains and tests on.

    Args:
        inputs: The inputs.
        plan: The cell.
        all_rows: For the final adapter: train on every task row, test on none.
    """
    if all_rows:
        return Split(inputs.task.records, ())
    return inputs.splits[plan.fold or 0]


def draw_training_rows(
    recipe: Recipe, inputs: Inputs, plan: CellPlan, *, all_rows: bool = False
) -> tuple[Record, ...]:
    """The task rows a cell trains on, those too long among them.

    Args:
        recipe: The recipe; its `task.subset` is drawn.
        inputs: The inputs.
        plan: The cell.
        all_rows: For the final adapter: every task row.

    Raises:
        DataError: If the subset asks for more rows than there are.
    """
    train = split_of(inputs, plan, all_rows=all_rows).train
    task = recipe.task
    if task.subset is None or all_rows:
        return train
    seed = plan.seed if task.subset_seed == "seed" else task.subset_seed
    return draw_subset(train, task.subset, seed=seed)


def build_cell(
    recipe: Recipe,
    inputs: Inputs,
    chooser: GeneralChooser,
    workspace: Workspace,
    plan: CellPlan,
    *,
    all_rows: bool = False,
) -> CellData:
    """Draw, anchor, tokenize and order the rows of one cell.

    Args:
        recipe: The recipe, every `auto` resolved.
        inputs: The inputs.
        chooser: Draws or chooses the general rows.
        workspace: The tokenizer and the model's hashes.
        plan: The cell.
        all_rows: For the final adapter: train on every task row.

    Returns:
        The cell's data.

    Raises:
        DataError: If a task row is too long and that is not allowed, or too few are left; or the
            model cannot read a test row.
    """
    arm, seed = plan.arm, plan.seed
    train = draw_training_rows(recipe, inputs, plan, all_rows=all_rows)
    choice = choose_arm_anchor(recipe, inputs, train, arm, count_tokens=workspace.tokenizer.count)
    forms, kept, dropped = _task_rows(recipe, workspace, train, arm, choice)
    tested = choose_test_anchor(recipe, inputs, train, arm, choice)
    test = split_of(inputs, plan, all_rows=all_rows).test
    shown = [foreseen_example(record, arm, tested) for record in test]
    require_test_rows_fit(recipe, shown, workspace.tokenizer, workspace.context_length)
    refine_rows, num_aside = None, 0
    if recipe.anchor.schedule == "refine" and (arm.is_anchored or arm.matches_steps):
        trained, judging = set_aside(recipe, kept, seed=seed)
        num_aside = len(judging)
        if arm.is_anchored:
            split = split_of(inputs, plan, all_rows=all_rows)
            own_inputs = replace(inputs, test_mode="holdout", splits=(split,))
            refine_rows = RefineRows(judging, tuple(kept), own_inputs)
            forms, kept = _only(trained, forms), list(trained)
    task = forms[0]

    order_seed = (recipe.mixture.seed * 1_000_003 + seed) % 2**32
    exposures = int(recipe.task.exposures)
    chosen = chooser.choose(train, order_seed, num_rows=recipe.general.rows)
    general, general_dropped = _general_rows(recipe, workspace, chosen.records)
    num_general = sum(len(rows) for rows in general.values())
    num_positions = len(task) * exposures + num_general
    if arm.has_general:
        dropped += general_dropped
        mixture = build_mixture(
            MixturePlan(
                task_rows=len(task),
                exposures=exposures,
                general=tuple((name, len(rows)) for name, rows in general.items() if rows),
                order=recipe.mixture.order,
                seed=order_seed,
            )
        )
    else:
        general = {}
        if arm.matches_steps:
            num_positions -= num_aside * exposures  # those `tell` does not train on
            exposures = math.ceil(num_positions / len(task))
        else:
            num_positions = len(task) * exposures
        # Epochs, reshuffled each time: what plain fine-tuning does.
        mixture = build_mixture(MixturePlan(len(task), exposures, (), "even", order_seed))
    rows = MixtureRows(
        mixture,
        forms,
        general,
        num_positions=num_positions,
        forms=plan_forms(arm, choice, num_positions=num_positions, seed=order_seed),
    )
    return CellData(
        plan=plan,
        records=tuple(kept),
        choice=choice,
        tested=tested,
        task=tuple(task),
        general=general,
        rows=rows,
        manifest=describe_cell(
            recipe,
            workspace,
            arm,
            seed,
            kept,
            choice,
            forms,
            general,
            mixture,
            num_positions,
            refine_rows,
        ),
        dispersion=describe_dispersion(
            mixture,
            step_rows=recipe.training.effective_batch_size,
            loss_tokens={
                TASK_SOURCE: [row.num_supervised for row in task],
                **{name: [r.num_supervised for r in rs] for name, rs in general.items() if rs},
            },
            general_weight=recipe.general.loss_weight,
        ),
        tokens=rows.count_tokens(),
        exposures=(num_positions - sum(map(len, general.values()))) / len(task),
        dropped=tuple(dropped),
        selections=chosen.selections if arm.has_general else (),
        refine_rows=refine_rows,
    )


def _only(
    records: Sequence[Record], forms: Sequence[Sequence[TokenizedExample]]
) -> list[list[TokenizedExample]]:
    """The rows of some of the records, in each form."""
    ids = {record.id for record in records}
    return [[row for row in form if row.id in ids] for form in forms]


def _task_rows(
    recipe: Recipe,
    workspace: Workspace,
    train: Sequence[Record],
    arm: Arm,
    choice: AnchorChoice | None,
) -> tuple[list[list[TokenizedExample]], list[Record], list[dict[str, str]]]:
    """The rows in each form of the anchor; those kept fit in the first, which is the longest."""
    first, *later = list_forms(arm, choice)
    examples = [form_example(record, arm, choice, first) for record in train]
    rows, dropped = workspace.tokenize_within(examples, recipe.training.max_length)
    require_rows_that_fit(
        recipe.task.path,
        dropped,
        len(train),
        max_length=recipe.training.max_length,
        allow_dropped=recipe.task.allow_dropped,
        num_by_anchor=count_pushed_over(
            [r for r, row in zip(train, rows, strict=True) if row is None],
            arm,
            choice,
            workspace,
            recipe.training.max_length,
        ),
    )
    kept = [record for record, row in zip(train, rows, strict=True) if row is not None]
    tokenize = workspace.tokenizer.tokenize
    shorter = [[tokenize(form_example(r, arm, choice, form)) for r in kept] for form in later]
    return [[row for row in rows if row is not None], *shorter], kept, dropped


def _general_rows(
    recipe: Recipe, workspace: Workspace, records: Sequence[Record]
) -> tuple[dict[str, list[TokenizedExample]], list[dict[str, str]]]:
    """General rows by source; those that do not fit are listed and not replaced."""
    examples = [plain_example(record) for record in records]
    rows, dropped = workspace.tokenize_within(examples, recipe.training.max_length)
    by_source: dict[str, list[TokenizedExample]] = {}
    for row in rows:
        if row is not None:
            by_source.setdefault(row.source, []).append(row)
    return by_source, dropped
