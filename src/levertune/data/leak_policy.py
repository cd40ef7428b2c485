"""What is done about general rows like test or training rows: dropped, refused or kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from levertune.data.leaks import (
    LEAK_KINDS,
    Leak,
    LeakKind,
    search_leaks,
    strongest_by_row,
)
from levertune.data.prepared_rows import PreparedRows
from levertune.data.records import Record, RecordFile
from levertune.errors import DataError

LeakPolicy = Literal["drop", "drop-exact", "refuse", "keep"]
SetPair = Literal["train-test", "general-test", "general-train"]

_PHRASES: dict[LeakKind, str] = {
    "exact": "equals",
    "prompt": "has the prompt of",
    "near": "nearly equals",
    "contained": "contains",
    "13-gram": "shares 13 words with",
}
_ROWS = {"general-test": "test", "general-train": "training"}
_SETTINGS = {"general-test": "general.test_leaks", "general-train": "general.train_leaks"}


@dataclass(frozen=True, slots=True)
class Leakage:
    """The rows of one set that are like rows of another.

    Args:
        sets: Which two sets. The rows are the test rows for `train-test`, else the general rows.
        leaks: Every pair that was found.
        dropped: How many of each kind were dropped.
        passed_over: Ids of the test or training rows that are taken for a template's, with no leak
            named, since more than ten rows of the other set hold or nearly equal them.
    """

    sets: SetPair
    leaks: tuple[Leak, ...]
    dropped: dict[LeakKind, int]
    passed_over: tuple[str, ...] = ()

    @property
    def by_row(self) -> list[Leak]:
        """The strongest leak of each row."""
        return strongest_by_row(self.leaks)

    @property
    def counts(self) -> dict[LeakKind, int]:
        """Rows by kind, the strongest first."""
        found = Counter(leak.kind for leak in self.by_row)
        return {kind: found[kind] for kind in LEAK_KINDS if found[kind]}


@dataclass(frozen=True, slots=True)
class GuardedRows:
    """General rows after the leaks were closed.

    Args:
        files: The sources, without the rows dropped.
        leakage: What was found.
        dropped: The rows dropped: `{"id", "source", "reason"}`.
    """

    files: tuple[RecordFile, ...]
    leakage: Leakage
    dropped: tuple[dict[str, str], ...]


def guard_general(
    files: Sequence[RecordFile],
    like: Sequence[Record] | PreparedRows,
    *,
    sets: Literal["general-test", "general-train"],
    policy: LeakPolicy,
    instruction: str | None = None,
) -> GuardedRows:
    """Compare the general rows with test or training rows and do what the recipe says.

    Args:
        files: The general sources.
        like: The test or training rows.
        sets: Which of both they are.
        policy: `drop`: leave out the general rows that leak. `drop-exact`: those whose prompt and
            completion are equal. `refuse`: raise. `keep`: only say so.
        instruction: The instruction the task rows share.

    Returns:
        The rows kept, and what was found.

    Raises:
        DataError: If rows leak and the policy is `refuse`, or every row of a source is dropped.
    """
    pool = [record for file in files for record in file.records]
    found = search_leaks(pool, like, instruction=instruction)
    leaks = strongest_by_row(found.leaks)
    if leaks and policy == "refuse":
        raise DataError(
            f"{_SETTINGS[sets]}: {len(leaks)} of {len(pool)} general rows are like {_ROWS[sets]} "
            f"rows; found {_describe(leaks[0], sets)}. Remove them, or set {_SETTINGS[sets]}=drop."
        )
    kinds: tuple[LeakKind, ...] = {"drop": LEAK_KINDS, "drop-exact": ("exact",)}.get(policy, ())
    gone = {(leak.source, leak.id): leak for leak in leaks if leak.kind in kinds}
    kept = []
    for file in files:
        left = tuple(r for r in file.records if (r.source, r.id) not in gone)
        if file.records and not left:
            first = gone[file.records[0].source, file.records[0].id]
            raise DataError(
                f"{file.path}: all {len(file.records)} rows of general source {first.source!r} "
                f"are like {_ROWS[sets]} rows; found {_describe(first, sets)}. Name other rows, or "
                f"keep them with {_SETTINGS[sets]}=keep."
            )
        kept.append(replace(file, records=left))
    dropped = tuple(
        {
            "id": leak.id,
            "source": leak.source,
            "reason": f"{_PHRASES[leak.kind]} {_ROWS[sets]} row {leak.like_id!r}",
        }
        for leak in gone.values()
    )
    counts = Counter(leak.kind for leak in gone.values())
    passed_over = tuple(record.id for record in found.passed_over)
    leakage = Leakage(sets, found.leaks, dict(counts), passed_over)
    return GuardedRows(tuple(kept), leakage, dropped)


def warn_of_leakage(leakage: Leakage) -> list[str]:
    """What a reader should know of it, in sentences; none if there is nothing."""
    leaks = leakage.by_row
    if leakage.sets == "train-test":
        warnings = [
            f"Test rows like training rows: {len(leaks):,} ({_count_kinds(leaks)}; "
            f"{describe_pairs(leaks)}). The score may be too good."
        ]
        return (warnings if leaks else []) + _warn_of_passed_over(leakage, "training")
    gone = [leak for leak in leaks if leak.kind in leakage.dropped]
    kept = [leak for leak in leaks if leak.kind not in leakage.dropped]
    warnings = [
        f"General rows like {_ROWS[leakage.sets]} rows, {done}: {len(some):,} "
        f"({_count_kinds(some)}; {describe_pairs(some)})."
        for some, done in ((gone, "dropped"), (kept, "kept"))
        if some
    ]
    return warnings + _warn_of_passed_over(leakage, "general")


def _warn_of_passed_over(leakage: Leakage, others: str) -> list[str]:
    ids = list(dict.fromkeys(leakage.passed_over))
    if not ids or leakage.sets == "general-train":
        return []
    shown = ", ".join(map(repr, ids[:5])) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")
    return [
        f"Test rows taken for a template's: {len(ids):,} ({shown}). More than ten {others} rows "
        "hold or nearly equal each of them, and these are not counted as leaks: look at them."
    ]


def describe_pairs(leaks: Sequence[Leak], num_shown: int = 5) -> str:
    """The first pairs by id, as `'3' like '17'`."""
    shown = ", ".join(f"{leak.id!r} like {leak.like_id!r}" for leak in leaks[:num_shown])
    more = len(leaks) - num_shown
    return f"{shown} and {more:,} more" if more > 0 else shown


def _count_kinds(leaks: Sequence[Leak]) -> str:
    found = Counter(leak.kind for leak in leaks)
    return ", ".join(f"{found[kind]:,} {kind}" for kind in LEAK_KINDS if found[kind])


def _describe(leak: Leak, sets: str) -> str:
    return f"row {leak.id!r}, which {_PHRASES[leak.kind]} {_ROWS[sets]} row {leak.like_id!r}"
