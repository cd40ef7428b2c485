"""The grid of a run (arm x seed x fold) and the exact training rows of each cell of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.anchor import Example, plain_example
from levertune.anchors.auto import AnchorChoice
from levertune.anchors.lift import lift_instruction
from levertune.data.records import TASK_SOURCE, Record
from levertune.data.splits import Split, draw_subset
from levertune.errors import DataError
from levertune.mixtures.dispersion import describe_dispersion
from levertune.mixtures.manifest import Manifest, hash_records
from levertune.mixtures.order import Mixture, build_mixture
from levertune.mixtures.plan import MixturePlan
from levertune.models.rendering import TokenizedExample
from levertune.recipes.recipe import Recipe
from levertune.results.cells import TokenCounts, cell_dir
from levertune.results.dispersion import Dispersion
from levertune.runs.arms import ARMS, Arm
from levertune.runs.general_selection import GeneralChooser
from levertune.runs.inputs import Inputs, choose_fold_anchor
from levertune.runs.mixture_rows import MixtureRows
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
        task: The task rows, tokenized as this arm sees them.
        general: General rows by source, tokenized.
        rows: The training order.
        manifest: What it all depends on.
        dispersion: Where the task rows fell.
        tokens: Tokens trained on, exposures counted.
        exposures: Exposures of each task row, on average.
        dropped: Rows left out.
        selections: How the general rows were chosen; empty for a draw.
    """

    plan: CellPlan
    records: tuple[Record, ...]
    choice: AnchorChoice | None
    task: tuple[TokenizedExample, ...]
    general: dict[str, list[TokenizedExample]]
    rows: MixtureRows
    manifest: Manifest
    dispersion: Dispersion
    tokens: TokenCounts
    exposures: float
    dropped: tuple[dict[str, str], ...]
    selections: tuple[Selection, ...] = ()

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


def arm_example(record: Record, arm: Arm, choice: AnchorChoice | None) -> Example:
    """A task row as an arm shows it to the model."""
    if choice is None or not arm.is_lifted:
        return plain_example(record)
    lifted = choice.lift_from([record]).records[0]
    if arm.is_anchored and choice.anchor is not None:
        return choice.anchor.apply(lifted)
    return plain_example(lifted)


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
        DataError: If a task row is too long and that is not allowed, or none is left.
    """
    arm, seed = plan.arm, plan.seed
    train = split_of(inputs, plan, all_rows=all_rows).train
    if recipe.task.subset is not None and not all_rows:
        subset_seed = recipe.task.subset_seed
        train = draw_subset(
            train, recipe.task.subset, seed=seed if subset_seed == "seed" else subset_seed
        )
    choice = _choose(recipe, inputs, train, arm)
    task, kept, dropped = _task_rows(recipe, workspace, train, arm, choice)
    unanchored: list[TokenizedExample] = []
    if arm.is_anchored and choice is not None and choice.anchor and choice.anchor.dropout:
        lifted = choice.lift_from(kept).records
        unanchored = [workspace.tokenizer.tokenize(plain_example(r)) for r in lifted]

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
            exposures = math.ceil(num_positions / len(task))
        else:
            num_positions = len(task) * exposures
        # Epochs, reshuffled each time: what plain fine-tuning does.
        mixture = build_mixture(MixturePlan(len(task), exposures, (), "even", order_seed))
    rows = MixtureRows(
        mixture,
        task,
        general,
        unanchored=unanchored,
        num_positions=num_positions,
        dropout=choice.anchor.dropout if choice and choice.anchor and arm.is_anchored else 0.0,
        seed=order_seed,
    )
    return CellData(
        plan=plan,
        records=tuple(kept),
        choice=choice,
        task=tuple(task),
        general=general,
        rows=rows,
        manifest=_manifest(recipe, workspace, plan, kept, choice, general, mixture, num_positions),
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
    )


def _choose(
    recipe: Recipe, inputs: Inputs, train: Sequence[Record], arm: Arm
) -> AnchorChoice | None:
    """The anchor; for an arm without one, what is to be taken off its rows."""
    if not arm.is_lifted:
        return None
    if arm.is_anchored:
        return choose_fold_anchor(recipe, train, inputs.kind)
    lifted = lift_instruction(train)  # whatever anchor the recipe names
    reason = f"{arm.name} has no anchor"
    return AnchorChoice(None, lifted.records, lifted.instruction, reason, lifted.separator)


def _task_rows(
    recipe: Recipe,
    workspace: Workspace,
    train: Sequence[Record],
    arm: Arm,
    choice: AnchorChoice | None,
) -> tuple[list[TokenizedExample], list[Record], list[dict[str, str]]]:
    examples = [arm_example(record, arm, choice) for record in train]
    rows, dropped = workspace.tokenize_within(examples, recipe.training.max_length)
    if dropped and len(dropped) == len(train):
        raise DataError(
            f"{recipe.task.path}: all {len(train)} task rows are longer than training.max_length; "
            f"found max_length {recipe.training.max_length}. Raise it or shorten the rows."
        )
    if dropped and not recipe.task.allow_dropped:
        raise DataError(
            f"{recipe.task.path}: {len(dropped)} of {len(train)} task rows are longer than "
            f"training.max_length={recipe.training.max_length}; found row {dropped[0]['id']!r} "
            f"with {dropped[0]['reason']}. Raise it, or leave them out with "
            "task.allow_dropped=true."
        )
    kept = [record for record, row in zip(train, rows, strict=True) if row is not None]
    return [row for row in rows if row is not None], kept, dropped


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


def _manifest(
    recipe: Recipe,
    workspace: Workspace,
    plan: CellPlan,
    records: Sequence[Record],
    choice: AnchorChoice | None,
    general: dict[str, list[TokenizedExample]],
    mixture: Mixture,
    num_positions: int,
) -> Manifest:
    import hashlib

    anchor = choice.anchor if choice is not None and plan.arm.is_anchored else None
    training = recipe.training.model_dump(
        exclude={"save_steps", "report_to", "logging_steps", "gradient_checkpointing"}
    )
    return Manifest(
        task_hash=hash_records(records),
        general_hashes={
            name: hashlib.sha256(repr([r.input_ids for r in rows]).encode()).hexdigest()
            for name, rows in general.items()
        },
        anchor=None if anchor is None else {"id": anchor.id, "dropout": anchor.dropout},
        model_hash=workspace.model_hash,
        tokenizer_hash=workspace.tokenizer_hash,
        plan=mixture.plan,
        mixture_hash=mixture.content_hash,
        seeds={"seed": plan.seed, "mixture": recipe.mixture.seed},
        training={
            **training,
            "arm": plan.arm.name,
            "positions": num_positions,
            "general_loss_weight": recipe.general.loss_weight,
            "dtype": workspace.hardware.dtype_name,
        },
    )
