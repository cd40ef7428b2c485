"""Records from a file or Hub dataset: the format by its ending, the schema by its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from levertune.data import hub, schemas, table_files, text_files
from levertune.data.embedded.catalog import TASK_PREFIX, embedded_task
from levertune.data.records import TASK_SOURCE, Message, Record, RecordFile
from levertune.data.schemas import Columns, require_filled, require_text
from levertune.data.templates import Template, parse_template
from levertune.data.text_files import NumberedRow, json_type
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
# Formats whose rows stand on lines; in the others the row is counted.
_LINE_FORMATS = ("jsonl", "csv", "tsv")
_STRATUM_COLUMNS = ("task", "family", "label")


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

    Returns:
        The records in file order.

    Raises:
        DataError: If the file cannot be read, or one of its rows cannot be used.
    """
    rows, file_format, sha256 = _open_rows(path, shown or path, encoding, max_hub_rows, seed)
    path = shown or path
    unit = "line" if file_format in _LINE_FORMATS else "row"
    builder = _RecordBuilder(
        path=path,
        unit=unit,
        source=source,
        prompt=None if prompt is None else parse_template(prompt, role="prompt"),
        completion=None if completion is None else parse_template(completion, role="completion"),
        allow_text=allow_text,
        require_completion=require_completion,
    )
    records = tuple(builder.build(number, row) for number, row in rows)
    if not records:
        raise DataError(f"{path}: the file holds no rows. Put some into it, or name another.")
    return RecordFile(records, path, file_format, builder.schema, sha256, builder.unused_columns())


def _open_rows(
    place_name: str, path: str, encoding: str | None, max_hub_rows: int | None, seed: int
) -> tuple[Iterable[NumberedRow], str, str]:
    """Rows, format and hash of the place, called `path` in errors."""
    if place_name.startswith(hub.HUB_PREFIX):
        hub_rows = hub.open_hub(place_name, max_rows=max_hub_rows, seed=seed)
        return hub_rows, "hub", hub_rows.sha256()
    place = _find_file(place_name)
    file_format = FILE_FORMATS.get(place.suffix.lower())
    data = _read_bytes(place, path)
    if file_format is None:
        raise DataError(
            f"{path}: unknown file format; found the ending {place.suffix!r}. "
            f"Use one of {', '.join(FILE_FORMATS)}."
        )
    sha256 = hashlib.sha256(data).hexdigest()
    if file_format in _TEXT_FORMATS:
        text = text_files.decode_text(data, path, encoding)
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
        return Path(path).expanduser()
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


