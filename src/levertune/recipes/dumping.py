"""A recipe as YAML text with comments, to be read back as an equal recipe."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from levertune.recipes.recipe import Recipe
from levertune.recipes.rules import field_at
from levertune.recipes.yaml_text import format_value

_WIDTH = 96
# A value levertune chose is a number or a name and holds no quote.
_DUMPED_LINE = re.compile(r"(  )?(\w+):[^'\"]*?(?:  # (.*))?$")


def dump_recipe(recipe: Recipe, reasons: Mapping[str, str]) -> str:
    """The recipe as YAML, reasons as comments.

    Args:
        recipe: The recipe, usually with every `auto` replaced.
        reasons: Why a value was chosen, by dotted key.

    Returns:
        Text that `load_recipe` reads back as an equal recipe.
    """
    return "\n".join(_lines(recipe.model_dump(), (), reasons, described=False)) + "\n"


def read_reasons(text: str) -> dict[str, str]:
    """The reasons in a text that `dump_recipe` wrote.

    Args:
        text: The recipe as YAML.

    Returns:
        Reasons by dotted key.
    """
    reasons = {}
    section = ""
    for line in text.splitlines():
        found = _DUMPED_LINE.match(line)
        if found is None:
            continue
        indent, name, reason = found.groups()
        if not indent:
            section = name
        if reason:
            reasons[f"{section}.{name}" if indent else name] = reason
    return reasons


def annotate_recipe(recipe: Recipe, notes: Mapping[str, str]) -> str:
    """The recipe as YAML with every key's description, for a person to edit.

    Args:
        recipe: The recipe.
        notes: What else to say at a value, by dotted key.
    """
    return "\n".join(_lines(recipe.model_dump(), (), notes, described=True)) + "\n"


def _lines(
    section: Mapping[str, Any], key: tuple[str, ...], notes: Mapping[str, str], *, described: bool
) -> list[str]:
    indent = "  " * len(key)
    lines: list[str] = []
    for name, value in section.items():
        inner = (*key, name)
        note = _comment(notes.get(".".join(inner), ""))
        if described:
            lines.extend(_description(inner, indent))
            lines.extend(_wrapped(f"Here: {note}." if note else "", indent))
        comment = f"  # {note}" if note and not described else ""
        if isinstance(value, dict):
            lines.append(f"{indent}{name}:{comment}")
            lines.extend(_lines(value, inner, notes, described=described))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{name}:{comment}")
            lines.extend(f"{indent}  - {format_value(_without_null(item))}" for item in value)
        else:
            lines.append(f"{indent}{name}: {format_value(value)}{comment}")
    return lines


def _description(key: tuple[str, ...], indent: str) -> list[str]:
    field = field_at(Recipe, key)
    text = field.description if field else None
    gap = [""] if len(key) == 1 and key != ("version",) else []
    return gap + _wrapped(text or "", indent)


def _wrapped(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, _WIDTH - len(indent))]


def _comment(text: str) -> str:
    """The text on one line, without characters YAML does not allow."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _without_null(item: Mapping[str, Any]) -> dict[str, Any]:
    """List items on one line leave out what is null, their default everywhere."""
    return {name: value for name, value in item.items() if value is not None}
