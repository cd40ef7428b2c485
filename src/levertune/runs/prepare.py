"""From a recipe to a run ready to start: inputs read, settings resolved, cells expanded."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levertune.anchors.anchor import plain_example
from levertune.data.records import Record
from levertune.errors import RunError
from levertune.models.model_files import open_weights
from levertune.progress import Progress
from levertune.recipes.dumping import dump_recipe, read_reasons
from levertune.recipes.loading import load_recipe
from levertune.recipes.recipe import Recipe
from levertune.recipes.url_secrets import without_secrets
from levertune.results.files import write_text_atomically
from levertune.results.inputs import AutoSetting
from levertune.results.tuning import Tuning, read_tuning
from levertune.runs.anchor_rules import (
    describe_test_anchor,
    fetch_private_pools,
    require_changeable,
    require_fair_anchor,
    settle_placement,
)
from levertune.runs.cells import CellData, CellPlan, build_cell, expand_cells
from levertune.runs.control_tokens import keep_out_control_tokens
from levertune.runs.general_amounts import describe_shortfalls, drawable, require_room
from levertune.runs.general_draw import hold_out_general
from levertune.runs.general_selection import GeneralChooser
from levertune.runs.inputs import Inputs, read_inputs
from levertune.runs.other_wordings import describe_other_wordings
from levertune.runs.probes import Probes, choose_probes
from levertune.runs.quantization import require_quantization
from levertune.runs.same_recipe import RECIPE_FILE, keep_choices, require_same_recipe
from levertune.runs.self_sources import write_self_sources
from levertune.runs.system_turns import describe_system_turns
from levertune.runs.tuned import describe_choices, find_tuning, tuned_settings, with_settings
from levertune.runs.varied_instructions import describe_varied
from levertune.runs.workspace import Workspace
from levertune.settings import TEST_FOLDS, TEST_SHARE, Facts, resolve_settings
from levertune.training.processes import refuse_several_processes


@dataclass(frozen=True, slots=True)
class Retuned:
    """What a tuning is about to choose.

    Args:
        keys: The recipe keys.
        arms: The arms it chooses for.
    """

    keys: tuple[str, ...]
    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run ready to start.

    Args:
        recipe: The recipe, every `auto` resolved that can be before training.
        settings: What was resolved, with reasons.
        inputs: The inputs.
        chooser: Draws or chooses the general rows of each cell.
        probes: Rows that show what is forgotten.
        workspace: The model side.
        run_dir: The run folder.
        plans: The cells.
        row_tokens: Tokens of each task row by its id, as the user wrote it.
        warnings: What a reader should know.
        tuning: What `levertune tune` chose for this run, or None.
        is_quick: Whether this is a first look: one seed and one fold.
    """

    recipe: Recipe
    settings: tuple[AutoSetting, ...]
    inputs: Inputs
    chooser: GeneralChooser
    probes: Probes
    workspace: Workspace
    run_dir: Path
    plans: tuple[CellPlan, ...]
    row_tokens: dict[str, int]
    warnings: tuple[str, ...]
    tuning: Tuning | None = None
    is_quick: bool = False

    @property
    def num_test_rows(self) -> int:
        """Test rows of all cells of one arm and seed."""
        splits = self.inputs.splits
        return sum(len(splits[fold or 0].test) for fold in {plan.fold for plan in self.plans})

    def count_task_tokens(self, cells: Sequence[CellData]) -> int:
        """Tokens of the task rows a user brings, each counted once.

        With `task.subset` each seed draws other rows of the file: then the mean of the cells.
        """
        trained = [cell for cell in cells if cell.plan.arm.is_trained]
        if self.recipe.task.subset is None or not trained:
            return sum(self.row_tokens.values())
        drawn = [sum(self.row_tokens[r.id] for r in cell.records) for cell in trained]
        return round(sum(drawn) / len(drawn))

    def build(self, plan: CellPlan, *, all_rows: bool = False) -> CellData:
        """The rows of one cell."""
        return build_cell(
            self.recipe_for(plan),
            self.inputs,
            self.chooser,
            self.workspace,
            plan,
            all_rows=all_rows,
        )

    def recipe_for(self, plan: CellPlan) -> Recipe:
        """The recipe of one cell: what was tuned is chosen for each arm and fold apart."""
        if self.tuning is None:
            return self.recipe
        return with_settings(self.recipe, tuned_settings(self.tuning, plan.arm, plan.fold))


