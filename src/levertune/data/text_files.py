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
_SIGNATURES = (
    (b"PK\x03\x04", "a zip or xlsx file"),
    (b"PAR1", "a parquet file"),
    (b"ARROW1", "an arrow file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"%PDF", "a PDF file"),
)
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _BadValue(ValueError):
    """A JSON value that the parser accepts and this project does not."""


def decode_text(data: bytes, path: str, encoding: str | None) -> str:
    """Decode a text file, by default as UTF-8 with or without a byte order mark.

    Args:
        data: The file's bytes.
        path: The file's name for error messages.
        encoding: A codec's name, or None for UTF-8.

    Returns:
        The text.

    Raises:
        DataError: If the bytes are binary or not in this encoding, or the encoding is unknown.
    """
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            raise DataError(
                f"{path}: is no text file; it looks like {name}. "
                "Give the file the ending of its format."
            )
    if encoding is None and data.startswith(_UTF_16_MARKS):
        raise DataError(
            f"{path}: is not UTF-8; it opens like UTF-16. Pass encoding=utf-16 or save as UTF-8."
        )
    if encoding is None and (position := data.find(b"\0")) >= 0:
        raise DataError(
            f"{path}, line {_line_at(data, position)}: holds a NUL byte, so this is a binary "
            f"file; found it at byte {position}. Give a text file, or name its encoding with "
            "encoding=."
        )
    try:
        text = data.decode(encoding or "utf-8-sig")
    except LookupError:
        raise DataError(
            f"{path}: no text encoding has the name {encoding!r}. "
            "Use one Python knows, as encoding=cp1252."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {_line_at(data, error.start)}: is not {encoding or 'UTF-8'} text; found "
            f"byte 0x{data[error.start]:02x} at byte {error.start}. "
            "Save the file as UTF-8, or name its encoding, as encoding=cp1252."
        ) from None
    if encoding is not None and (position := text.find("\0")) >= 0:
        raise DataError(
            f"{path}, line {text.count(chr(10), 0, position) + 1}: holds a NUL character when "
            f"read as {encoding}. Name the right encoding with encoding=."
        )
    return text.removeprefix("\ufeff")


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
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end]
        start, number = end + 1, number + 1
        if line and not line.isspace():
            where = f"{path}, line {number}"
            yield number, _as_row(_load_json(line, where, is_one_line=True), where)


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
        raise DataError(
            f"{path}: must hold an array of objects, or an object with such an array as 'data'; "
            f"found {json_type(value)}. For one object a line, end the name in .jsonl."
        )
    for number, row in enumerate(value, start=1):
        yield number, _as_row(row, f"{path}, row {number}")


def parse_csv(text: str, path: str, *, is_tsv: bool = False) -> Iterator[NumberedRow]:
    """The rows of a CSV or TSV file with a header row; fields may be quoted and span lines.

    A header without a comma but with semicolons means semicolons separate the columns, as
    spreadsheets write in many countries.

    Args:
        text: The file's text.
        path: The file's name for error messages.
        is_tsv: Whether tabs separate the columns.

    Yields:
        Number of the line where the row starts, and row.

    Raises:
        DataError: If the quoting is broken, a column name repeats or a row is ragged.
    """
    header_line = text.split("\n", 1)[0]
    delimiter = ","
    if is_tsv:
        delimiter = "\t"
    elif "," not in header_line and ";" in header_line:
        delimiter = ";"
    previous_limit = csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
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
                header = check_header(cells, path)
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {line}: must have {len(header)} columns as the header has; "
                    f"found {len(cells)}. Put a field that holds {delimiter!r} into double quotes."
                )
            yield line, decode_json_cells(dict(zip(header, cells, strict=True)), path, line)
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
    return f"a {type(value).__name__}"


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


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
