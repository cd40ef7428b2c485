"""The files of an export: YAML as PyYAML reads it, and Parquet with its types written down.

Parquet and not JSON Lines wherever a trainer takes it: the JSON reader of `datasets` turns a column
whose every text is a date into timestamps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.errors import DataError
from levertune.results.files import write_text_atomically

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 4096
_BREAKS = "\x85\u2028\u2029"

COLUMN_TYPES = {
    "position": "int64",
    "source": "string",
    "id": "string",
    "exposure": "int64",
    "anchored": "bool",
    "lead_in": "string",
}
"""Arrow types of the columns that are no prompt or completion."""


def write_yaml(path: Path, values: Mapping[str, Any], heading: str) -> None:
    """Write a configuration that every YAML 1.1 reader gives back as it is.

    Args:
        path: The file.
        values: Its keys; a value of None is left out.
        heading: Comment at its top, one line or several.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
    """
    import yaml

    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    kept = {key: value for key, value in values.items() if value is not None}
    # Line breaks of Unicode are folded away unless they are escaped, as then all of it is.
    content = json.dumps(kept, ensure_ascii=False, default=str)
    has_breaks = any(mark in content for mark in _BREAKS)
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=not has_breaks, width=10_000)
    write_text_atomically(path, comment + text)


def turn_type(**more: pa.DataType) -> pa.DataType:
    """The Arrow type of a list of turns, each with `role`, `content` and what else is named."""
    import pyarrow as pa

    fields = {"role": pa.string(), "content": pa.string(), **more}
    return pa.list_(pa.struct(list(fields.items())))


def write_parquet(
    path: Path, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, pa.DataType | str]
) -> None:
    """Write rows as one Parquet file, some thousand at a time.

    Args:
        path: The file.
        rows: The rows, in order.
        columns: Arrow type of each column, or its name.

    Raises:
        DataError: If a text holds half a surrogate pair, which Parquet cannot.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        name: pa.type_for_alias(kind) if isinstance(kind, str) else kind
        for name, kind in columns.items()
    }
    schema = pa.schema(list(types.items()))
    left, start = iter(rows), 0
    with pq.ParquetWriter(path, schema) as writer:
        while some := [dict(row) for row in islice(left, _ROWS_AT_ONCE)]:
            try:
                writer.write_table(pa.Table.from_pylist(some, schema=schema))
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{path.name}, rows {start} to {start + len(some) - 1}: a text holds half a "
                    f"surrogate pair, which Parquet cannot; found {error.object[error.start]!r}. "
                    "Mend the row, or export with --to jsonl."
                ) from error
            start += len(some)
