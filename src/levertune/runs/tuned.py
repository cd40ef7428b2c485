"""Settings `levertune tune` chose, put in the place of `auto`, for each arm and fold its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.recipes.loading import recipe_from_mapping
from levertune.recipes.recipe import Recipe
from levertune.results.inputs import AutoSetting
from levertune.results.tuning import (
    TUNING_FILE,
    Candidate,
    TunedChoice,
    Tuning,
    Value,
    describe_settings,
    read_tuning,
)
from levertune.runs.arms import Arm
from levertune.runs.inputs import Inputs
from levertune.runs.same_recipe import FREE_TRAINING

# Neither rows nor trainings depend on these.
_APART = ("arms", "seeds", "output_dir", "evaluation")
# Settings the plain arms do not have.
_LEVERAGED_ALONE = ("general.rows", "anchor.text", "anchor.shared")
# Keys that came later: unset they change nothing, and choices made before them still count.
_LATER_TASK = ("prompt_language", "answer_language")
_LEAST_RECIPE = {"version": 1, "task": {"path": "rows.jsonl"}}


def with_settings(recipe: Recipe, settings: Mapping[str, Value | None]) -> Recipe:
    """The recipe with some settings changed.

    Args:
        recipe: The recipe.
        settings: Values by key, as `general.rows`.

    Raises:
        RecipeError: If a value is out of range.
    """
    if not settings:
        return recipe
    values = recipe.model_dump()
    for key, value in settings.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    return recipe_from_mapping(values)


def value_of(recipe: Recipe, key: str) -> Any:
    """The recipe's value of a key such as `general.rows`."""
    section, _, name = key.partition(".")
    return getattr(getattr(recipe, section), name)


def _default_of(key: str) -> Any:
    """What a recipe has where the user wrote nothing: `auto`, for most of what can be tuned."""
    return value_of(recipe_from_mapping(_LEAST_RECIPE), key)


