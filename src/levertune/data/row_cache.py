"""Large files' rows, decoded once: kept in a local Arrow file and read back memory-mapped."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from levertune.data.cache_folder import cache_folder, is_sealed, seal, sha256_of
from levertune.data.home_folder import expand_home
from levertune.data.readers import FILE_FORMATS, read_records
from levertune.data.reading_keys import ReadingKeys
from levertune.data.records import Message, Record, RecordFile
from levertune.errors import RunError

ROW_CACHE_BYTES = 32 << 20
"""Files of at least so many bytes are kept decoded; smaller ones are parsed in about a second."""

READER_VERSION = 2
"""Raise when a reader makes other records of the same bytes: what is kept is then read again."""

_BATCH_ROWS = 10_000
_HEAD = b"levertune"


def read_through_cache(
    path: str,
    *,
    source: str,
    prompt: str | None = None,
    completion: str | None = None,
    encoding: str | None = None,
    require_completion: bool = True,
    shown: str | None = None,
    keys: ReadingKeys | None = None,
) -> RecordFile:
    """As `read_records` for general data, but a large file is parsed once only.

    What is kept is found by the hash of the file's bytes, the settings it was read with and the
    reader's version, all of which stand in the kept file too and are compared; and it counts only
    while it has the hash that was written beside it.

    Args:
        path: A file, as for `read_records`.
        source: Source the records get.
        prompt: Template of the prompt, or None.
        completion: Template of the completion, or None.
        encoding: Codec of a text file, or None.
        require_completion: False to read prompts only.
        shown: What the file is called in errors and results, or None.
        keys: What the user calls prompt, completion and encoding; None where they have no names.

    Returns:
        The records in file order.

    Raises:
        DataError: As `read_records`.
    """
    settings: dict[str, Any] = {
        "prompt": prompt,
        "completion": completion,
        "encoding": encoding,
        "require_completion": require_completion,
    }
    place = expand_home(path)
    head = None
    if place.is_file() and place.stat().st_size >= ROW_CACHE_BYTES:
        head = _head_of(place, settings)
        kept = _read_kept(_kept_path(head), head, source, shown or path)
        if kept is not None:
            return kept
    file = read_records(
        path, source=source, allow_text=True, shown=shown, keys=keys or ReadingKeys(), **settings
    )
    if head is not None and file.sha256 == head["sha256"]:
        _keep(_kept_path(head), file, head)
    return file


def _head_of(place: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What the kept file must say it was made of."""
    return {
        "reader": READER_VERSION,
        "sha256": sha256_of(place),
        "format": FILE_FORMATS.get(place.suffix.lower()),
        **settings,
    }


def _kept_path(head: dict[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(head, sort_keys=True).encode("utf-8")).hexdigest()[:32]
    return cache_folder() / "rows" / f"{key}.arrow"


def _keep(path: Path, file: RecordFile, head: dict[str, Any]) -> None:
    """Write the rows for the next time; where that fails, the next time parses again."""
    import pyarrow

    texts = pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema(
        {
            "id": pyarrow.string(),
            "line": pyarrow.int64(),
            "roles": texts,
            "contents": texts,
            "completion": pyarrow.string(),
            "references": texts,
            "stratum": pyarrow.string(),
        }
    ).with_metadata(
        {
            _HEAD: json.dumps(
                {
                    **head,
                    "rows": len(file.records),
                    "schema": file.schema,
                    "unused_columns": file.unused_columns,
                }
            )
        }
    )
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            pyarrow.OSFile(str(temporary), "wb") as sink,
            pyarrow.ipc.new_file(sink, schema) as writer,
        ):
            for start in range(0, len(file.records), _BATCH_ROWS):
                columns = _columns(file.records[start : start + _BATCH_ROWS])
                writer.write_batch(pyarrow.RecordBatch.from_pydict(columns, schema))
        temporary.replace(path)
        seal(path)
    except (OSError, RunError, pyarrow.ArrowException):  # a full disk, say
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _columns(records: Sequence[Record]) -> dict[str, list[Any]]:
    return {
        "id": [record.id for record in records],
        "line": [record.line for record in records],
        "roles": [[turn.role for turn in record.prompt] for record in records],
        "contents": [[turn.content for turn in record.prompt] for record in records],
        "completion": [record.completion for record in records],
        "references": [list(record.references) for record in records],
        "stratum": [record.stratum for record in records],
    }


def _read_kept(path: Path, head: dict[str, Any], source: str, shown: str) -> RecordFile | None:
    """The rows kept, or None if there are none that were made of exactly this."""
    import pyarrow

    if not is_sealed(path):
        return None
    try:
        with pyarrow.memory_map(str(path)) as mapped:
            reader = pyarrow.ipc.open_file(mapped)
            found = json.loads((reader.schema.metadata or {}).get(_HEAD, b"null"))
            if not isinstance(found, dict) or {name: found.get(name) for name in head} != head:
                return None
            records = tuple(_rebuild(reader, source))
            if len(records) != found["rows"]:
                return None
            return RecordFile(
                records,
                shown,
                found["format"],
                found["schema"],
                found["sha256"],
                tuple(found["unused_columns"]),
            )
    except (OSError, ValueError, KeyError, pyarrow.ArrowException):  # damaged: parsed again
        return None


def _rebuild(reader: Any, source: str) -> Iterator[Record]:
    for number in range(reader.num_record_batches):
        columns = [column.to_pylist() for column in reader.get_batch(number).columns]
        for row_id, line, roles, contents, completion, references, stratum in zip(
            *columns, strict=True
        ):
            prompt = tuple(map(Message, roles, contents))
            yield Record(row_id, source, prompt, completion, tuple(references), stratum, line)
