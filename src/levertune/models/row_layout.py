"""How rows that share their beginnings lie in one packed row, and what each token attends."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from levertune.models.row_tree import RowTree

# Runs at most so many times longer than others are computed beside them, padded.
_LENGTH_RATIO = 2


class RowLayout:
    """Where the runs of a tree lie in one packed row, and what each of them attends.

    Args:
        tree: The rows.
    """

    def __init__(self, tree: RowTree) -> None:
        self._offsets: list[int] = []
        offset = 0
        for run in tree.runs:
            self._offsets.append(offset)
            offset += len(run.ids)
        self._tree = tree
        self.parts = [_Part(self, group) for group in _group_by_length(tree)]
        found = [place for part in self.parts for place in part.places]
        order = sorted(range(len(found)), key=found.__getitem__)
        rank = 0
        starts = []
        for part in self.parts:
            starts.append(rank)
            rank += part.num_padded
        padded = [
            start + at
            for part, start in zip(self.parts, starts, strict=True)
            for at in part.padded_places
        ]
        self.back = torch.tensor([padded[i] for i in order])

    @property
    def input_ids(self) -> torch.Tensor:
        """The packed tokens, `[1, tokens]`."""
        return torch.tensor([[i for run in self._tree.runs for i in run.ids]])

    @property
    def position_ids(self) -> torch.Tensor:
        """Each token's place in its own rows, `[1, tokens]`."""
        runs = self._tree.runs
        return torch.tensor([[run.start + i for run in runs for i in range(len(run.ids))]])

    def places_of_run(self, number: int) -> range:
        """Packed places of a run's tokens."""
        start = self._offsets[number]
        return range(start, start + len(self._tree.runs[number].ids))

    def places_of_row(self, row: int) -> list[int]:
        """Packed place of each token of a row."""
        return [place for run in self._tree.paths[row] for place in self.places_of_run(run)]

    def places_before(self, number: int) -> list[int]:
        """Packed places of a run's tokens and of all before them in its rows."""
        chain: list[int] = []
        run: int | None = number
        while run is not None:
            chain.append(run)
            run = self._tree.runs[run].parent
        return [place for run in reversed(chain) for place in self.places_of_run(run)]

    def start_of(self, number: int) -> int:
        """Position of a run's first token in its rows."""
        return self._tree.runs[number].start


class _Part:
    """Runs of about one length, padded to the longest: `[runs, longest run]` queries."""

    def __init__(self, layout: RowLayout, runs: Sequence[int]) -> None:
        keys = [layout.places_before(run) for run in runs]
        own = [layout.places_of_run(run) for run in runs]
        self.num_queries = max(map(len, own))
        self.num_keys = max(map(len, keys))
        self.num_runs = len(runs)
        self.lengths = [(len(of), len(seen)) for of, seen in zip(own, keys, strict=True)]
        self.num_padded = self.num_runs * self.num_queries
        self.places = [place for places in own for place in places]
        self.padded_places = [
            i * self.num_queries + j for i, places in enumerate(own) for j in range(len(places))
        ]
        self.query_index = _pad(own, self.num_queries).view(-1)
        self.key_index = _pad(keys, self.num_keys).view(-1)
        lengths = torch.tensor([len(places) for places in keys])
        starts = torch.tensor([layout.start_of(run) for run in runs])
        # A key's place in the chain is its position in the row.
        at = starts[:, None] + torch.arange(self.num_queries)
        key = torch.arange(self.num_keys)
        self._behind = at[:, :, None] - key
        self._is_seen = (self._behind >= 0) & (key < lengths[:, None, None])
        self._masks: dict[tuple[torch.dtype, int | None], torch.Tensor] = {}

    def is_mostly_own(self, window: int | None) -> bool:
        """Whether each run sees no more tokens before it than it has, and a window hides none."""
        return all(
            2 * own >= seen and (window is None or seen <= window) for own, seen in self.lengths
        )

    def mask(self, dtype: torch.dtype, window: int | None) -> torch.Tensor:
        """What is added to scores, `[runs, queries, keys]`: 0 where a key is seen."""
        found = self._masks.get((dtype, window))
        if found is None:
            seen = self._is_seen
            if window is not None:
                seen = seen & (self._behind < window)
            found = torch.zeros(seen.shape, dtype=dtype)
            found.masked_fill_(~seen, torch.finfo(dtype).min)
            self._masks[dtype, window] = found
        return found


def _group_by_length(tree: RowTree) -> list[list[int]]:
    order = sorted(range(len(tree.runs)), key=lambda i: (-len(tree.runs[i].ids), i))
    groups: list[list[int]] = []
    for run in order:
        longest = len(tree.runs[groups[-1][0]].ids) if groups else 0
        if not groups or len(tree.runs[run].ids) * _LENGTH_RATIO < longest:
            groups.append([])
        groups[-1].append(run)
    return groups


def _pad(places: Sequence[Sequence[int]], length: int) -> torch.Tensor:
    padded = torch.zeros(len(places), length, dtype=torch.long)
    for i, own in enumerate(places):
        padded[i, : len(own)] = torch.tensor(own)
    return padded
