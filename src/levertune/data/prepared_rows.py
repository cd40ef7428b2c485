"""Rows made ready for comparing: the texts they are compared by, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from levertune.data.records import Record
from levertune.data.row_texts import RowTexts, compared_texts, make_own_text
from levertune.data.word_runs import HashedRows, hash_rows

# Characters of rows looked at together, so that the temporaries stay small.
_CHUNK_CHARACTERS = 400_000


@dataclass(frozen=True)
class Chunk:
    """A few rows and what they are compared by.

    Args:
        records: The rows.
        texts: The texts of each.
    """

    records: Sequence[Record]
    texts: Sequence[RowTexts]

    @cached_property
    def hashed(self) -> HashedRows:
        """Their words, where anything asks for them."""
        return hash_rows(self.texts)


class PreparedRows:
    """Rows made ready for comparing, for those that are compared with several sets.

    Args:
        records: The rows; they stay in memory with their texts in one case.
        instruction: The instruction the task rows share, taken off.
    """

    def __init__(self, records: Sequence[Record], instruction: str | None = None) -> None:
        self.records = records
        self.instruction = instruction
        self.chunks = tuple(_prepare(records, instruction))

    def __len__(self) -> int:
        return len(self.records)


def in_chunks(rows: Iterable[Record] | PreparedRows, instruction: str | None) -> Iterable[Chunk]:
    """The rows in chunks; of prepared ones what is there, if it was made with this instruction.

    Args:
        rows: The rows.
        instruction: What the task rows share, taken off.
    """
    if not isinstance(rows, PreparedRows):
        return _prepare(rows, instruction)
    if rows.instruction != instruction:
        return _prepare(rows.records, instruction)
    return rows.chunks


def texts_of(records: Sequence[Record], instruction: str | None) -> list[RowTexts]:
    """What rows are compared by.

    Args:
        records: The rows.
        instruction: What the task rows share, taken off.
    """
    own_text = make_own_text(instruction)
    return [compared_texts(record, own_text, instruction) for record in records]


def _prepare(rows: Iterable[Record], instruction: str | None) -> Iterator[Chunk]:
    for records in _chunks(rows):
        yield Chunk(records, texts_of(records, instruction))


def _chunks(rows: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in rows:
        chunk.append(record)
        size += sum(len(turn.content) for turn in record.prompt) + len(record.completion)
        if size >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
