"""Rows that begin alike, as a tree of token runs: what they share is there once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Ids = Sequence[int]

LEAST_SHARED = 8
"""Tokens that rows must share beyond what they share already, to share them."""


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that some rows have in the same place, after the same tokens.

    Args:
        start: Position of the first of them in its rows.
        ids: The tokens.
        parent: Index of the run before it, or None where its rows begin with it.
    """

    start: int
    ids: tuple[int, ...]
    parent: int | None


@dataclass(frozen=True, slots=True)
class RowTree:
    """Rows as paths through runs of tokens.

    Args:
        runs: The runs, each after its parent.
        paths: For each row the runs it is made of, first to last.
    """

    runs: tuple[Run, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of all runs: what a model has to compute."""
        return sum(len(run.ids) for run in self.runs)


def share_prefixes(rows: Sequence[Ids], *, least: int = LEAST_SHARED) -> RowTree:
    """Find what rows have in common from their beginning on.

    In a causal model a token's state depends on the tokens before it alone, so that of tokens after
    the same beginning one computation serves all rows, and in training one gradient, their sum.
    Task rows of leverage learning begin with the same anchor, chat rows with the same system turn.

    Args:
        rows: Token ids of each row.
        least: Fewest tokens to share; shorter agreements stay apart, but for rows that are equal.

    Returns:
        The tree; the ids along a row's path are the row's.
    """
    runs: list[Run] = []
    paths: list[list[int]] = [[] for _ in rows]
    # Depth first, with a list of its own: rows may agree in very many steps.
    waiting: list[tuple[list[int], int, int | None]] = [(list(range(len(rows))), 0, None)]
    while waiting:
        group, start, parent = waiting.pop()
        parts: dict[tuple[int, ...], list[int]] = {}
        for row in group:
            if len(rows[row]) > start:
                parts.setdefault(tuple(rows[row][start : start + least]), []).append(row)
        for part in parts.values():
            first = rows[part[0]]
            end = _agree_until(rows, part, start)
            runs.append(Run(start, tuple(first[start:end]), parent))
            for row in part:
                paths[row].append(len(runs) - 1)
            waiting.append((part, end, len(runs) - 1))
    return RowTree(tuple(runs), tuple(map(tuple, paths)))


def split_into_passes(rows: Sequence[Ids], max_tokens: int) -> list[list[int]]:
    """Partition rows into passes of at most so many tokens, rows that begin alike together.

    Args:
        rows: Token ids of each row.
        max_tokens: Tokens of a pass once prefixes are shared; a longer row still goes alone.

    Returns:
        Indices of rows, each once.
    """
    order = sorted(range(len(rows)), key=lambda i: (list(rows[i]), i))
    passes: list[list[int]] = []
    tokens = 0
    for index in order:
        row = rows[index]
        if passes:
            shared = _agree_until(rows, [index, passes[-1][-1]], 0)
            added = len(row) - (shared if shared >= LEAST_SHARED else 0)
            if tokens + added <= max_tokens:
                passes[-1].append(index)
                tokens += added
                continue
        passes.append([index])
        tokens = len(row)
    return passes


def _agree_until(rows: Sequence[Ids], group: Sequence[int], start: int) -> int:
    """Position up to which all rows of a group are equal, equal before `start` already."""
    first = rows[group[0]]
    end = min(len(rows[index]) for index in group)
    for index in group[1:]:
        row = rows[index]
        at = start
        while at < end and row[at] == first[at]:
            at += 1
        end = at
    return end
