"""What `auto` means: one function of the task's size, the model and the hardware.

What each constant rests on stands in LOG.md 2026-11-22: "constants of `auto` that need no
training", and "learning rate and exposures of `auto`, tried on one task" for 20 and 50 rows and a
small model. General rows at 48 rows: 2026-11-23, "how many general rows, three seeds". Exposures
from 200 rows on, general rows from more than 48 and the rates of larger models are start values,
not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from levertune.recipes.loading import recipe_from_mapping
from levertune.recipes.recipe import Recipe
from levertune.recipes.values import EMBEDDED_TASK
from levertune.results.inputs import AutoSetting

CROSS_VALIDATION_BELOW = 200
"""Task rows from which a hold-out is used: 10 test rows say nothing, 40 and more something."""

TEST_FOLDS = "cv:5"
TEST_SHARE = 0.2

EXPOSURES = ((20, 32), (50, 24), (200, 12), (1000, 5), (5000, 3))
"""Exposures by task rows. Between two rows the logarithm is interpolated on the logarithm."""

GENERAL_PER_TASK_ROW = ((48, 6.25), (1000, 2.0))
"""General rows for one task row, by task rows; interpolated on the logarithm of the rows."""

GENERAL_ROWS_ON_CPU = 4000
GENERAL_ROWS_ROUNDED_TO = 10

LEARNING_RATES = ((300e6, 5e-4), (3e9, 2e-4), (math.inf, 1e-4))
"""Learning rate of LoRA by the number of the model's parameters, each up to its bound."""

NEW_TOKENS_FACTOR = 1.5
NEW_TOKENS_MARGIN = 8
NEW_TOKENS_UNKNOWN = 128

EVALUATION_BATCH = 64

BYTES_PER_PARAMETER = 2
LARGE_MODEL_SHARE = 1 / 3
"""A model that fills more than this share of the memory is trained and evaluated sparingly."""

CHECKPOINTS_PER_TRAINING = 4
FEWEST_STEPS_BETWEEN_CHECKPOINTS = 20

TABLE_ROWS = (20, 50, 200, 1000, 5000)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the automatic settings depend on.

    Args:
        task_rows: Rows the user brings, before test rows are set aside: folds and the final
            adapter get the same settings.
        general_available: General rows there are, with all limits of the sources applied.
        model_parameters: Parameters of the base model.
        device: `cpu`, `cuda` or `mps`.
        memory_bytes: Memory of that device.
        longest_completion: Tokens of the longest training completion, None if not counted.
        has_native_bfloat16: Whether the device multiplies bfloat16 natively.
        general_fixed: General rows that sources give by amounts of their own, whatever the setting.
        is_quantized: Whether the weights are kept in fewer bits than 16.
    """

    task_rows: int
    general_available: int
    model_parameters: int
    device: str
    memory_bytes: int
    longest_completion: int | None = None
    has_native_bfloat16: bool = False
    general_fixed: int = 0
    is_quantized: bool = False

    @property
    def is_large_model(self) -> bool:
        """Whether the weights alone take a large share of the memory.

        Quantised ones count as if they were not: what is computed from them is as large, and who
        asks for them is short of memory.
        """
        weights = self.model_parameters * BYTES_PER_PARAMETER
        return weights > LARGE_MODEL_SHARE * self.memory_bytes


def resolve_settings(
    recipe: Recipe, facts: Facts, found: Sequence[AutoSetting] = ()
) -> tuple[Recipe, list[AutoSetting]]:
    """Replace the recipe's `auto`s.

    `task.metric` and `anchor.text` depend on what the rows say; they stay `auto` unless `found`
    holds them.

    Args:
        recipe: The recipe.
        facts: Sizes and hardware.
        found: Values other parts worked out; used where the recipe says `auto`, and in preference
            to the ones from here.

    Returns:
        The recipe without these `auto`s, and what was replaced, in the recipe's order.

    Raises:
        RecipeError: If a value in `found` is out of range.
    """
    values = recipe.model_dump()
    proposed = {setting.key: setting for setting in _computed(recipe, facts)}
    proposed.update({setting.key: setting for setting in found})
    settings = []
    for key in _auto_keys(values):
        if key in proposed:
            _put(values, key, proposed[key].value)
            settings.append(proposed[key])
    return recipe_from_mapping(values), settings


def unsettled_keys(recipe: Recipe) -> frozenset[str]:
    """The keys of a recipe that are `auto` and that a run replaces before it trains."""
    # The anchor's text is chosen fold by fold and stays `auto`.
    return frozenset(_auto_keys(recipe.model_dump())) - {"anchor.text"}


def choose_exposures(task_rows: int) -> int:
    """How many times each task row is trained on."""
    logs = [(rows, math.log(exposures)) for rows, exposures in EXPOSURES]
    return round(math.exp(_interpolate(logs, task_rows)))


def choose_general_rows(task_rows: int, available: int, device: str) -> tuple[int, str]:
    """How many general rows are mixed in, and why."""
    per_row = _interpolate(GENERAL_PER_TASK_ROW, task_rows)
    wanted = max(1, round(per_row * task_rows / GENERAL_ROWS_ROUNDED_TO)) * GENERAL_ROWS_ROUNDED_TO
    reason = f"about {per_row:.3g} for each of {task_rows} task rows"
    if device == "cpu" and wanted > GENERAL_ROWS_ON_CPU:
        wanted, reason = GENERAL_ROWS_ON_CPU, f"{reason}, at most {GENERAL_ROWS_ON_CPU} on a CPU"
    if wanted > available:
        wanted, reason = available, f"all there are; {reason} would be {wanted}"
    return wanted, reason


def choose_learning_rate(model_parameters: int) -> float:
    """The learning rate of LoRA for a model's size."""
    return next(rate for bound, rate in LEARNING_RATES if model_parameters < bound)