def prepare_run(
    recipe: Recipe,
    *,
    quick: bool = False,
    progress: Progress | None = None,
    dry_run: bool = False,
    retuned: Retuned | None = None,
) -> Prepared:
    """Read, check and resolve; nothing is written but what is fetched into the cache.

    Args:
        recipe: The recipe.
        quick: Whether to take the first seed and fold only.
        progress: Where to show the progress of what is fetched and of choosing general rows.
        dry_run: Whether cells are built for a look only: what needs the model to be chosen is drawn
            in its place.
        retuned: What is to be tuned anew, so that an earlier choice of it does not count.

    Raises:
        UserError: If the recipe, its data or the model cannot be used, the run folder holds another
            recipe's run, or this is one of several processes.
    """
    refuse_several_processes(os.environ)
    require_changeable(recipe)
    require_quantization(recipe, os.environ)
    run_dir = Path(recipe.output_dir)
    recipe = keep_choices(run_dir, recipe, apart=_keys_of_tunings(run_dir, retuned))
    workspace = Workspace(recipe)
    written = write_self_sources(recipe, workspace, progress=progress)
    inputs = read_inputs(recipe, written=written, progress=progress)
    inputs, dropped = keep_out_control_tokens(recipe, inputs, workspace.tokenizer.control_tokens)
    require_fair_anchor(recipe, inputs)
    if recipe.anchor.schedule == "refine" or (retuned and "anchor.text" in retuned.keys):
        fetch_private_pools(recipe)
    recipe, moved = settle_placement(without_secrets(recipe), workspace.tokenizer)
    heldout, pool = hold_out_general(inputs.general, recipe.evaluation.general_heldout)
    resolved, settings, row_tokens = _resolve(recipe, inputs, pool, workspace)
    moved += describe_system_turns(inputs, workspace.tokenizer)
    probes, too_long = choose_probes(
        heldout,
        inputs.retention,
        context_length=workspace.context_length,
        count_tokens=lambda row: len(workspace.tokenizer.tokenize(plain_example(row)).input_ids),
    )
    warnings = [*inputs.warnings, *dropped, *moved, *too_long, *describe_test_anchor(recipe)]
    warnings += describe_varied(recipe, inputs) + describe_other_wordings(recipe, inputs)
    require_room(resolved, pool, count_tokens=workspace.count_record)
    warnings += describe_shortfalls(resolved, pool, count_tokens=workspace.count_record)
    tuning, notes = find_tuning(run_dir, recipe, resolved, inputs, workspace.model_hash)
    warnings += notes if retuned is None else []  # they tell how a run takes an earlier choice
    if tuning is not None and retuned is not None:
        tuning = tuning.without(retuned.keys, retuned.arms)
    if tuning is not None:
        tuned = {setting.key: setting for setting in describe_choices(tuning)}
        resolved = with_settings(resolved, {s.key: s.value for s in tuned.values()})
        settings = [tuned.pop(s.key, s) for s in settings] + list(tuned.values())
    if retuned is None:
        require_same_recipe(run_dir, resolved)
    return Prepared(
        recipe=resolved,
        settings=_with_earlier(run_dir, resolved, settings),
        inputs=inputs,
        chooser=GeneralChooser(
            resolved, pool, workspace, run_dir, progress=progress, dry_run=dry_run
        ),
        probes=probes,
        workspace=workspace,
        run_dir=run_dir,
        plans=tuple(
            expand_cells(
                resolved.arms,
                resolved.seeds,
                len(inputs.splits) if inputs.test_mode == "cv" else None,
                quick=quick,
            )
        ),
        row_tokens=row_tokens,
        warnings=tuple(warnings),
        tuning=tuning,
        is_quick=quick,
    )


def _keys_of_tunings(run_dir: Path, retuned: Retuned | None) -> set[str]:
    """What a tuning of this folder chose, or is about to."""
    earlier = read_tuning(run_dir)
    return {*(earlier.keys if earlier else ()), *(retuned.keys if retuned else ())}


