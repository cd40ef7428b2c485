"""A recipe from a file, a mapping or a task file, with overrides from the command line."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from levertune.errors import RecipeError
from levertune.recipes.faults import dotted, recipe_error
from levertune.recipes.recipe import Recipe
from levertune.recipes.rules import Key, field_at, plain_types
from levertune.recipes.yaml_text import MAX_BYTES, parse_yaml


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file.

    Args:
        path: A YAML file.
        overrides: Changes to it, as `training.learning_rate=2e-4`.

    Raises:
        RecipeError: If the file cannot be read, or a key or value is wrong.
    """
    document = parse_yaml(_read_text(Path(path)), str(path))
    if not isinstance(document.value, dict):
        raise RecipeError(
            f"{path}: a recipe must be a mapping of keys; found "
            f"{type(document.value).__name__ if document.value is not None else 'nothing'}. Write "
            "one with: levertune init FILE"
        )
    mapping = apply_overrides(document.value, overrides)
    changed = {_split_override(override)[0] for override in overrides}
    lines: dict[Key, int | None] = {
        key: line
        for key, line in document.lines.items()
        if not any(key[: len(other)] == other for other in changed)
    }
    lines.update(dict.fromkeys(changed))
    return recipe_from_mapping(mapping, where=str(path), lines=lines)


def recipe_for_task(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The default recipe for a task file.

    Args:
        path: The task rows; not opened here.
        overrides: Changes to the defaults.

    Raises:
        RecipeError: If an override is wrong.
    """
    return recipe_from_mapping(apply_overrides({"task": {"path": str(path)}}, overrides))


def recipe_from_mapping(
    mapping: Mapping[str, Any], *, where: str = "", lines: Mapping[Key, int | None] | None = None
) -> Recipe:
    """Check a nested mapping and make a recipe of it.

    Args:
        mapping: Sections and keys as in the YAML file.
        where: Name of the file it comes from, for errors.
        lines: Line of each key in that file, None for a key changed by an override.

    Raises:
        RecipeError: If a key is unknown or missing, or a value wrong.
    """
    try:
        return Recipe.model_validate(dict(mapping))
    except ValidationError as error:
        raise recipe_error(error, Recipe, where, lines or {}) from None


def apply_overrides(mapping: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of a recipe's mapping with some values replaced.

    Args:
        mapping: Sections and keys as in the YAML file; left as it is.
        overrides: `a.b=value` each, the value a YAML 1.2 scalar or flow collection. Numbers in the
            key count list items from 0. For a key that takes text, a value of a type it does not
            take is kept as text, so that `task.prompt={message}` is no mapping.

    Raises:
        RecipeError: If one is no `key=value`, its value no YAML, or its key leads through a value
            that is no section.
    """
    result: dict[str, Any] = copy.deepcopy(dict(mapping))
    for override in overrides:
        key, text = _split_override(override)
        _set(result, key, _override_value(key, text, override))
    return result


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise RecipeError(f"{path}: is a folder, not a recipe file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(
            f"{path}: there is no such file. Write a recipe with: levertune init FILE"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecipeError(f"{path}: cannot be read: {reason}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) <= MAX_BYTES:
            raise RecipeError(
                f"{path}: is not UTF-8 text; found byte {data[error.start]:#04x} at position "
                f"{error.start}. Save it as UTF-8."
            ) from None
        text = data.decode("utf-8-sig", errors="ignore")  # cut within a character; refused below
    if "\0" in text:
        raise RecipeError(f"{path}: is not a text file; found a NUL byte. Name a YAML file.")
    return text


def _split_override(override: str) -> tuple[Key, str]:
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(
            f"{override!r}: is no override. Write key=value, as training.learning_rate=2e-4."
        )
    return tuple(
        int(part) if part.isascii() and part.isdigit() and i else part
        for i, part in enumerate(parts)
    ), text


def _override_value(key: Key, text: str, override: str) -> Any:
    field = field_at(Recipe, key)
    accepted = plain_types(field.annotation) if field else set()
    takes_text = str in accepted
    try:
        value = parse_yaml(text, f"override {override!r}").value
    except RecipeError:
        if takes_text:
            return text
        raise
    if value is None or isinstance(value, str) or not takes_text:
        return value
    return value if _is_accepted(value, accepted) else text


def _is_accepted(value: object, accepted: set[type]) -> bool:
    if isinstance(value, list):
        return tuple in accepted
    return type(value) in accepted or (isinstance(value, int) and float in accepted)


def _set(mapping: dict[str, Any], key: Key, value: Any) -> None:
    """Put a value into nested mappings and lists, making the sections that are missing."""
    target: Any = mapping
    for i, part in enumerate(key):
        is_last = i == len(key) - 1
        if isinstance(target, list):
            if not isinstance(part, int) or part >= len(target):
                raise RecipeError(
                    f"{dotted(key)}: {dotted(key[:i])} is a list of {len(target)} items, counted "
                    f"from 0; found {part!r}."
                )
        elif isinstance(target, dict):
            part = str(part)
            if not is_last and target.get(part) is None:
                target[part] = {}
        else:
            raise RecipeError(
                f"{dotted(key)}: {dotted(key[:i])} is no section; found {target!r}. Set "
                f"{dotted(key[:i])} itself."
            )
        if is_last:
            target[part] = value
        else:
            target = target[part]
