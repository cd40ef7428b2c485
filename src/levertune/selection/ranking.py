"""The nearest candidates of each task row, found block by block in bounded memory, and exactly.

A block's scores must not depend on which rows share the block; then neither do the lists.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_SCORES = 1 << 22
"""Scores held at a time: 32 MB."""


class Similarity(Protocol):
    """How near each candidate is to each task row."""

    @property
    def num_task(self) -> int:
        """Task rows."""
        ...

    @property
    def num_candidates(self) -> int:
        """Candidates."""
        ...

    @property
    def floor(self) -> float | None:
        """The score of a row that has nothing in common with the task row; None if none is."""
        ...

    def block(self, start: int, stop: int) -> Array:
        """Scores `[task rows, stop - start]` of the candidates from `start` to `stop`."""
        ...


def block_length(similarity: Similarity) -> int:
    """Candidates to score at a time."""
    return max(256, BLOCK_SCORES // max(1, similarity.num_task))


def rank_nearest(
    similarity: Similarity,
    k: int,
    allowed: Array,
    *,
    floor: float | None = None,
    block_rows: int | None = None,
) -> tuple[Array, Array]:
    """The `k` nearest allowed candidates of each task row; of equal ones, those that come first.

    Args:
        similarity: The scores.
        k: How many.
        allowed: Which candidates may be listed, a boolean each.
        floor: Leave out candidates that score no more than this.
        block_rows: Candidates to score at a time; changes no list. None: as memory allows.

    Returns:
        Indices `[task rows, k]`, -1 where a list has run out, and their scores.
    """
    length = block_rows or block_length(similarity)
    indices = np.full((similarity.num_task, k), -1, dtype=np.int64)
    scores = np.full((similarity.num_task, k), -np.inf)
    for start in range(0, similarity.num_candidates, length):
        stop = min(start + length, similarity.num_candidates)
        open_rows = np.flatnonzero(allowed[start:stop])
        if not len(open_rows):
            continue
        block = similarity.block(start, stop)[:, open_rows]
        for task_row in range(similarity.num_task):
            # A later candidate must be strictly nearer than the last of a full list.
            last = scores[task_row, -1] if indices[task_row, -1] >= 0 else -np.inf
            if floor is not None:
                last = max(last, floor)
            new = np.flatnonzero(block[task_row] > last)
            if not len(new):
                continue
            size = int((indices[task_row] >= 0).sum())
            both = np.concatenate((scores[task_row, :size], block[task_row, new]))
            places = np.concatenate((indices[task_row, :size], open_rows[new] + start))
            order = np.argsort(-both, kind="stable")[:k]
            indices[task_row, : len(order)] = places[order]
            scores[task_row, : len(order)] = both[order]
    return indices, scores


def best_match(similarity: Similarity, *, block_rows: int | None = None) -> tuple[Array, Array]:
    """Each candidate's highest score, and the task row that gives it (the first of equal ones)."""
    length = block_rows or block_length(similarity)
    best = np.empty(similarity.num_candidates)
    task_rows = np.empty(similarity.num_candidates, dtype=np.int64)
    for start in range(0, similarity.num_candidates, length):
        stop = min(start + length, similarity.num_candidates)
        block = similarity.block(start, stop)
        task_rows[start:stop] = block.argmax(axis=0)
        best[start:stop] = block.max(axis=0)
    return best, task_rows


class ScoreTable:
    """Scores that are all there already.

    Args:
        scores: `[task rows, candidates]`.
        floor: As `Similarity.floor`.
    """

    def __init__(self, scores: Array, floor: float | None = None) -> None:
        self._scores = scores
        self.num_task, self.num_candidates = scores.shape
        self.floor = floor

    def block(self, start: int, stop: int) -> Array:
        """Scores of the candidates from `start` to `stop`."""
        return self._scores[:, start:stop]
