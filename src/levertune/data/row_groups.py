"""Which task rows belong on one side of a split: chains of near duplicates, parted where they must.

Two rows are linked if their prompts are equal or have a Jaccard index of 0.8, or if the leak gate
would call one a leak of the other. Groups are the chains of links (single linkage): wherever a
chain is cut, two linked rows stand on two sides.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from levertune.data.agreement import are_one_prompt
from levertune.data.near_duplicates import (
    MAX_NEAR_ROWS,
    NEAR_THRESHOLD,
    group_near_duplicates,
)
from levertune.data.records import Record
from levertune.data.reworded import RewordedIndex
from levertune.data.row_texts import compared_texts, make_own_text
from levertune.data.word_runs import MAX_ROWS_OF_A_RUN

Link = tuple[int, int]

# How a group too large to be kept is parted: first along links between rows of one template, which
# are no leaks of each other, then along leaks; equal prompts always stay together.
_CLOSER_THRESHOLD = 0.9


class RowGroups:
    """The rows of a task, linked.

    Args:
        records: The rows.
        instruction: The instruction they share, left out where they are compared.
    """

    def __init__(self, records: Sequence[Record], instruction: str | None = None) -> None:
        own_text = make_own_text(instruction)
        self._compared = [compared_texts(r, own_text, instruction) for r in records]
        self._texts = [row.prompt for row in self._compared]
        self._equal = [
            *_link_equal(self._texts),
            *_link_equal([row.prompt_key for row in self._compared]),
        ]
        self._twins = self._find_reworded()
        everything = range(len(records))
        self._whole = _components(
            everything, [*self._equal, *self._twins, *self._link_near(everything, NEAR_THRESHOLD)]
        )

    def add_twins(self, pairs: Iterable[Link]) -> bool:
        """Link rows that the leak gate finds alike.

        Args:
            pairs: Indices of rows.

        Returns:
            Whether any of them were not linked before.
        """
        label = _labels(_components(range(len(self._texts)), [*self._equal, *self._twins]))
        new = [(i, j) for i, j in pairs if label[i] != label[j]]
        self._twins += new
        whole = [(group[0], i) for group in self._whole for i in group]
        self._whole = _components(range(len(self._texts)), [*whole, *new])
        return bool(new)

    def members(self, *, most: int, least_groups: int) -> list[tuple[int, ...]]:
        """The rows of each group.

        A group is parted only if it holds more than `most` rows, or if there are fewer groups than
        are needed: along links by a Jaccard index below 0.9 first, then along all that are no leaks
        by the gate, then along the gate's own.

        Args:
            most: Most rows of a group.
            least_groups: Groups needed.

        Returns:
            The groups; some may be larger, or too few, where rows with equal prompts are.
        """
        level_of = dict.fromkeys(self._whole, 0)
        while True:
            can_part = [g for g, level in level_of.items() if level < 3 and len(g) > 1]
            if len(level_of) >= least_groups:
                can_part = [g for g in can_part if len(g) > most]
            if not can_part:
                return sorted(level_of)
            largest = max(can_part, key=lambda g: (len(g), -g[0]))
            level = level_of.pop(largest) + 1
            level_of.update(dict.fromkeys(_components(largest, self._links(largest, level)), level))

    def whole(self) -> list[tuple[int, ...]]:
        """The groups before any is parted."""
        return self._whole

    def _links(self, rows: Sequence[int], level: int) -> list[Link]:
        links = list(self._equal)
        if level < 3:
            links += self._twins
        if level < 2:
            links += self._link_near(rows, _CLOSER_THRESHOLD)
        return links

    def _link_near(self, rows: Sequence[int], threshold: float) -> list[Link]:
        if len(rows) > MAX_NEAR_ROWS:
            return []
        labels = group_near_duplicates([self._texts[i] for i in rows], threshold=threshold)
        return [(rows[label], row) for row, label in zip(rows, labels, strict=True)]

    def _find_reworded(self) -> list[Link]:
        """Rows that differ in one word.

        The gate passes over what more than ten rows of either side leave the same, so up to twenty
        rows of both may be leaks of each other.
        """
        index = RewordedIndex(self._compared, max_rows=2 * MAX_ROWS_OF_A_RUN)
        index.add(self._compared, 0)
        return [
            (i, j)
            for i, j in index.pairs()
            if i < j and are_one_prompt(self._compared[i], self._compared[j])
        ]


def _link_equal(keys: Sequence[Hashable]) -> list[Link]:
    first_of: dict[Hashable, int] = {}
    return [(first_of.setdefault(key, i), i) for i, key in enumerate(keys)]


def _components(rows: Sequence[int], links: Iterable[Link]) -> list[tuple[int, ...]]:
    """Connected groups of some rows by the links among them, by their first rows."""
    parent = {row: row for row in rows}

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for left, right in links:
        if left in parent and right in parent:
            low, high = sorted((root(left), root(right)))
            parent[high] = low
    groups: dict[int, list[int]] = {}
    for row in rows:
        groups.setdefault(root(row), []).append(row)
    return [tuple(group) for group in groups.values()]


def _labels(groups: Sequence[tuple[int, ...]]) -> dict[int, int]:
    return {row: group[0] for group in groups for row in group}