@dataclass(slots=True)
class _RecordBuilder:
    """Turns rows into records and holds them to one schema and unique ids."""

    path: str
    unit: str
    source: str
    prompt: Template | None
    completion: Template | None
    allow_text: bool
    require_completion: bool = True
    schema: str = ""
    _first_number: int = 0
    _columns: dict[tuple[str, ...], Columns] = field(default_factory=dict)
    _lines_by_id: dict[str, int] = field(default_factory=dict)

    def build(self, number: int, row: dict[str, Any]) -> Record:
        where = f"{self.path}, {self.unit} {number}"
        filled = {name: value for name, value in row.items() if value is not None}
        key = tuple(filled)
        columns = self._columns.get(key)
        if columns is None:
            columns = schemas.recognise_columns(key)
            self._columns[key] = columns
        if not self.require_completion:
            self.schema, completion = "prompt", ""
            if self.prompt is None:
                turns = schemas.read_prompt_turns(filled, columns, where)
            else:
                text = self.prompt.fill(row, where)
                turns = schemas.prompt_from_text(text, filled, columns, where)
        elif self.prompt is None and self.completion is None:
            self._require_schema(row, columns, number, where)
            turns, completion = schemas.read_turns(filled, columns, where)
        else:
            self.schema = "template"
            turns, completion = self._fill_templates(row, filled, columns, where)
        return Record(
            id=self._read_id(filled, columns, number, where),
            source=self.source,
            prompt=turns,
            completion=completion,
            references=_read_references(filled, columns, where),
            stratum=_read_stratum(filled, columns, where),
            line=number,
        )

    def unused_columns(self) -> tuple[str, ...]:
        """Columns that neither the schema nor a template reads, in order of appearance."""
        if not self.require_completion:
            return ()
        used: set[str] = set()
        for template in (self.prompt, self.completion):
            used.update(template.fields if template else ())
        unused: dict[str, None] = {}
        for key, columns in self._columns.items():
            needed = [*schemas.SCHEMAS.get(self.schema, ()), *schemas.OPTIONAL_COLUMNS]
            if self.schema == "instruction/output":
                needed.append("input")
            if self.prompt is None and self.schema == "template":
                needed += schemas.PROMPT_COLUMNS
            if self.completion is None and self.schema == "template":
                needed += schemas.COMPLETION_COLUMNS
            used.update(columns.actual[name] for name in needed if name in columns.actual)
            unused.update(dict.fromkeys(name for name in key if name not in used))
        return tuple(unused)

    def _require_schema(
        self, row: Mapping[str, Any], columns: Columns, number: int, where: str
    ) -> None:
        """Refuse a row that follows no schema, or another one than the first row."""
        found = sorted(map(str, row))
        if columns.rivals:
            raise DataError(
                f"{where}: the columns fit more than one schema, {' and '.join(columns.rivals)}; "
                f'found {found}. Say which to use, as prompt="{{prompt}}" '
                'completion="{completion}".'
            )
        if columns.schema == "text" and not self.allow_text:
            raise DataError(
                f"{where}: a task row needs a prompt and a completion; found only {found}. "
                "Plain `text` rows can serve as general data."
            )
        if not self.schema:
            if columns.schema is None:
                self._refuse_unknown(row, columns, where)
            self.schema, self._first_number = str(columns.schema), number
        elif columns.schema is None:
            needed = schemas.SCHEMAS[self.schema]
            missing = [name for name in needed if name not in columns.actual]
            state = "is null" if any(name in row for name in missing) else "is missing"
            is_completion = missing[-1:] == list(needed[-1:])
            raise DataError(
                f"{where}: {'no completion' if is_completion else 'no prompt'}, field "
                f"{missing[-1]!r} {state}; found {found}. Fill it or remove the row."
            )
        elif columns.schema != self.schema:
            raise DataError(
                f"{where}: mixed schemas; found {columns.schema} here and {self.schema} at "
                f"{self.unit} {self._first_number}. Keep one schema in a file."
            )

    def _refuse_unknown(self, row: Mapping[str, Any], columns: Columns, where: str) -> None:
        found = sorted(map(str, row))
        has_prompt = any(name in columns.actual for name in schemas.PROMPT_COLUMNS)
        has_completion = any(name in columns.actual for name in schemas.COMPLETION_COLUMNS)
        what = "the columns follow no known schema"
        if has_prompt and not has_completion:
            what = "no completion in the row"
        raise DataError(
            f"{where}: {what}; found {found}. Accepted: "
            f"{schemas.accepted_schemas(allow_text=self.allow_text)}; or name the columns, as "
            'prompt="{question}" completion="{label}".'
        )

    def _fill_templates(
        self, row: Mapping[str, Any], filled: Mapping[str, Any], columns: Columns, where: str
    ) -> tuple[tuple[Message, ...], str]:
        if self.prompt is not None:
            prompt = self.prompt.fill(row, where)
        else:
            name = self._only_column(schemas.PROMPT_COLUMNS, "prompt", row, columns, where)
            prompt = require_filled(row[name], where, name)
        if self.completion is not None:
            completion = self.completion.fill(row, where)
            require_filled(completion, where, "completion")
        else:
            name = self._only_column(schemas.COMPLETION_COLUMNS, "completion", row, columns, where)
            completion = require_filled(row[name], where, name)
        return schemas.prompt_from_text(prompt, filled, columns, where), completion

    def _only_column(
        self,
        names: tuple[str, ...],
        role: str,
        row: Mapping[str, Any],
        columns: Columns,
        where: str,
    ) -> str:
        """The one column that can be the prompt or completion beside a template for the other."""
        present = [columns.actual[name] for name in names if name in columns.actual]
        if len(present) != 1:
            raise DataError(
                f"{where}: cannot tell which column is the {role}; found {sorted(map(str, row))}. "
                f'Name it, as {role}="{{column}}".'
            )
        return present[0]

    def _read_id(self, row: Mapping[str, Any], columns: Columns, number: int, where: str) -> str:
        name, value = columns.find("id", row)
        value = number if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise DataError(
                f"{where}: field {name!r} must be text or a whole number; found "
                f"{json_type(value)} {value!r}. Change it or rename the column."
            )
        text = str(value) if isinstance(value, int) else require_filled(value, where, name)
        other = self._lines_by_id.setdefault(text, number)
        if other != number:
            raise DataError(
                f"{where}: id {text!r} already stands on {self.unit} {other}. "
                "Give each row its own id, or rename the column."
            )
        return text


def _read_references(row: Mapping[str, Any], columns: Columns, where: str) -> tuple[str, ...]:
    name, value = columns.find("references", row)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DataError(
            f"{where}: field {name!r} must be a list of texts; found {json_type(value)}. "
            'Write it as ["first answer", "second answer"].'
        )
    return tuple(require_filled(item, where, name) for item in value)


def _read_stratum(row: Mapping[str, Any], columns: Columns, where: str) -> str:
    for known in _STRATUM_COLUMNS:
        name, value = columns.find(known, row)
        if isinstance(value, str) and value.strip():
            return require_text(value, where, name).strip()
    return ""