def _computed(recipe: Recipe, facts: Facts) -> list[AutoSetting]:
    """Every setting this module knows, whether the recipe asks for it or not."""
    rows = f"{facts.task_rows} task rows"
    million = facts.model_parameters / 1e6
    exposures = recipe.task.exposures
    if exposures == "auto":
        exposures = choose_exposures(facts.task_rows)
    general, general_reason = _general_rows(recipe, facts)
    positions = facts.task_rows * exposures + (general or 0)
    steps = math.ceil(positions / recipe.training.effective_batch_size)
    return [
        _test(recipe, facts),
        AutoSetting("task.exposures", exposures, f"for {rows}"),
        AutoSetting("general.rows", general, general_reason),
        AutoSetting(
            "model.dtype",
            "bfloat16" if facts.has_native_bfloat16 else "float32",
            f"{facts.device} {'multiplies' if facts.has_native_bfloat16 else 'lacks'} bfloat16",
        ),
        AutoSetting(
            "training.learning_rate",
            choose_learning_rate(facts.model_parameters),
            f"for a model of {million:.0f}M parameters",
        ),
        AutoSetting(
            "training.save_steps",
            max(FEWEST_STEPS_BETWEEN_CHECKPOINTS, math.ceil(steps / CHECKPOINTS_PER_TRAINING)),
            f"about {CHECKPOINTS_PER_TRAINING} checkpoints in {steps} steps"
            + (", general rows apart" if general is None else ""),
        ),
        AutoSetting("training.gradient_checkpointing", facts.is_large_model, _memory_reason(facts)),
        _max_new_tokens(facts.longest_completion),
        _evaluation_batch(facts),
    ]


def _test(recipe: Recipe, facts: Facts) -> AutoSetting:
    path = recipe.task.path
    if path.startswith(EMBEDDED_TASK) and "@" not in path:
        return AutoSetting("task.test", f"{path}@test", "the test rows shipped with the task")
    is_small = facts.task_rows < CROSS_VALIDATION_BELOW
    value = TEST_FOLDS if is_small else TEST_SHARE
    return AutoSetting("task.test", value, f"for {facts.task_rows} task rows")


def _general_rows(recipe: Recipe, facts: Facts) -> tuple[int | None, str]:
    if recipe.general.tokens is not None:
        return None, "general.tokens decides"
    if not recipe.general.sources:
        return 0, "there are no general sources"
    wanted, reason = choose_general_rows(facts.task_rows, facts.general_available, facts.device)
    if wanted < facts.general_fixed:
        return (
            facts.general_fixed,
            f"asked for by the sources themselves; {reason} would be {wanted}",
        )
    return wanted, reason


def _max_new_tokens(longest: int | None) -> AutoSetting:
    key = "evaluation.max_new_tokens"
    if longest is None:
        return AutoSetting(key, NEW_TOKENS_UNKNOWN, "completions were not counted")
    value = math.ceil(NEW_TOKENS_FACTOR * longest) + NEW_TOKENS_MARGIN
    return AutoSetting(key, value, f"the longest training completion has {longest} tokens")


def _evaluation_batch(facts: Facts) -> AutoSetting:
    size = EVALUATION_BATCH // 4 if facts.is_large_model else EVALUATION_BATCH
    return AutoSetting("evaluation.batch_size", size, _memory_reason(facts))


def _memory_reason(facts: Facts) -> str:
    weights = facts.model_parameters * BYTES_PER_PARAMETER / 2**30
    form = " (before they are quantised)" if facts.is_quantized else ""
    return f"weights of {weights:.1f} GiB{form} in {facts.memory_bytes / 2**30:.0f} GiB of memory"


def _interpolate(points: Sequence[tuple[float, float]], rows: int) -> float:
    """Piecewise linear in log(rows), constant outside the points."""
    if rows <= points[0][0]:
        return points[0][1]
    for (low, first), (high, second) in zip(points, points[1:], strict=False):
        if rows <= high:
            share = math.log(rows / low) / math.log(high / low)
            return first + share * (second - first)
    return points[-1][1]


def _auto_keys(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, value in values.items():
        if isinstance(value, dict):
            keys.extend(_auto_keys(value, f"{prefix}{name}."))
        elif value == "auto":
            keys.append(prefix + name)
    return keys


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    section, name = key.split(".")
    values[section][name] = value


def settings_table() -> str:
    """The table of docs/reference/settings.md, in Markdown: sizes, model and hardware."""
    recipe = recipe_from_mapping({"task": {"path": "task.jsonl"}})
    facts = Facts(
        task_rows=0,
        general_available=10**9,
        model_parameters=135_000_000,
        device="cpu",
        memory_bytes=16 * 2**30,
        longest_completion=20,
        has_native_bfloat16=True,
    )
    columns = []
    for rows in TABLE_ROWS:
        _, settings = resolve_settings(recipe, replace(facts, task_rows=rows))
        columns.append({setting.key: setting.value for setting in settings})
    lines = [
        "| task rows | " + " | ".join(f"{rows:,}" for rows in TABLE_ROWS) + " |",
        "| --- |" + " ---: |" * len(TABLE_ROWS),
    ]
    for key in columns[0]:
        cells = " | ".join(_cell(column[key]) for column in columns)
        lines.append(f"| `{key}` | {cells} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
