"""A race over folds: every candidate on the first fold, those that are good enough on the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from levertune.results.tuning import RowLoss, Trial, Value

Settings = Mapping[str, Value]

_GENERAL_ROWS = "general.rows"

_COLLAPSED_BELOW = 0.5
"""Share of the best candidate's fall in training loss below which one has hardly learnt."""


@dataclass(frozen=True, slots=True)
class Race:
    """The trials of a race.

    Args:
        trials: For each candidate, in the order given, its trials fold by fold.
        winner: Index of the candidate chosen.
    """

    trials: tuple[tuple[Trial, ...], ...]
    winner: int


class Rule(Protocol):
    """Who stays in a race, and who wins it. Both are asked of candidates by their index."""

    def most_trials(self, num_candidates: int, num_folds: int) -> list[int]:
        """Most candidates that are measured on each fold, first to last."""

    def survivors(self, trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> list[int]:
        """Those of the candidates still in the race that go on to the next fold."""

    def winner(self, trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> int:
        """The winner among those measured on every fold that was needed."""


class Halving:
    """Successive halving: the better half goes on, at least two; the lowest NLL wins.

    Jamieson & Talwalkar, 1502.07943, figure 1, with folds as the resource.
    """

    def most_trials(self, num_candidates: int, num_folds: int) -> list[int]:
        """Candidates that are measured on each fold, first to last."""
        counts = []
        left = num_candidates
        for _ in range(num_folds):
            counts.append(left)
            left = min(left, _half(left))
        return counts

    def survivors(self, trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> list[int]:
        """The better half, and at least two."""
        ranked = sorted(left, key=lambda i: (mean_loss(trials[i]), i))
        return sorted(ranked[: _half(len(left))])

    def winner(self, trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> int:
        """The candidate with the lowest NLL; between equals the first."""
        return min(left, key=lambda i: (mean_loss(trials[i]), i))


def race(
    candidates: Sequence[Settings],
    num_folds: int,
    run_trials: Callable[[Sequence[Settings], int], Sequence[Trial]],
    rule: Rule,
) -> Race:
    """Find the best candidate, fold by fold.

    A candidate is judged by all folds it was measured on, and trained whole on each, so that no
    shortened schedule decides between amounts of data. A race that one candidate is left in ends.

    Args:
        candidates: The candidates, the cheapest first: between equals the first wins.
        num_folds: Folds there are.
        run_trials: Trains and measures candidates on a fold, and gives their trials in order.
        rule: Who stays and who wins.

    Returns:
        All trials and the winner.

    Raises:
        ValueError: If there is no candidate or no fold.
    """
    if not candidates or num_folds < 1:
        raise ValueError("a race needs a candidate and a fold")
    trials: list[list[Trial]] = [[] for _ in candidates]
    left = list(range(len(candidates)))
    for fold in range(num_folds):
        found = run_trials([candidates[index] for index in left], fold)
        for index, trial in zip(left, found, strict=True):
            trials[index].append(trial)
        if fold < num_folds - 1:
            left = rule.survivors(trials, left)
            if len(left) == 1:
                break
    return Race(tuple(map(tuple, trials)), rule.winner(trials, left))


def mean_loss(trials: Sequence[Trial]) -> float:
    """Nats per supervised token over all validation rows; infinite if a training failed."""
    rows = [row for trial in trials for row in trial.rows]
    tokens = sum(row.tokens for row in rows)
    if not tokens or any(trial.failure is not None for trial in trials):
        return math.inf
    total = sum(row.nll for row in rows) / tokens
    return total if math.isfinite(total) else math.inf


def compare(trials: Sequence[Trial], others: Sequence[Trial]) -> tuple[float, float | None, int]:
    """Difference in nats per token, paired by row, on the folds both were measured on.

    Candidates are ranked by nats per token, so that is what is compared. A mean over rows of each
    row's own nats per token would weigh a short answer's tokens more, and may well be of another
    sign. The standard error is that of a difference of two ratios with rows as units (Cochran,
    Sampling techniques, 1977, chapter 6); where all rows have as many tokens it is that of their
    mean difference.

    Args:
        trials: Trials of one candidate.
        others: Trials of another.

    Returns:
        The difference, its standard error (None below two rows), and the number of rows; a
        difference of NaN where no row is common.
    """
    mine, theirs = _by_row(trials), _by_row(others)
    keys = [key for key in mine if key in theirs]
    n = len(keys)
    if n == 0:
        return math.nan, None, 0
    own, own_parts = _ratio([mine[key] for key in keys])
    other, other_parts = _ratio([theirs[key] for key in keys])
    if n == 1:
        return own - other, None, 1
    squares = sum((a - b) ** 2 for a, b in zip(own_parts, other_parts, strict=True))
    return own - other, math.sqrt(squares * n / (n - 1)), n


def find_collapsed(trials: Sequence[Sequence[Trial]]) -> set[int]:
    """Candidates that hardly learnt the task rows they were trained on, for the general rows.

    Below a critical share of the mixture a small set is hardly learnt at all (2505.18091). A
    candidate has collapsed when its training loss on task rows fell by less than half of what the
    best candidate's fell, on average over the folds both were trained on, at more general rows for
    a task row than that one's. It is compared with candidates that differ in nothing else: fewer
    exposures or a lower learning rate teach less as well.

    Args:
        trials: Trials of each candidate.

    Returns:
        Indices of the candidates.
    """
    alike: dict[frozenset[tuple[str, Value]], dict[int, Sequence[Trial]]] = {}
    for index, own in enumerate(trials):
        others = frozenset(item for item in own[0].settings.items() if item[0] != _GENERAL_ROWS)
        alike.setdefault(others, {})[index] = own
    return {index for group in alike.values() for index in _collapsed_of(group)}


def _collapsed_of(trials: Mapping[int, Sequence[Trial]]) -> set[int]:
    """Those of some candidates that learnt far less than the best of them, at more general rows."""
    falls = {index: found for index, own in trials.items() if (found := _falls(own))}
    if not falls:
        return set()
    ratios = {index: trials[index][0].general_rows / trials[index][0].train_rows for index in falls}
    best = max(falls, key=lambda i: (sum(falls[i].values()) / len(falls[i]), ratios[i]))
    collapsed = set()
    for index, own_falls in falls.items():
        folds = own_falls.keys() & falls[best].keys()
        most = sum(falls[best][fold] for fold in folds)
        reached = sum(own_falls[fold] for fold in folds)
        if ratios[index] > ratios[best] and most > 0 and reached < _COLLAPSED_BELOW * most:
            collapsed.add(index)
    return collapsed


def _half(num: int) -> int:
    return max(2, math.ceil(num / 2))


def _falls(trials: Sequence[Trial]) -> dict[int, float]:
    """By how much the training loss on task rows fell, fold by fold."""
    return {
        trial.fold: trial.first_loss - trial.last_loss
        for trial in trials
        if trial.failure is None and trial.first_loss is not None and trial.last_loss is not None
    }


def _by_row(trials: Sequence[Trial]) -> dict[tuple[int, str], RowLoss]:
    return {(trial.fold, row.id): row for trial in trials for row in trial.rows}


def _ratio(rows: Sequence[RowLoss]) -> tuple[float, list[float]]:
    """Nats per token of all rows, and by how much each row moves it."""
    tokens = sum(row.tokens for row in rows)
    ratio = sum(row.nll for row in rows) / tokens
    return ratio, [(row.nll - ratio * row.tokens) / tokens for row in rows]
