"""Rows of text files: JSON Lines, JSON, CSV and TSV, each with the line it stands on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from levertune.errors import DataError

NumberedRow = tuple[int, dict[str, Any]]

# A quoted field may hold a whole document; the csv module's own limit is 128 KiB.
_MAX_FIELD_CHARS = 1 << 26
# Columns that hold lists: a cell of a text table spells them as JSON.
_JSON_COLUMNS = frozenset({"messages", "conversations", "references"})
# In a table whose header names no comma, the first of these that it holds separates the columns.
_OTHER_DELIMITERS = (";", "\t", "|")


class _BadValue(ValueError):
    """A JSON value that the parser accepts and this project does not."""


def parse_jsonl(text: str, path: str) -> Iterator[NumberedRow]:
    """The objects of a JSON Lines file; blank lines are passed over.

    Args:
        text: The file's text.
        path: The file's name for error messages.

    Yields:
        Line number and row.

    Raises:
        DataError: If a line is not JSON or not an object.
    """
    # Only a line feed ends a line: JSON strings may hold other Unicode line separators.
    start, number, is_first = 0, 0, True
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end]
        start, number = end + 1, number + 1
        if line and not line.isspace():
            where = f"{path}, line {number}"
            try:
                row = _as_row(_load_json(line, where, is_one_line=True), where)
            except DataError:
                if is_first and (fault := _other_json(text, path)):
                    raise DataError(fault) from None
                raise
            is_first = False
            yield number, row


def parse_json(text: str, path: str) -> Iterator[NumberedRow]:
    """The objects of a JSON file: an array of objects, or `{"data": [...]}`.

    Args:
        text: The file's text.
        path: The file's name for error messages.

    Yields:
        Row number, counted from 1, and row.

    Raises:
        DataError: If the file is not JSON, or not an array of objects.
    """
    if not text.strip():
        return
    value = _load_json(text, path, is_one_line=False)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list):
        found, advice = json_type(value), "For one object a line, end the name in .jsonl."
        members = value.items() if isinstance(value, dict) else ()
        if arrays := [name for name, member in members if isinstance(member, list)]:
            found = f"{'such an array' if len(arrays) == 1 else 'arrays'} as {_listed(arrays)}"
            advice = "Save the array you mean alone, or call it 'data'."
        raise DataError(
            f"{path}: must hold an array of objects, or an object with such an array as 'data'; "
            f"found {found}. {advice}"
        )
    for number, row in enumerate(value, start=1):
        yield number, _as_row(row, f"{path}, row {number}")


def parse_csv(text: str, path: str, *, is_tsv: bool = False) -> Iterator[NumberedRow]:
    """The rows of a CSV or TSV file with a header row; fields may be quoted and span lines.

    A header without a comma but with semicolons means semicolons separate the columns, as
    spreadsheets write in many countries; likewise tabs, and then pipes. Unnamed columns at the
    right edge are passed over where all their cells are blank.

    Args:
        text: The file's text.
        path: The file's name for error messages.
        is_tsv: Whether tabs separate the columns.

    Yields:
        Number of the line where the row starts, and row.

    Raises:
        DataError: If the quoting is broken, a column name repeats or a row is ragged.
    """
    delimiter = "\t" if is_tsv else _find_delimiter(text.split("\n", 1)[0])
    previous_limit = csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        num_columns = 0
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(
                    f"{path}, line {line}: broken quoting; found {str(error)!r}. "
                    "Put a field with quotes, separators or line breaks into double quotes, and "
                    "write a quote inside it twice."
                ) from None
            if not cells:
                continue
            if header is None:
                num_columns = len(cells)
                header = check_header(_without_blank_edge(cells), path)
                continue
            if len(cells) != num_columns:
                raise DataError(
                    f"{path}, line {line}: must have {num_columns} columns as the header has; "
                    f"found {len(cells)}. Put a field that holds {delimiter!r} into double quotes."
                )
            for number, cell in enumerate(cells[len(header) :], start=len(header) + 1):
                if cell.strip():
                    raise DataError(
                        f"{path}, line {line}: column {number} has no name in the header; found "
                        f"{cell[:40]!r} in it. Name the column or empty it."
                    )
            row = dict(zip(header, cells, strict=False))
            yield line, decode_json_cells(row, path, line)
    finally:
        csv.field_size_limit(previous_limit)


def check_header(cells: list[str], path: str) -> list[str]:
    """Column names of a table, trimmed.

    Args:
        cells: The header row.
        path: The file's name for error messages.

    Returns:
        The names; an unnamed index column keeps the name `""`.

    Raises:
        DataError: If a name stands there twice.
    """
    names = [cell.strip() for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{path}, line 1: column name {name!r} stands there twice; found {names}. "
                "Give each column its own name in the first row."
            )
    return names


def decode_json_cells(row: dict[str, Any], path: str, line: int) -> dict[str, Any]:
    """The row of a text table with its list columns (`messages`, `references`, …) decoded.

    Args:
        row: Column names and cells.
        path: The file's name for error messages.
        line: The row's line.

    Returns:
        The row; an empty list cell is left out.

    Raises:
        DataError: If such a cell is not JSON.
    """
    for name in _JSON_COLUMNS.intersection(row):
        cell = row[name]
        if isinstance(cell, str):
            if cell.strip():
                where = f"{path}, line {line}, field {name!r}"
                row[name] = _load_json(cell, where, is_one_line=False)
            else:
                del row[name]
    return row


def json_type(value: object) -> str:
    """What a user would call the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "binary data"
    return f"a {type(value).__name__}"


def _find_delimiter(header: str) -> str:
    if "," in header:
        return ","
    return next((mark for mark in _OTHER_DELIMITERS if mark in header), ",")


def _without_blank_edge(cells: list[str]) -> list[str]:
    """The header without unnamed columns at its right edge; one alone may be an index."""
    width = len(cells)
    while width and not cells[width - 1].strip():
        width -= 1
    return cells[:width] if 0 < width < len(cells) - 1 else cells


def _other_json(text: str, path: str) -> str | None:
    """What a file called .jsonl holds whose first line is no object; None where it is broken."""
    start = len(text) - len(text.lstrip())
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    rest = text[end:].strip()
    if isinstance(value, list) and value and isinstance(value[0], dict) and not rest:
        stem = path.rpartition(".")[0]
        return f"{path}: holds one JSON array, not an object a line. Name the file {stem}.json."
    is_spread = isinstance(value, dict) and "\n" in text[start:end]
    if is_spread and (not rest or rest.startswith(("{", ","))):
        return (
            f"{path}: holds pretty-printed JSON; found an object over several lines. Write each "
            "object on a line of its own, or put them into an array and name the file .json."
        )
    return None


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8]))


def _refuse_constant(name: str) -> None:
    raise _BadValue(f"{name} is not JSON")


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _BadValue(f"the name {repeated!r} stands twice in one object")
    return row


# Built once: json.loads with hooks builds a decoder for each call.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique_object, parse_constant=_refuse_constant)


def _load_json(text: str, where: str, *, is_one_line: bool) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}"
        if not is_one_line:
            place = f"line {error.lineno}, {place}"
        raise DataError(
            f"{where}: not valid JSON; found {error.msg!r} at {place}. Mend or remove it."
        ) from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply to read. Flatten it.") from None
    except ValueError as error:
        # Our own refusals, and integers of more digits than Python converts.
        raise DataError(
            f"{where}: not valid JSON; found {str(error).split(';')[0]!r}. Mend it."
        ) from None


def _as_row(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: must be a JSON object; found {json_type(value)}. "
            'Write each row as {"prompt": "...", "completion": "..."}.'
        )
    return value
