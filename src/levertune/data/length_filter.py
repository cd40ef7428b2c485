"""Rows of general data left out for their length, each listed and all of them counted."""

from __future__ import annotations

from collections.abc import Sequence
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


def keep_within(files: Sequence[RecordFile], limits: LengthLimits) -> list[RecordFile]:
    """The files of a source without the rows that are too short or too long.

    Args:
        files: The files.
        limits: How long a row may be.

    Returns:
        The files, each with its rows left out in `dropped`; the first that lost rows has a note of
        how many they are in all.
    """
    if limits == LengthLimits():
        return list(files)
    kept = [_keep_within(file, limits) for file in files]
    lost = [i for i, file in enumerate(kept) if len(file.records) < len(files[i].records)]
    if not lost:
        return kept
    reasons = [row["reason"] for i in lost for row in kept[i].dropped[len(files[i].dropped) :]]
    short = sum("fewer than" in reason for reason in reasons)
    parts = []
    if short:
        parts.append(f"{short} shorter than min_characters {limits.min_characters}")
    if len(reasons) > short:
        parts.append(f"{len(reasons) - short} longer than max_characters {limits.max_characters}")
    first = kept[lost[0]]
    more = {1: "", 2: " and 1 more file"}.get(len(lost), f" and {len(lost) - 1} more files")
    total = sum(len(files[i].records) for i in lost)
    note = (
        f"{first.dropped[-1]['source']}{more}: {len(reasons)} of {total} rows left out by length: "
        f"{', '.join(parts)}."
    )
    kept[lost[0]] = replace(first, notes=(*first.notes, note))
    return kept


def _keep_within(file: RecordFile, limits: LengthLimits) -> RecordFile:
    reasons = [limits.reason_against(record) for record in file.records]
    rows = list(zip(file.records, reasons, strict=True))
    dropped = tuple(
        {"id": record.id, "source": record.source, "reason": reason}
        for record, reason in rows
        if reason is not None
    )
    kept = tuple(record for record, reason in rows if reason is None)
    return replace(file, records=kept, dropped=(*file.dropped, *dropped))
