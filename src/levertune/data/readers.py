"""Records from a file or Hub dataset: the format by its ending, the schema by its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from levertune.data import hub, table_files, text_files
from levertune.data.embedded.catalog import TASK_PREFIX, embedded_task
from levertune.data.home_folder import expand_home
from levertune.data.reading_keys import TASK_KEYS, ReadingKeys
from levertune.data.record_builder import RecordBuilder
from levertune.data.records import LINE_FORMATS, TASK_SOURCE, RecordFile
from levertune.data.templates import Template, parse_template
from levertune.data.text_encoding import decode_text
from levertune.data.text_files import NumberedRow
from levertune.errors import DataError

# File ending -> format.
FILE_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "xlsx",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_TEXT_FORMATS = ("jsonl", "json", "csv", "tsv")
_PACKED = frozenset({".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".tar", ".rar"})


def read_records(
    path: str,
    *,
    source: str = TASK_SOURCE,
    prompt: str | None = None,
    completion: str | None = None,
    encoding: str | None = None,
    allow_text: bool = False,
    require_completion: bool = True,
    max_hub_rows: int | None = None,
    seed: int = 0,
    shown: str | None = None,
    keys: ReadingKeys = TASK_KEYS,
) -> RecordFile:
    """Read every row of a file or Hub dataset.

    A bad row stops the read: with fifty rows in all, skipping one quietly would change the
    experiment.

    Args:
        path: A file, `hub:NAME[:CONFIG][@SPLIT]`, or a shipped task as `embedded:NAME[@test]`.
        source: Source the records get.
        prompt: Template of the prompt, as `Claim: {claim}`; None to recognise the columns.
        completion: Template of the completion; None to recognise the columns.
        encoding: Codec of a text file; None for UTF-8 with or without byte order mark.
        allow_text: Whether rows with a `text` column alone are accepted (general data).
        require_completion: False to read prompts only, whether or not rows have a completion.
        max_hub_rows: Draw at most this many rows of a Hub dataset before reading them.
        seed: Seed of that draw.
        shown: What the file is called in errors and results, where it is a copy; None for `path`.
        keys: What the user calls prompt, completion and encoding, for error messages.

    Returns:
        The records in file order.

    Raises:
        DataError: If the file cannot be read, or one of its rows cannot be used.
    """
    rows: Iterable[NumberedRow]
    if path.startswith(hub.HUB_PREFIX):
        hub_rows = hub.open_hub(path, max_rows=max_hub_rows, seed=seed)
        rows, file_format, sha256 = hub_rows, "hub", hub_rows.sha256()
    else:
        rows, file_format, sha256 = _open_rows(path, shown or path, encoding, keys)
    path = shown or path
    unit = "line" if file_format in LINE_FORMATS else "row"
    builder = RecordBuilder(
        path=path,
        unit=unit,
        source=source,
        keys=keys,
        prompt=_parse(prompt, keys.prompt or "prompt"),
        completion=_parse(completion, keys.completion or "completion"),
        allow_text=allow_text,
        require_completion=require_completion,
    )
    records = tuple(builder.build(number, row) for number, row in rows)
    if not records:
        raise DataError(f"{path}: the file holds no rows. Put some into it, or name another.")
    return RecordFile(records, path, file_format, builder.schema, sha256, builder.unused_columns())


def require_known_ending(path: str, ending: str) -> str:
    """The format of a file by its ending.

    Args:
        path: The file's name for error messages.
        ending: Its ending, as `.csv`.

    Raises:
        DataError: If no such format is read.
    """
    file_format = FILE_FORMATS.get(ending.lower())
    if file_format is not None:
        return file_format
    if ending.lower() in _PACKED:
        raise DataError(
            f"{path}: is a packed file; found the ending {ending!r}. Unpack it and name the file "
            "that was in it."
        )
    raise DataError(
        f"{path}: unknown file format; found the ending {ending!r}. "
        f"Use one of {', '.join(FILE_FORMATS)}."
    )


def _parse(template: str | None, key: str) -> Template | None:
    return None if template is None else parse_template(template, key=key)


def _open_rows(
    place_name: str, path: str, encoding: str | None, keys: ReadingKeys
) -> tuple[Iterable[NumberedRow], str, str]:
    """Rows, format and hash of the place, called `path` in errors."""
    place = _find_file(place_name)
    data = _read_bytes(place, path)
    file_format = require_known_ending(path, place.suffix)
    sha256 = hashlib.sha256(data).hexdigest()
    if file_format in _TEXT_FORMATS:
        text = decode_text(data, path, encoding, keys)
        if file_format == "jsonl":
            return text_files.parse_jsonl(text, path), file_format, sha256
        if file_format == "json":
            return text_files.parse_json(text, path), file_format, sha256
        rows = text_files.parse_csv(text, path, is_tsv=file_format == "tsv")
        return rows, file_format, sha256
    parsers = {
        "xlsx": table_files.parse_xlsx,
        "parquet": table_files.parse_parquet,
        "arrow": table_files.parse_arrow,
    }
    return parsers[file_format](data, path), file_format, sha256


def _find_file(path: str) -> Path:
    if not path.startswith(TASK_PREFIX):
        return expand_home(path)
    name, at, split = path.partition("@")
    task = embedded_task(name)
    if at and split not in ("train", "test"):
        raise DataError(
            f"{path}: a shipped task has the splits 'train' and 'test'; found {split!r}. "
            f"Write {name} or {name}@test."
        )
    return task.test if split == "test" else task.train


def _read_bytes(place: Path, path: str) -> bytes:
    if place.is_dir():
        raise DataError(f"{path}: is a folder. Name one file in it.")
    if not place.exists():
        raise DataError(f"{path}: there is no such file. Check the path.")
    if not place.is_file():
        raise DataError(f"{path}: is no regular file. Save the rows into a file and name that.")
    try:
        data = place.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read; found {error.strerror!r}. Check its permissions."
        ) from error
    if not data:
        raise DataError(f"{path}: the file is empty. Put rows into it, or name another.")
    return data
