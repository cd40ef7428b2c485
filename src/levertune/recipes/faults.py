"""pydantic's findings on a recipe, told as one `RecipeError` line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from levertune.errors import RecipeError
from levertune.recipes.hints import not_a_section, short, unknown_key
from levertune.recipes.rules import Key, field_at, models_in, rule_of

# A misspelt key explains a missing one, so it is told first.
_ORDER = ("extra_forbidden", "missing", "model_type")


def dotted(key: Key) -> str:
    """The key as the user writes it: `general.sources.0.weight`."""
    return ".".join(str(part) for part in key)


def recipe_error(
    error: ValidationError, root: type[BaseModel], where: str, lines: Mapping[Key, int | None]
) -> RecipeError:
    """The most telling of pydantic's findings, on one line.

    Args:
        error: What pydantic raised for a recipe.
        root: The recipe's model.
        where: Name of the file, or `""`.
        lines: Line of each key that stands in the file, None for one from the command line.
    """
    findings = error.errors(include_url=False)
    findings.sort(key=lambda f: _ORDER.index(f["type"]) if f["type"] in _ORDER else len(_ORDER))
    key, message = _explain(findings[0], root)
    place = _place(key, where, lines)
    return RecipeError(f"{place}{dotted(key)}: {message}" if key else f"{place}{message}")


def _explain(finding: Any, root: type[BaseModel]) -> tuple[Key, str]:
    """The key a finding is about, and what to say of it."""
    key: Key = finding["loc"]
    if finding["type"] == "extra_forbidden":
        return key, unknown_key(root, key[:-1], str(key[-1]))
    if finding["type"] == "missing":
        if key[0] == "task":
            return ("task", "path"), "is missing. Name the file with the task rows."
        return key, "is missing."
    key = _known_part(key, root)
    value = finding["input"]
    if finding["type"] == "model_type":
        return key, not_a_section(key, value) if key else (
            f"a recipe must be a mapping of keys; found {short(value)}."
        )
    field = field_at(root, key)
    is_section = not key or (field is not None and any(models_in(field.annotation)))
    if is_section and finding["type"] == "value_error":
        name, colon, message = str(finding["ctx"]["error"]).partition(": ")
        return ((*key, *name.split(".")), message) if colon else (key, f"{name}.")
    if field is None:
        return key, f"{finding['msg']}; found {short(value)}."
    rule = "a list of sections" if is_section else rule_of(field)
    return key, f"must be {rule}; found {short(value)}."


def _known_part(loc: Key, root: type[BaseModel]) -> Key:
    """The location without the names pydantic gives to the options of a union."""
    key: Key = ()
    for part in loc:
        if isinstance(part, str) and field_at(root, (*key, part)) is None:
            break
        key = (*key, part)
    return key


def _place(key: Key, where: str, lines: Mapping[Key, int | None]) -> str:
    """File and line of the key, as far as it stands in the file."""
    if not where:
        return ""
    for end in range(len(key), 0, -1):
        if key[:end] in lines:
            line = lines[key[:end]]
            return f"{where}, line {line}: " if line is not None else ""
    return f"{where}: "
