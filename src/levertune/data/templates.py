"""Prompt and completion templates: plain `{field}` substitution from a row, no code."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from levertune.data.text_files import json_type
from levertune.errors import DataError

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Template:
    """Text with fields, as `Premise: {premise}`.

    Args:
        key: What the user calls the setting, as `task.prompt`, for error messages.
        text: The template as the user wrote it.
        pieces: Literal texts and field names in turn, a literal first.
    """

    key: str
    text: str
    pieces: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order of appearance."""
        return self.pieces[1::2]

    def check_columns(self, columns: Mapping[str, Any], where: str) -> None:
        """Refuse a row that lacks a field of this template.

        Args:
            columns: The row, or anything with its column names.
            where: The row, for the error message.

        Raises:
            DataError: If a field is no column.
        """
        for field in self.fields:
            if field not in columns:
                near = difflib.get_close_matches(field, list(columns), n=1, cutoff=0.5)
                hint = f"Did you mean {{{near[0]}}}?" if near else "Name one of these fields."
                raise DataError(
                    f"{where}: {self.key} names the field {field!r}; found "
                    f"{sorted(columns)}. {hint} (A brace as text is written twice.)"
                )

    def fill(self, row: Mapping[str, Any], where: str) -> str:
        """The template with the row's values; values are never expanded again.

        Args:
            row: The row.
            where: The row, for error messages.

        Returns:
            The text. Numbers, true and false appear as in JSON.

        Raises:
            DataError: If a field is missing, null, a list, an object, or a float that is no finite
                number (what tables have in an empty cell of numbers is NaN).
        """
        self.check_columns(row, where)
        parts = list(self.pieces)
        for index in range(1, len(parts), 2):
            value = row[parts[index]]
            if isinstance(value, str):
                parts[index] = value
            elif isinstance(value, float) and not math.isfinite(value):
                raise DataError(
                    f"{where}: field {parts[index]!r}, which {self.key} names, must be text or a "
                    f"finite number; found {value}. Change the row, or leave it out."
                )
            elif isinstance(value, (bool, int, float)):
                parts[index] = json.dumps(value)
            else:
                raise DataError(
                    f"{where}: field {parts[index]!r}, which {self.key} names, must be text or a "
                    f"number; found {json_type(value)}. Change the row or the template."
                )
        return "".join(parts)


def parse_template(text: str, *, key: str) -> Template:
    """Read a template.

    Args:
        text: Text with `{field}`; `{{` and `}}` stand for braces.
        key: What the user calls the setting, for error messages.

    Returns:
        The template.

    Raises:
        DataError: If a brace is unmatched, a field has no name, or there is no field.
    """
    pieces = [""]
    position = 0
    for match in _PIECE.finditer(text):
        pieces[-1] += text[position : match.start()]
        position = match.end()
        token = match.group()
        if token in ("{{", "}}"):
            pieces[-1] += token[0]
        elif match.group(1):
            pieces += [match.group(1), ""]
        else:
            raise DataError(
                f"{key}: the template has {token!r} without a field name at character "
                f"{match.start() + 1}; found {text!r}. Write {{field}}, and a brace as text twice."
            )
    pieces[-1] += text[position:]
    if len(pieces) == 1:
        raise DataError(
            f"{key}: the template names no field, so every row would be the same; found "
            f"{text!r}. Name a column in braces, as '{{{text.strip() or 'column'}}}'."
        )
    return Template(key, text, tuple(pieces))
