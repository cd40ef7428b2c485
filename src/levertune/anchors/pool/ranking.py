"""Entries by what they were measured to gain: verified gains, shrunken towards the pool's mean.

Random effects, estimated as by DerSimonian and Laird ("Meta-analysis in clinical trials", 1986),
and the empirical Bayes mean of each entry, as by Morris ("Parametric empirical Bayes inference",
1983), which is James and Stein's estimator for standard errors that differ. Of entry i, with gains
g of standard errors s (the 95 % interval's width over 2 * 1.96), where runs of one model on one
task file are a group j:

    x_j = sum(g / s^2) / sum(1 / s^2)     u_j = mean(s^2)             over the runs of the group
    v_i = 1 / sum(1 / u)                  y_i = v_i * sum(x / u)      over the groups
    w_i = 1 / v_i                         m = sum(w y) / sum(w)       Q = sum(w (y - m)^2)
    tau^2 = max(0, (Q - (k - 1)) / (sum(w) - sum(w^2) / sum(w)))      over k entries
    mu = sum(y / (v + tau^2)) / sum(1 / (v + tau^2))                  the pool's mean
    B_i = v_i / (v_i + tau^2)             shrunken gain = mu + (1 - B_i) (y_i - mu)
    standard error = sqrt((1 - B_i) v_i + B_i^2 / sum(1 / (v + tau^2)))

An entry measured once on few rows is thus not put first by luck. Nor does it get surer where the
same rows are run again: what they happen to be is common to all runs on them, so a group's error
is that of one run of it, while other rows or another model count as new. Where the gains differ no
more than their errors let expect, tau is 0, all have the pool's mean, and the rest decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from levertune.anchors.pool.entry import PoolEntry, PoolEvidence
from levertune.anchors.pool.rules import Against, Answer
from levertune.anchors.pool.search import NUM_SIMILAR, Match, find_similar
from levertune.data.records import Record

# Half the width of a 95 % interval of a normal distribution, in standard errors.
_Z = 1.959963984540054
# An interval may have no width where no row differs; a score says no less than half a row.
_LEAST_ERROR_IN_ROWS = 0.5


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entry in its place.

    Args:
        entry: The entry.
        gain: Its shrunken gain in points; None without a verified gain.
        error: The standard error of that.
        against: What the gain is measured against; None without one.
        num_runs: Verified runs it rests on.
    """

    entry: PoolEntry
    gain: float | None = None
    error: float | None = None
    against: Against | None = None
    num_runs: int = 0

    @property
    def is_verified(self) -> bool:
        """Whether a verified gain put it where it is."""
        return self.gain is not None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An entry for the user's rows.

    Args:
        ranked: The entry and its gain.
        match: How like it is to the rows.
    """

    ranked: Ranked
    match: Match


def rank_entries(entries: Sequence[PoolEntry]) -> tuple[Ranked, ...]:
    """Order entries by their shrunken verified gain.

    Gains against the best SFT arm and gains against the base model are not of one size, so each
    kind is shrunken apart. Entries with one against SFT come first, then those with one against
    the base model alone, last those without a verified gain. Votes, then ids, break ties.

    Args:
        entries: The pool.

    Returns:
        The entries, the best first.
    """
    return tuple(sorted(_score_entries(entries), key=lambda r: (_place(r), *_ties(r.entry))))


def suggest_anchors(
    entries: Sequence[PoolEntry],
    records: Sequence[Record],
    *,
    answer: Answer | None = None,
    languages: Sequence[str] = (),
    num_similar: int = NUM_SIMILAR,
) -> tuple[Suggestion, ...]:
    """The entries most like the rows, those with the highest verified gain first.

    Similarity chooses the `num_similar` entries, rank orders them: those enough like the rows
    (`Match.is_alike`) first, then the shrunken gain (over the whole pool), then similarity, then
    votes, then ids.

    Args:
        entries: The pool.
        records: The task rows in training.
        answer: Their kind of answer, or None if it is unknown.
        languages: Primary tags of their languages; empty if they are unknown.
        num_similar: How many entries to give.

    Returns:
        The suggestions, the best first.
    """
    matches = find_similar(entries, records, answer=answer, languages=languages, num=num_similar)
    ranked = {one.entry.id: one for one in _score_entries(entries)}
    suggestions = [Suggestion(ranked[match.entry.id], match) for match in matches]
    suggestions.sort(
        key=lambda one: (
            not one.match.is_alike,
            _place(one.ranked),
            -one.match.score,
            *_ties(one.ranked.entry),
        )
    )
    return tuple(suggestions)


def claimed_gain(entry: PoolEntry) -> tuple[float, Against] | None:
    """The gain that nobody verified, which ranks nothing.

    Args:
        entry: The entry.

    Returns:
        The mean of those against SFT, or else of those against the base model, in points, and
        which it is; None without any.
    """
    for against in get_args(Against):
        if gains := _list_gains(entry, against, verified=False):
            return _combine(gains)[0], against
    return None


def _place(ranked: Ranked) -> tuple[int, float]:
    if ranked.against is None or ranked.gain is None:
        return len(get_args(Against)), 0.0
    return get_args(Against).index(ranked.against), -ranked.gain


def _ties(entry: PoolEntry) -> tuple[int, str]:
    return -entry.votes, entry.id


def _score_entries(entries: Sequence[PoolEntry]) -> list[Ranked]:
    by_id = {entry.id: entry for entry in entries}
    scored: dict[str, Ranked] = {}
    for against in get_args(Against):
        gains = {e.id: found for e in entries if (found := _list_gains(e, against))}
        combined = {name: _combine(found) for name, found in gains.items()}
        for name, (gain, error) in _shrink(combined).items():
            ranked = Ranked(by_id[name], gain, error, against, len(gains[name]))
            scored.setdefault(name, ranked)
    return [scored.get(entry.id, Ranked(entry)) for entry in entries]


def _list_gains(entry: PoolEntry, against: Against, *, verified: bool = True) -> list[PoolEvidence]:
    """One gain a run: several metrics of one run would count the same rows twice."""
    by_run: dict[str, PoolEvidence] = {}
    for evidence in sorted(entry.evidence, key=lambda e: e.measurement):
        if evidence.verified == verified and evidence.against == against:
            by_run.setdefault(evidence.run, evidence)
    return list(by_run.values())


def _combine(gains: Sequence[PoolEvidence]) -> tuple[float, float]:
    """Mean of an entry's gains, weighted by their precision, and its variance."""
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for gain in gains:
        figure = (gain.gain, _standard_error(gain) ** 2)
        groups.setdefault((gain.task, gain.model), []).append(figure)
    means = [
        (_weigh(group)[0], sum(variance for _, variance in group) / len(group))
        for group in groups.values()
    ]
    return _weigh(means)