def fingerprint_tuning(recipe: Recipe, inputs: Inputs, model_hash: str, keys: Sequence[str]) -> str:
    """Hash of everything a choice of `keys` was made for.

    Args:
        recipe: The recipe, resolved.
        inputs: The rows.
        model_hash: Fingerprint of the base model.
        keys: The keys tuned, which do not count.
    """
    values = recipe.model_dump(mode="json", exclude=set(_APART))
    for name in FREE_TRAINING:
        del values["training"][name]
    for key in keys:
        section, _, name = key.partition(".")
        del values[section][name]
    for name in _LATER_TASK:
        if values["task"][name] is None:
            del values["task"][name]
    if values["model"]["quantization"] is None:  # a later key too
        del values["model"]["quantization"]
    content = [
        values,
        inputs.task.sha256,
        [file.sha256 for file in inputs.general],
        model_hash,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def require_same_tuning(run_dir: Path, before: Tuning | None) -> None:
    """Refuse to go on with choices that another process has changed in the meantime.

    Args:
        run_dir: The run folder, which is locked by now.
        before: What `read_tuning` found in it when this began.

    Raises:
        RunError: If there is another tuning in it now, or its file is broken.
    """
    if read_tuning(run_dir) != before:
        raise RunError(
            f"{run_dir}: was tuned by another process while this one got ready. Run the same "
            "command again: it takes what was chosen."
        )


def find_tuning(
    run_dir: Path, asked: Recipe, resolved: Recipe, inputs: Inputs, model_hash: str
) -> tuple[Tuning | None, list[str]]:
    """The tuning of a run folder, if it was made for this recipe and leaves it as the user set it.

    Args:
        run_dir: The run folder.
        asked: The recipe as the user gave it, with its `auto`s.
        resolved: The same, every `auto` replaced by the table's value.
        inputs: The rows.
        model_hash: Fingerprint of the base model.

    Returns:
        The tuning or None, and what the user should know.

    Raises:
        RunError: If the file is broken.
    """
    tuning = read_tuning(run_dir)
    if tuning is None:
        return None, []
    if by_hand := keys_by_hand(asked, tuning):
        return None, [f"{TUNING_FILE} is not used: {', '.join(by_hand)} is set by hand."]
    if fingerprint_tuning(resolved, inputs, model_hash, tuning.keys) != tuning.fingerprint:
        return None, [
            f"{TUNING_FILE} is not used: it was made for other rows, another model or other "
            "settings. Type `levertune tune` again, or remove it."
        ]
    return tuning, [*_warn_of_baselines(tuning), *_collapses(tuning)]


def keys_by_hand(asked: Recipe, tuning: Tuning) -> list[str]:
    """The tuned keys that a recipe sets to something else, so that a run does not take the choice.

    Args:
        asked: The recipe as the user gave it, with its `auto`s.
        tuning: What was tuned.
    """
    return [
        key
        for key in tuning.keys
        if value_of(asked, key) not in (_default_of(key), _base_value(tuning, key))
    ]


def warn_of_keys_by_hand(asked: Recipe, keys: Sequence[str]) -> list[str]:
    """Say of keys that are about to be tuned which the recipe keeps from being taken.

    Args:
        asked: The recipe as the user gave it, with its `auto`s.
        keys: The keys.
    """
    return [
        f"{key} is set by hand, and `levertune run` will keep that value. Set it to {default}, so "
        "that it takes what is found here."
        for key in keys
        if value_of(asked, key) != (default := _default_of(key))
    ]


def tuned_settings(tuning: Tuning, arm: Arm, fold: int | None) -> dict[str, Value]:
    """What was chosen for an arm, on the training rows of a fold.

    The baselines have choices of their own, made on `sft`; `sft-steps` takes as many steps as
    `tell`, so the amounts that make these are those of `tell`. What was tuned for `tell` alone they
    take from it: of the same fold, as the choice on all rows has seen the rows of every fold.

    Args:
        tuning: The tuning.
        arm: The arm.
        fold: Fold of the cross-validation; None for all training rows.
    """
    leveraged, plain = _settings(tuning, "tell", fold), _settings(tuning, "sft", fold)
    if arm.has_general:
        return leveraged
    of_tell = (*_LEVERAGED_ALONE, *(("task.exposures",) if arm.matches_steps else ()))
    return {**leveraged, **{key: value for key, value in plain.items() if key not in of_tell}}


def warn_of_collapse(choice: TunedChoice) -> str | None:
    """Say from which amount of general data on the task rows were hardly learnt; None if at none.

    Args:
        choice: What was tuned for one arm on one set of training rows.
    """
    collapsed = [candidate for candidate in choice.candidates if candidate.has_collapsed]
    if not collapsed:
        return None
    first = min(collapsed, key=lambda candidate: candidate.general_per_task_row)
    where = "all training rows" if choice.fold is None else f"fold {choice.fold + 1}"
    share = first.task_loss_share
    loss = f", {share:.1%} of the loss the task's" if share is not None else ""
    chosen = " The one chosen is among these." if choice.candidates[0].has_collapsed else ""
    return (
        f"{choice.arm}, {where}: from {first.general_per_task_row:.1f} general rows a task row on "
        f"({describe_settings(first.settings)}{loss}) the task rows are hardly learnt: "
        f"general data drown them.{chosen}"
    )


def _collapses(tuning: Tuning) -> list[str]:
    """One warning an arm, that of all training rows if they have one."""
    found: dict[str, str] = {}
    for choice in tuning.choices:
        warning = warn_of_collapse(choice)
        if warning is not None and (choice.fold is None or choice.arm not in found):
            found[choice.arm] = warning
    return list(found.values())


def describe_choices(tuning: Tuning) -> list[AutoSetting]:
    """The values chosen for `tell` on all training rows, with the reason of each."""
    choice = tuning.choice_for("tell", None)
    if choice is None:
        return []
    reason = _reason(choice)
    if any(other.fold is not None for other in tuning.choices):
        reason += "; each fold has its own"
    return [AutoSetting(key, value, reason) for key, value in choice.settings.items()]


def _reason(choice: TunedChoice) -> str:
    best, *others = choice.candidates
    words = f"levertune tune: {best.nll:.3f} nats a token" if best.nll is not None else "tuned"
    if not others or others[0].difference is None:
        return words
    # A page without the rows' words shows this sentence.
    has_words = any(isinstance(value, str) for value in others[0].settings.values())
    other = "the next best" if has_words else describe_settings(others[0].settings)
    return f"{words}, {other} {_signed(others[0])}"


def _signed(candidate: Candidate) -> str:
    error = f" (se {candidate.difference_se:.3f})" if candidate.difference_se is not None else ""
    return f"{candidate.difference:+.3f}{error}"


def _settings(tuning: Tuning, arm: str, fold: int | None) -> dict[str, Value]:
    choice = tuning.choice_for(arm, fold)
    return dict(choice.settings) if choice is not None else {}


def _base_value(tuning: Tuning, key: str) -> Value | None:
    return _settings(tuning, "tell", None).get(key)


def _warn_of_baselines(tuning: Tuning) -> list[str]:
    """A comparison with baselines that were not tuned as well is not a fair one."""
    shared = [key for key in tuning.keys if key not in _LEVERAGED_ALONE]
    lacking = [
        key
        for key in shared
        if (key in _settings(tuning, "tell", None)) != (key in _settings(tuning, "sft", None))
    ]
    if not lacking:
        return []
    what = ",".join(key.rpartition(".")[2] for key in lacking)
    return [
        f"{', '.join(lacking)} was tuned for one of tell and sft alone, so their comparison is not "
        f"fair. Tune both: levertune tune --what {what} --arm tell,sft."
    ]
