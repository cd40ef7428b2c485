"""Rows to records: the schema recognised or the templates filled, ids and schema held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from levertune.data import schemas
from levertune.data.reading_keys import ReadingKeys
from levertune.data.records import Message, Record
from levertune.data.schemas import Columns, require_filled, require_text
from levertune.data.templates import Template
from levertune.data.text_files import json_type
from levertune.errors import DataError

_STRATUM_COLUMNS = ("task", "family", "label")


@dataclass(slots=True)
class RecordBuilder:
    """Turns the rows of one file into records and holds them to one schema and unique ids.

    Args:
        path: What the file is called in errors.
        unit: What a row's number counts: `line` or `row`.
        source: Source the records get.
        keys: What the user calls prompt, completion and encoding, for error messages.
        prompt: Template of the prompt, or None.
        completion: Template of the completion, or None.
        allow_text: Whether rows with a `text` column alone are accepted.
        require_completion: False to read prompts only.
        schema: The schema of the rows built so far.
    """

    path: str
    unit: str
    source: str
    keys: ReadingKeys
    prompt: Template | None
    completion: Template | None
    allow_text: bool
    require_completion: bool = True
    schema: str = ""
    _first_number: int = 0
    _columns: dict[tuple[str, ...], Columns] = field(default_factory=dict)
    _lines_by_id: dict[str, int] = field(default_factory=dict)

    def build(self, number: int, row: dict[str, Any]) -> Record:
        """The record of a row.

        Args:
            number: The line or row it stands on.
            row: Its fields.

        Raises:
            DataError: If it cannot be used.
        """
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
                turns = schemas.read_prompt_turns(filled, columns, where, self.keys)
            else:
                text = self.prompt.fill(row, where)
                turns = schemas.prompt_from_text(text, filled, columns, where)
        elif self.prompt is None and self.completion is None:
            self._require_schema(row, columns, number, where)
            turns, completion = schemas.read_turns(filled, columns, where, self.keys)
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
            hint = self.keys.suggest_both(row)
            raise DataError(
                f"{where}: the columns fit more than one schema, {' and '.join(columns.rivals)}; "
                f"found {found}. {f'Say which to use, as {hint}.' if hint else 'Keep one of them.'}"
            )
        if columns.schema == "text" and not self.allow_text:
            hint = self.keys.suggest_both(row)
            advice = (
                f"Name the columns, as {hint}."
                if hint
                else ("Plain `text` rows can serve as general data.")
            )
            raise DataError(
                f"{where}: a task row needs a prompt and a completion; found {found}. {advice}"
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
        hint = self.keys.suggest_both(row)
        raise DataError(
            f"{where}: {what}; found {found}. Accepted: "
            f"{schemas.accepted_schemas(allow_text=self.allow_text)}"
            f"{f'; or name the columns, as {hint}' if hint else ''}."
        )

    def _fill_templates(
        self, row: Mapping[str, Any], filled: Mapping[str, Any], columns: Columns, where: str
    ) -> tuple[tuple[Message, ...], str]:
        if self.prompt is not None:
            prompt = self.prompt.fill(row, where)
        else:
            name = self._only_column(schemas.PROMPT_COLUMNS, "prompt", row, columns, where)
            prompt = require_filled(row[name], where, name, key=self.keys.prompt)
        if self.completion is not None:
            completion = self.completion.fill(row, where)
            require_filled(completion, where, "completion")
        else:
            name = self._only_column(schemas.COMPLETION_COLUMNS, "completion", row, columns, where)
            completion = require_filled(row[name], where, name, key=self.keys.completion)
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
            if role == "prompt":
                taken = self.completion.fields if self.completion else ()
                hint = self.keys.suggest_prompt({n: v for n, v in row.items() if n not in taken})
            else:
                hint = self.keys.suggest_completion(row, self.prompt.fields if self.prompt else ())
            raise DataError(
                f"{where}: cannot tell which column is the {role}; found {sorted(map(str, row))}. "
                f"{f'Name it, as {hint}.' if hint else f'Call it {role}.'}"
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
    if "references" not in columns.actual:
        return ()
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
        if known not in columns.actual:
            continue
        name, value = columns.find(known, row)
        if isinstance(value, str) and value.strip():
            return require_text(value, where, name).strip()
    return ""
