"""Some rows of many: seeded orders whose every front is a fair draw, and plain samples.

Two kinds of fair. Rows to learn from are *sampled*: strata in proportion, and every row as likely
as any other, since to leave out all that is rare would make another pool of it. Rows to judge on
are *allotted*: each stratum its share to within one row, so that few rows stand for the whole; what
is too rare for a row of its own may have none.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

from levertune.data.records import Record
from levertune.errors import DataError

# Completions are labels when they are short and most of them come back. `scoring.kinds` tells label
# tasks by the same rule; a test holds the two together.
_LABEL_MAX_CHARACTERS = 60
_LABEL_MIN_COVERAGE = 0.5

Item = TypeVar("Item")


def label_counts(records: Sequence[Record]) -> dict[str, int] | None:
    """How often each label occurs, where the completions are labels.

    Args:
        records: The rows.

    Returns:
        Counts, the most frequent first; None where the completions are no labels: longer than a
        line of 60 characters, or mostly met once only.
    """
    counts = Counter(record.completion.strip() for record in records)
    if any(len(label) > _LABEL_MAX_CHARACTERS or "\n" in label for label in counts):
        return None
    num_recurring = sum(count for count in counts.values() if count > 1)
    if len(records) < 2 or num_recurring < _LABEL_MIN_COVERAGE * len(records):
        return None
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def task_strata(records: Sequence[Record]) -> list[str]:
    """The stratum of each task row: as the file says, else its label, else one for all."""
    if any(record.stratum for record in records):
        return [record.stratum for record in records]
    if label_counts(records) is not None:
        return [record.completion.strip() for record in records]
    return [""] * len(records)


def sample_items(items: Sequence[Item], most: int) -> Sequence[Item]:
    """So many of the items, drawn with a fixed seed, in their order; all if they are no more.

    Not every n-th: files often go round their labels, templates or families, and every n-th row
    may then be of one of them.

    Args:
        items: The items.
        most: How many to draw.
    """
    if len(items) <= most:
        return items
    drawn = random.Random(0).sample(range(len(items)), most)
    return [items[index] for index in sorted(drawn)]


def seeded_hash(record: Record, seed: int) -> bytes:
    """Where a row falls in a seeded order; it depends on its content, not on its place."""
    digest = hashlib.blake2b(str(seed).encode("ascii"), digest_size=16)
    parts = [text for turn in record.prompt for text in (turn.role, turn.content)]
    for part in (*parts, record.completion, record.source):
        digest.update(b"\0" + part.encode("utf-8"))
    return digest.digest()


def fair_order(strata: Sequence[Hashable], keys: Sequence[bytes]) -> list[int]:
    """Order items so that every front holds each stratum in proportion, to within one item.

    Items of one stratum come in the order of their keys. Strata take turns by Tijdeman's rule ("The
    chairman assignment problem", 1980). Largest remainders would be as close for one size, but a
    larger draw could then lose rows of a smaller one.

    Args:
        strata: The stratum of each item.
        keys: A hash of each item, for the order within its stratum.

    Returns:
        Indices of the items.
    """
    queues: dict[Hashable, list[int]] = {}
    for index in sorted(range(len(strata)), key=lambda i: (keys[i], i)):
        queues.setdefault(strata[index], []).append(index)
    if len(queues) <= 1:
        return [index for queue in queues.values() for index in queue]
    total, slack = len(strata), 2 * (len(queues) - 1)
    members = list(queues.values())

    def release(stratum: int, taken: int) -> int:
        """First turn at which a stratum may give its next item."""
        return -(-(slack * taken + 1) * total // (slack * len(members[stratum])))

    # The stratum whose next item is due soonest goes first; equal ones by their hash order.
    waiting = [(release(i, 0), i, 0) for i in range(len(members))]
    heapq.heapify(waiting)
    ready: list[tuple[int, int, int]] = []
    order: list[int] = []
    for turn in range(1, total + 1):
        while waiting and waiting[0][0] <= turn:
            _, i, taken = heapq.heappop(waiting)
            # In units of 1 / slack turns, which keeps it whole.
            due = (slack * (taken + 1) - 1) * total // len(members[i])
            heapq.heappush(ready, (due, i, taken))
        _, i, taken = heapq.heappop(ready)
        order.append(members[i][taken])
        if taken + 1 < len(members[i]):
            heapq.heappush(waiting, (release(i, taken + 1), i, taken + 1))
    return order


def sampled_order(strata: Sequence[Sequence[Hashable]], keys: Sequence[bytes]) -> list[int]:
    """Order items so that every front is a sample of them, strata about in proportion.

    Systematic sampling with a random start for each stratum (Madow and Madow, "On the theory of
    systematic sampling", 1944): of a stratum's `n` items, in the order of their keys, the one with
    number `k` from 0 is due at `(k + u) / n`. The start `u` is drawn anew for each stratum, so a
    rare one has its turn as often as its share says; by `fair_order` it would never have one in a
    small draw, and all of a source's many rare strata together would be drawn too seldom.

    Args:
        strata: Of each item its stratum, that within the stratum, and so on; of equal lengths.
        keys: A hash of each item, for the order within its stratum and for the starts.

    Returns:
        Indices of the items.
    """

    def ordered(indices: list[int], level: int) -> list[int]:
        if level == len(strata[indices[0]]):
            return sorted(indices, key=lambda i: (keys[i], i))
        groups: dict[Hashable, list[int]] = {}
        for index in indices:
            groups.setdefault(strata[index][level], []).append(index)
        due = []
        for group in groups.values():
            start = _uniform(min(keys[i] for i in group), level)
            for number, index in enumerate(ordered(group, level + 1)):
                due.append(((number + start) / len(group), keys[index], index))
        return [index for *_, index in sorted(due)]

    return ordered(list(range(len(strata))), 0) if strata else []


def _uniform(key: bytes, level: int) -> float:
    """A number from 0 to 1 that a key decides."""
    digest = hashlib.blake2b(key, digest_size=8, salt=str(level).encode("ascii")).digest()
    return int.from_bytes(digest, "big") / 2**64


def draw_rows(records: Sequence[Record], n: int, *, seed: int, stratified: bool) -> list[Record]:
    """Draw rows to learn from, the first `n` of one seeded order.

    Args:
        records: The rows.
        n: How many; all of them where there are fewer.
        seed: Seed of the order.
        stratified: Whether sources, and strata within them, are drawn about in proportion to their
            rows; else that is left to chance. Each row is as likely as any other both ways.

    Returns:
        The rows drawn, in that order.

    Raises:
        DataError: If `n` is negative.
    """
    if n < 0:
        raise DataError(f"general.rows: must not be negative; found {n}. Use 0 for none.")
    strata = [(r.source, r.stratum) if stratified else () for r in records]
    order = sampled_order(strata, [seeded_hash(record, seed) for record in records])
    return [records[index] for index in order[:n]]


def allot_rows(records: Sequence[Record], n: int, *, seed: int) -> list[Record]:
    """Rows to judge on: each source and stratum has its share, to within one row.

    Args:
        records: The rows.
        n: How many; all of them where there are fewer.
        seed: Seed of the order.

    Returns:
        The rows.
    """
    strata = [(record.source, record.stratum) for record in records]
    order = fair_order(strata, [seeded_hash(record, seed) for record in records])
    return [records[index] for index in order[:n]]
