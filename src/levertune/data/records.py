"""The record: one row a user brings, unchanged, with an id that travels to the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]

TASK_SOURCE = "task"

LINE_FORMATS = ("jsonl", "csv", "tsv")
"""Formats whose rows stand on lines; in the others the row is counted."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Args:
        role: Who speaks: `system`, `user` or `assistant`.
        content: What is said.
    """

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Record:
    """One row of task or general data.

    Args:
        id: Unique within its source; the row's own `id` field, or its line number as text.
        source: `"task"`, or the name of the general source.
        prompt: The turns before the completion, the last of them the user's. Empty for a `text`
            row (general data only), whose whole text is the completion.
        completion: The text the model should produce: the last assistant turn.
        references: Further answers that count as right at evaluation (the completion always does).
        stratum: The family, label or task within the source that the row belongs to, or `""`.
        line: Line (or table row) in the file, counted from 1, or None if there is no file.
    """

    id: str
    source: str
    prompt: tuple[Message, ...]
    completion: str
    references: tuple[str, ...] = ()
    stratum: str = ""
    line: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether this is a `text` row: no prompt, loss on the whole text."""
        return not self.prompt

    @property
    def user_text(self) -> str:
        """Text of the last user turn, `""` for a `text` row."""
        return self.prompt[-1].content if self.prompt else ""

    @property
    def all_references(self) -> tuple[str, ...]:
        """The completion followed by the further references."""
        return (self.completion, *self.references)


@dataclass(frozen=True, slots=True)
class RecordFile:
    """Records read from one place, with what was recognised on the way.

    Args:
        records: The rows in file order.
        path: The path or name as the user gave it.
        file_format: `jsonl`, `json`, `csv`, `tsv`, `xlsx`, `parquet`, `arrow`, `hub`.
        schema: The schema recognised, as `messages`, `prompt/completion`, `instruction/output`, …
        sha256: Hash of the file's bytes (of the rows' canonical JSON for a Hub dataset).
        unused_columns: Columns of the file that no part of a record comes from.
        dropped: Rows left out by the source's own settings: `{"id", "source", "reason"}`.
        notes: What a reader should know of how it was read, one sentence each.
    """

    records: tuple[Record, ...]
    path: str
    file_format: str
    schema: str
    sha256: str
    unused_columns: tuple[str, ...] = ()
    dropped: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What a record's `line` counts: lines of the file, or its rows."""
        return "line" if self.file_format in LINE_FORMATS else "row"
