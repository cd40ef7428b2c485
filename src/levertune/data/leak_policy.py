"""What is done about general rows like test or training rows: dropped, refused or kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from levertune.data.leaks import LEAK_KINDS, Leak, LeakKind, find_leaks, strongest_by_row
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
        leaks: The strongest leak of each such row.
        dropped: How many of each kind were dropped.
    """

    sets: SetPair
    leaks: tuple[Leak, ...]
    dropped: dict[LeakKind, int]

    @property
    def counts(self) -> dict[LeakKind, int]:
        """Rows by kind, the strongest first."""
        found = Counter(leak.kind for leak in self.leaks)
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
    like: Sequence[Record],
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
    leaks = strongest_by_row(find_leaks(pool, like, instruction=instruction))
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
    return GuardedRows(tuple(kept), Leakage(sets, tuple(leaks), dict(counts)), dropped)


def warn_of_leakage(leakage: Leakage) -> list[str]:
    """What a reader should know of it, in sentences; none if there is nothing."""
    if not leakage.leaks:
        return []
    if leakage.sets == "train-test":
        return [
            f"Test rows like training rows: {len(leakage.leaks):,} ({_count_kinds(leakage.leaks)}; "
            f"{describe_pairs(leakage.leaks)}). The score may be too good."
        ]
    gone = [leak for leak in leakage.leaks if leak.kind in leakage.dropped]
    kept = [leak for leak in leakage.leaks if leak.kind not in leakage.dropped]
    return [
        f"General rows like {_ROWS[leakage.sets]} rows, {done}: {len(leaks):,} "
        f"({_count_kinds(leaks)}; {describe_pairs(leaks)})."
        for leaks, done in ((gone, "dropped"), (kept, "kept"))
        if leaks
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
