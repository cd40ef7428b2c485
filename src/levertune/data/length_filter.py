"""Rows of general data left out for their length, each listed and all of them counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from levertune.data.records import Record, RecordFile
from levertune.errors import DataError


@dataclass(frozen=True, slots=True)
class LengthLimits:
    """How long a row may be: characters of its turns and its completion together.

    Characters and not tokens, so that the rows kept do not depend on the model.

    Args:
        min_characters: Fewest, or None.
        max_characters: Most, or None.

    Raises:
        DataError: If no length is within both.
    """

    min_characters: int | None = None
    max_characters: int | None = None

    def __post_init__(self) -> None:
        low, high = self.min_characters, self.max_characters
        if low is not None and high is not None and low > high:
            raise DataError(
                f"general.sources: min_characters must not be above max_characters; found {low} "
                f"and {high}. Swap them."
            )

    def reason_against(self, record: Record) -> str | None:
        """Why a row is left out, or None if it stays."""
        length = count_characters(record)
        if self.min_characters is not None and length < self.min_characters:
            return f"{length} characters, fewer than min_characters {self.min_characters}"
        if self.max_characters is not None and length > self.max_characters:
            return f"{length} characters, more than max_characters {self.max_characters}"
        return None


def count_characters(record: Record) -> int:
    """Characters of a row's turns and completion together."""
    return sum(len(turn.content) for turn in record.prompt) + len(record.completion)


def keep_within(file: RecordFile, limits: LengthLimits) -> RecordFile:
    """The file without the rows that are too short or too long.

    Args:
        file: A general source.
        limits: How long a row may be.

    Returns:
        The file with the rows left out in `dropped`, and a note of how many they are.
    """
    if limits == LengthLimits():
        return file
    reasons = [limits.reason_against(record) for record in file.records]
    dropped = tuple(
        {"id": record.id, "source": record.source, "reason": reason}
        for record, reason in zip(file.records, reasons, strict=True)
        if reason is not None
    )
    if not dropped:
        return file
    short = sum("fewer than" in row["reason"] for row in dropped)
    parts = []
    if short:
        parts.append(f"{short} shorter than min_characters {limits.min_characters}")
    if len(dropped) > short:
        parts.append(f"{len(dropped) - short} longer than max_characters {limits.max_characters}")
    note = (
        f"{dropped[0]['source']}: {len(dropped)} of {len(file.records)} rows left out by length: "
        f"{', '.join(parts)}."
    )
    kept = (r for r, reason in zip(file.records, reasons, strict=True) if reason is None)
    return replace(
        file,
        records=tuple(kept),
        dropped=(*file.dropped, *dropped),
        notes=(*file.notes, note),
    )