def _weigh(figures: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of independent values, weighted by their precision, and its variance."""
    total = sum(1 / variance for _, variance in figures)
    return sum(value / variance for value, variance in figures) / total, 1 / total


def _standard_error(evidence: PoolEvidence) -> float:
    low, high = evidence.interval
    return max((high - low) / (2 * _Z), 100 * _LEAST_ERROR_IN_ROWS / evidence.n)


def _shrink(combined: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Shrunken gain and standard error of each entry, from its mean and variance."""
    if not combined:
        return {}
    weights = {name: 1 / variance for name, (_, variance) in combined.items()}
    total = sum(weights.values())
    centre = sum(weights[name] * mean for name, (mean, _) in combined.items()) / total
    spread = sum(weights[name] * (mean - centre) ** 2 for name, (mean, _) in combined.items())
    scale = total - sum(weight**2 for weight in weights.values()) / total
    between = max(0.0, (spread - (len(combined) - 1)) / scale) if len(combined) > 1 else 0.0
    precision = sum(1 / (variance + between) for _, variance in combined.values())
    pool_mean = sum(m / (v + between) for m, v in combined.values()) / precision
    shrunken = {}
    for name, (mean, variance) in combined.items():
        share = variance / (variance + between)
        gain = pool_mean + (1 - share) * (mean - pool_mean)
        shrunken[name] = (gain, math.sqrt((1 - share) * variance + share**2 / precision))
    return shrunken
