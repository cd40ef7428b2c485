"""Train and test rows: strata, then near-duplicate groups, then a seeded hash order.

Near duplicates stay on one side, so that no test row has its twin among the training rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from levertune.data.draws import fair_order, seeded_hash, task_strata
from levertune.data.leaks import find_twins
from levertune.data.records import Record
from levertune.data.row_groups import RowGroups
from levertune.errors import DataError

Group = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LargeGroup:
    """Near duplicates, by chains, that are more than the test share, or than two folds.

    Args:
        ids: Ids of the rows, in file order.
        is_parted: Whether rows of it stand on both sides of a split.
    """

    ids: tuple[str, ...]
    is_parted: bool


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to train on and rows to test on.

    Args:
        train: Training rows, in file order.
        test: Test rows, in file order.
        large_groups: Near duplicates that are too many to be balanced, of all folds alike.
    """

    train: tuple[Record, ...]
    test: tuple[Record, ...]
    large_groups: tuple[LargeGroup, ...] = ()


def split_holdout(
    records: Sequence[Record], fraction: float, *, seed: int, instruction: str | None = None
) -> Split:
    """Hold out a share of the rows.

    A group of near duplicates larger than the share stays whole in training, as long as the other
    rows make up the share.

    Args:
        records: The rows.
        fraction: Share of the rows to test on, above 0 and below 1.
        seed: Seed of the choice.
        instruction: The instruction all rows share, left out where they are compared.

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

    def hold_out(groups: Sequence[Group]) -> list[set[int]]:
        if len(groups) < 2:
            raise DataError(
                f"task.test: {len(records)} rows cannot be split; found {len(groups)} group of "
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
        return [test]

    most = max(wanted, len(records) - wanted)
    [split] = _split(records, hold_out, instruction, large=wanted, most=most, least_groups=2)
    return split


def cross_validation_folds(
    records: Sequence[Record], k: int, *, seed: int, instruction: str | None = None
) -> list[Split]:
    """Split the rows k times, so that each row is tested exactly once.

    A group of near duplicates larger than a fold is a fold of its own, up to half of all rows: a
    fold is trained on the others.

    Args:
        records: The rows.
        k: Number of folds, at least 2.
        seed: Seed of the folds.
        instruction: The instruction all rows share, left out where they are compared.

    Returns:
        The k splits.

    Raises:
        DataError: If k is below 2, or there are fewer than k groups of unlike rows.
    """
    if k < 2:
        raise DataError(f"task.test: cv:K needs at least 2 folds; found {k}. Use cv:5.")
    strata = task_strata(records)

    def deal(groups: Sequence[Group]) -> list[set[int]]:
        if len(groups) < k:
            fewer = f"use fewer folds, as task.test=cv:{len(groups)}"
            raise DataError(
                f"task.test: cv:{k} needs at least {k} rows with unlike prompts; found "
                f"{len(groups)} in {len(records)} rows. Bring more rows"
                f"{f', or {fewer}' if len(groups) > 1 else ' or a test file'}."
            )
        folds: list[set[int]] = [set() for _ in range(k)]
        by_stratum: list[Counter[str]] = [Counter() for _ in range(k)]
        # Large groups first, while there is room to balance them; `sorted` keeps the seeded order.
        # An empty fold is always the least loaded, so none stays empty.
        for group in sorted(_order_groups(records, groups, seed), key=len, reverse=True):
            stratum = strata[group[0]]
            chosen = min(range(k), key=lambda i: (by_stratum[i][stratum], len(folds[i]), i))
            folds[chosen].update(group)
            by_stratum[chosen].update(strata[index] for index in group)
        return folds

    share = max(len(records) // k, 1)
    most = max(share, -(-len(records) // 2))
    return _split(records, deal, instruction, large=2 * share, most=most, least_groups=k)


def warn_of_large_groups(splits: Sequence[Split]) -> list[str]:
    """What a reader should know of groups too large to be balanced, a sentence each.

    Args:
        splits: The splits of a run.
    """
    if not splits:
        return []
    warnings = []
    for group in splits[0].large_groups:
        ids = ", ".join(map(repr, group.ids[:5])) + (" and more" if len(group.ids) > 5 else "")
        if group.is_parted:
            words = (
                "are too many for one side and stand in training and test both, parted where they "
                "are least alike. The score may be too good."
            )
        elif len(splits) > 1:
            words = "are tested in one fold, which is larger than the others and trained on less."
        elif group.ids[0] in {record.id for record in splits[0].test}:
            words = "are held out together, more than were asked for."
        else:
            words = "stay in training together, so that none of them is tested."
        warnings.append(f"Near duplicates, by chains: {len(group.ids)} rows ({ids}) {words}")
    return warnings


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


def _split(
    records: Sequence[Record],
    deal: Callable[[Sequence[Group]], list[set[int]]],
    instruction: str | None,
    *,
    large: int,
    most: int,
    least_groups: int,
) -> list[Split]:
    """Deal out groups until the leak gate finds no near duplicates on both sides.

    What the gate calls near depends on the rows of both sides (what many share does not count), so
    it is asked about each split itself, and what it finds is linked for another try.

    Args:
        records: The rows.
        deal: Gives the test rows of each split.
        instruction: What the rows share.
        large: Rows from which on a group is named though it is whole.
        most: Rows from which on a group is parted.
        least_groups: Groups needed.
    """
    groups = RowGroups(records, instruction)
    while True:
        dealt = deal(groups.members(most=most, least_groups=least_groups))
        if not groups.add_twins(_twins_apart(records, dealt, instruction)):
            break
    named = []
    for group in groups.whole():
        parts = [len(test.intersection(group)) for test in dealt]
        is_parted = any(0 < part < len(group) for part in parts)
        if is_parted or len(group) > large:
            named.append(LargeGroup(tuple(records[i].id for i in group), is_parted))
    return [
        Split(
            train=tuple(record for i, record in enumerate(records) if i not in test),
            test=tuple(record for i, record in enumerate(records) if i in test),
            large_groups=tuple(named),
        )
        for test in dealt
    ]


def _twins_apart(
    records: Sequence[Record], dealt: Sequence[set[int]], instruction: str | None
) -> list[tuple[int, int]]:
    """Rows on both sides of a split that the leak gate would name."""
    found = []
    for test in dealt:
        sides = [i for i in range(len(records)) if i not in test], sorted(test)
        train, held = ([records[i] for i in side] for side in sides)
        pairs = find_twins(train, held, instruction=instruction)
        found += [(sides[0][row], sides[1][like]) for row, like in pairs]
    return found


def _order_groups(
    records: Sequence[Record], groups: Sequence[Group], seed: int
) -> list[tuple[int, ...]]:
    """The groups in a seeded order that is fair to the strata of their first rows."""
    strata = task_strata(records)
    keys = [min(seeded_hash(records[i], seed) for i in group) for group in groups]
    order = fair_order([strata[group[0]] for group in groups], keys)
    return [groups[index] for index in order]
