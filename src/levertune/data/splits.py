"""Train and test rows: strata, then near-duplicate groups, then a seeded hash order.

Near duplicates stay on one side, so that no test row has its twin among the training rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from levertune.data.draws import fair_order, seeded_hash, task_strata
from levertune.data.near_duplicates import (
    MAX_NEAR_ROWS,
    NEAR_THRESHOLD,
    group_near_duplicates,
)
from levertune.data.records import Record
from levertune.data.row_texts import OwnText, make_own_text, normalize_text
from levertune.errors import DataError

# Chains of near duplicates can join half of a templated task into one group that no split can
# balance. Then a stricter index is taken; equal prompts always stay together.
_THRESHOLDS = (NEAR_THRESHOLD, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to train on and rows to test on.

    Args:
        train: Training rows, in file order.
        test: Test rows, in file order.
        near_threshold: Jaccard index from which rows were kept on one side; 1.0 means that only
            equal prompts were.
    """

    train: tuple[Record, ...]
    test: tuple[Record, ...]
    near_threshold: float


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows that stay together."""

    members: tuple[tuple[int, ...], ...]
    near_threshold: float


def split_holdout(
    records: Sequence[Record], fraction: float, *, seed: int, own_text: OwnText | None = None
) -> Split:
    """Hold out a share of the rows.

    Args:
        records: The rows.
        fraction: Share of the rows to test on, above 0 and below 1.
        seed: Seed of the choice.
        own_text: Gives a row's text without the instruction all rows share; None for its prompt.

    Returns:
        The split; both sides have at least one row.

    Raises:
        DataError: If the share is out of range, or the rows are too few or all alike.
    """
    if not 0.0 < fraction < 1.0:
        raise DataError(
            f"task.test: a share must be above 0 and below 1; found {fraction}. Use 0.2."
        )
    wanted = min(max(round(fraction * len(records)), 1), len(records) - 1)
    groups = _group_rows(records, wanted, own_text)
    if len(groups.members) < 2:
        raise DataError(
            f"task.test: {len(records)} rows cannot be split; found {len(groups.members)} group of "
            "rows with equal prompts. Bring more rows or a test file."
        )
    test: set[int] = set()
    ordered = _order_groups(records, groups, seed)
    for group in ordered:
        if len(test) + len(group) <= wanted:
            test.update(group)
    if not test:  # each group is larger than the share: the smallest is the nearest to it
        smallest = min(len(group) for group in ordered)
        test.update(next(group for group in ordered if len(group) == smallest))
    return _make_split(records, test, groups.near_threshold)


def cross_validation_folds(
    records: Sequence[Record], k: int, *, seed: int, own_text: OwnText | None = None
) -> list[Split]:
    """Split the rows k times, so that each row is tested exactly once.

    Args:
        records: The rows.
        k: Number of folds, at least 2.
        seed: Seed of the folds.
        own_text: Gives a row's text without the instruction all rows share; None for its prompt.

    Returns:
        The k splits.

    Raises:
        DataError: If k is below 2, or there are fewer than k groups of unlike rows.
    """
    if k < 2:
        raise DataError(f"task.test: cv:K needs at least 2 folds; found {k}. Use cv:5.")
    groups = _group_rows(records, max(len(records) // k, 1), own_text)
    if len(groups.members) < k:
        fewer = f"use fewer folds, as task.test=cv:{len(groups.members)}"
        raise DataError(
            f"task.test: cv:{k} needs at least {k} rows with unlike prompts; found "
            f"{len(groups.members)} in {len(records)} rows. Bring more rows"
            f"{f', or {fewer}' if len(groups.members) > 1 else ' or a test file'}."
        )
    strata = task_strata(records)
    folds: list[set[int]] = [set() for _ in range(k)]
    by_stratum: list[Counter[str]] = [Counter() for _ in range(k)]
    # Large groups first, while there is room to balance them; `sorted` keeps the seeded order. An
    # empty fold is always the least loaded, so none stays empty.
    for group in sorted(_order_groups(records, groups, seed), key=len, reverse=True):
        stratum = strata[group[0]]
        chosen = min(range(k), key=lambda i: (by_stratum[i][stratum], len(folds[i]), i))
        folds[chosen].update(group)
        by_stratum[chosen].update(strata[index] for index in group)
    return [_make_split(records, fold, groups.near_threshold) for fold in folds]


def draw_subset(records: Sequence[Record], n: int, *, seed: int) -> tuple[Record, ...]:
    """Draw training rows, the first `n` of one seeded order, so that more contain the fewer.

    Args:
        records: The rows.
        n: How many, from 1 to as many as there are.
        seed: Seed of the order.

    Returns:
        The rows, every stratum or label in proportion to within one row.

    Raises:
        DataError: If `n` is out of range.
    """
    require_subset(records, n)
    keys = [seeded_hash(record, seed) for record in records]
    return tuple(records[index] for index in fair_order(task_strata(records), keys)[:n])


def require_subset(records: Sequence[Record], n: int) -> None:
    """Refuse a subset of more rows than there are.

    Args:
        records: The rows it would be drawn from.
        n: How many are wanted.

    Raises:
        DataError: If `n` is out of range.
    """
    if not 1 <= n <= len(records):
        raise DataError(
            f"task.subset: must be from 1 to the {len(records)} training rows there are; found "
            f"{n}. Ask for fewer or bring more rows."
        )


def _group_rows(records: Sequence[Record], max_size: int, own_text: OwnText | None) -> _Groups:
    """Groups of near duplicates at the first threshold at which none exceeds `max_size`."""
    own_text = own_text or make_own_text(None)
    texts = [normalize_text(own_text(record)) for record in records]
    thresholds = _THRESHOLDS if len(texts) <= MAX_NEAR_ROWS else _THRESHOLDS[-1:]
    for threshold in thresholds:
        if threshold < 1.0:
            labels: Sequence[int | str] = group_near_duplicates(texts, threshold=threshold)
        else:
            labels = texts
        members: dict[int | str, list[int]] = {}
        for index, label in enumerate(labels):
            members.setdefault(label, []).append(index)
        groups = _Groups(tuple(map(tuple, members.values())), threshold)
        if max(map(len, groups.members), default=0) <= max(max_size, 1):
            break
    return groups


def _order_groups(records: Sequence[Record], groups: _Groups, seed: int) -> list[tuple[int, ...]]:
    """The groups in a seeded order that is fair to the strata of their first rows."""
    strata = task_strata(records)
    keys = [min(seeded_hash(records[i], seed) for i in group) for group in groups.members]
    order = fair_order([strata[group[0]] for group in groups.members], keys)
    return [groups.members[index] for index in order]


def _make_split(records: Sequence[Record], test: set[int], near_threshold: float) -> Split:
    return Split(
        train=tuple(record for i, record in enumerate(records) if i not in test),
        test=tuple(record for i, record in enumerate(records) if i in test),
        near_threshold=near_threshold,
    )