def write_recipe(prepared: Prepared) -> None:
    """Write the resolved recipe into the run folder, each `auto` with its reason."""
    reasons = {setting.key: setting.reason for setting in prepared.settings}
    write_text_atomically(prepared.run_dir / RECIPE_FILE, dump_recipe(prepared.recipe, reasons))


def _resolve(
    recipe: Recipe, inputs: Inputs, pool: dict[str, list[Record]], workspace: Workspace
) -> tuple[Recipe, list[AutoSetting], dict[str, int]]:
    tokenizer = workspace.tokenizer
    rows = [tokenizer.tokenize(plain_example(record)) for record in inputs.task.records]
    # In a cross-validation these are all rows: each is trained on in some fold.
    trained = {record.id for split in inputs.splits for record in split.train}
    hardware = workspace.hardware
    general = drawable(recipe, pool, count_tokens=workspace.count_record)
    facts = Facts(
        task_rows=recipe.task.subset or len(inputs.task.records),
        general_available=general.most,
        general_fixed=general.fewest,
        is_quantized=workspace.quantization is not None,
        model_parameters=_count_parameters(workspace),
        device=hardware.device,
        memory_bytes=workspace.memory_bytes,
        longest_completion=max(row.num_supervised for row in rows if row.id in trained),
        has_native_bfloat16=hardware.dtype_name == "bfloat16",
    )
    found = [
        AutoSetting("task.metric", inputs.metrics.primary, inputs.metrics.reason),
        _describe_test(recipe, inputs),
    ]
    resolved, settings = resolve_settings(recipe, facts, found)
    return resolved, settings, {row.id: len(row.input_ids) for row in rows}


def _describe_test(recipe: Recipe, inputs: Inputs) -> AutoSetting:
    """What `task.test: auto` came to when the rows were read.

    A subset changes nothing of it: the rows are split first, and then the training rows are drawn.
    """
    key = "task.test"
    if inputs.test_file is not None:
        return AutoSetting(key, f"{recipe.task.path}@test", "the test rows shipped with the task")
    value = TEST_FOLDS if inputs.test_mode == "cv" else TEST_SHARE
    return AutoSetting(key, value, f"for {len(inputs.task.records)} task rows")


def _count_parameters(workspace: Workspace) -> int:
    """Parameters by the weight files' headers; nothing is loaded. Tied weights count once."""
    from math import prod

    total = 0
    for path in workspace.location.folder.glob("*.safetensors"):
        with open_weights(path) as file:
            names = list(file.keys())  # the handle is no mapping
            total += sum(prod(file.get_slice(name).get_shape()) for name in names)
    return total


def _with_earlier(
    run_dir: Path, recipe: Recipe, settings: Sequence[AutoSetting]
) -> tuple[AutoSetting, ...]:
    """The settings, with those an earlier call chose: a run folder's recipe has no `auto` left."""
    path = run_dir / RECIPE_FILE
    if not path.is_file():
        return tuple(settings)
    values, earlier = recipe.model_dump(), load_recipe(path).model_dump()
    found = {setting.key: setting for setting in settings}
    for key, reason in read_reasons(path.read_text("utf-8")).items():
        value = _value_at(values, key)
        if key not in found and value == _value_at(earlier, key):
            found[key] = AutoSetting(key, value, reason)
    return tuple(found.values())


def _value_at(values: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None  # type: ignore[assignment]
    return values


def choose_plans(plans: Sequence[CellPlan], arm: str | None, seed: int | None) -> list[CellPlan]:
    """The cells a stage was asked for.

    Raises:
        RunError: If the arm or seed is not of this run.
    """
    names = dict.fromkeys(plan.arm.name for plan in plans)
    if arm is not None and arm not in names:
        near = difflib.get_close_matches(arm, list(names), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RunError(f"--arm {arm}: is not of this run; found {list(names)}.{hint}")
    seeds = sorted({plan.seed for plan in plans})
    if seed is not None and seed not in seeds:
        raise RunError(f"--seed {seed}: is not of this run; found {seeds}. Add it to `seeds`.")
    return [
        plan
        for plan in plans
        if (arm is None or plan.arm.name == arm) and (seed is None or plan.seed == seed)
    ]
