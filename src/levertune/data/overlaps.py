"""Rows of one file that stand in it twice, or contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.data.prepared_rows import PreparedRows
from levertune.data.records import Record


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of one file that belong together.

    Args:
        ids: Ids of the rows, in file order.
    """

    ids: tuple[str, ...]


def find_duplicates(rows: PreparedRows) -> list[RowGroup]:
    """Rows with equal prompt and completion, case and white space aside.

    Args:
        rows: The rows of one file, the instruction they share taken off.

    Returns:
        The groups of two rows or more.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for chunk in rows.chunks:
        for record, texts in zip(chunk.records, chunk.texts, strict=True):
            groups.setdefault(texts.row_key, []).append(record.id)
    return [RowGroup(tuple(ids)) for ids in groups.values() if len(ids) > 1]


def find_conflicts(records: Sequence[Record]) -> list[RowGroup]:
    """Rows that answer one prompt differently.

    Prompts are compared as written, ends trimmed: a task may be about capitals or spacing.

    Args:
        records: The rows of one file.

    Returns:
        The groups of rows with one prompt and two completions or more.
    """
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if not record.is_text:
            key = tuple(f"{turn.role}\n{turn.content.strip()}" for turn in record.prompt)
            groups.setdefault(key, []).append(record)
    return [
        RowGroup(tuple(record.id for record in group))
        for group in groups.values()
        if len({record.completion.strip() for record in group}) > 1
    ]
