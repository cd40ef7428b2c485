"""`anchor score`: what anchors do to a base model's prompts and losses before any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from levertune.anchors.anchor import Anchor, Example, plain_example
from levertune.anchors.plane import fit_plane
from levertune.anchors.separability import Separability, measure_separability
from levertune.data.records import Record
from levertune.errors import DataError
from levertune.evaluation.likelihood import RowLikelihood, score_likelihood
from levertune.models.hardware import Hardware
from levertune.models.rendering import ChatTokenizer
from levertune.progress import Progress
from levertune.results.anchor_scores import (
    NO_ANCHOR,
    AnchorScore,
    AnchorScores,
    Ends,
    Picture,
    Points,
)
from levertune.scoring.intervals import (
    Interval,
    bootstrap_difference,
    bootstrap_metric,
    mean_interval,
)
from levertune.scoring.scored import Scored, scored_ratio
from levertune.scoring.two_samples import auc_interval, jackknife_interval
from levertune.selection.encoder import LAYER_SHARE
from levertune.selection.states import count_layers, last_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Array = np.ndarray[Any, np.dtype[Any]]

_APART = ("auc", "silhouette", "energy", "spread")


@dataclass(frozen=True, slots=True)
class ScoredAnchors(AnchorScores):
    """Scores of anchors with what they were made of.

    Args:
        baseline: The task rows without an anchor.
        scores: One score an anchor, in the order given.
        picture: Before and after in two dimensions; None without rows of both kinds.
        notes: General rows that were left out, and why.
        likelihoods: Each row's likelihood by anchor id, for comparisons row by row; an anchor
            whose rows do not all fit has none.
    """

    likelihoods: dict[str, tuple[RowLikelihood, ...]]


@dataclass(frozen=True, slots=True)
class _Probe:
    """The base model, and the settings all anchors are looked at with."""

    model: PreTrainedModel
    tokenizer: ChatTokenizer
    hardware: Hardware
    max_length: int
    num_layers: int
    progress: Progress | None

    def prompt_ids(self, examples: Sequence[Example]) -> list[list[int]]:
        """Prompts up to where an answer begins, any lead-in aside.

        With the lead-in the last token of anchored prompts would be another than that of general
        ones, and tell them apart by itself.
        """
        return [self.tokenizer.encode_prompt(replace(one, lead_in="")) for one in examples]

    def states(self, prompts: Sequence[Sequence[int]], label: str) -> Array:
        return last_states(
            self.model,
            prompts,
            num_layers=self.num_layers,
            hardware=self.hardware,
            pad_id=self.tokenizer.pad_id,
            progress=self.progress,
            label=label,
        )


def score_anchors(
    model: PreTrainedModel,
    tokenizer: ChatTokenizer,
    anchors: Sequence[Anchor],
    task: Sequence[Record],
    general: Sequence[Record],
    *,
    hardware: Hardware,
    max_length: int,
    seed: int,
    layer_share: float = LAYER_SHARE,
    progress: Progress | None = None,
) -> ScoredAnchors:
    """Score anchors under a base model, without training.

    Every anchor is measured on the same rows, with the same folds and draws. Where an anchor leaves
    some rows longer than `max_length`, it has no figures but its tokens, since those of the other
    rows could not be compared; a note says how many rows it pushes over.

    Args:
        model: The base model.
        tokenizer: Its tokenizer.
        anchors: The anchors; one id may occur once only.
        task: Task rows in training, at least one, with a shared instruction lifted out. No test
            row: what is chosen by these scores is chosen by these rows.
        general: General rows; those without a prompt, or longer than `max_length`, are left out
            and counted.
        hardware: Device and precision.
        max_length: Tokens of the longest row that may be trained on.
        seed: Seed of folds and bootstrap draws.
        layer_share: Share of the layers, the lowest, whose states are looked at.
        progress: Where to show progress.

    Returns:
        The scores, and the picture.

    Raises:
        DataError: If there is no task row, or a row or an anchor holds one of the model's control
            tokens.
        ModelError: If the model's layers cannot be found.
        ValueError: If an anchor is given twice.
    """
    if not task:
        raise DataError("anchor score: has no task row to measure on. Give some under task.path.")
    if len({anchor.id for anchor in anchors}) < len(anchors):
        raise ValueError("an anchor is given twice")
    num_layers = max(1, round(layer_share * count_layers(model)))
    probe = _Probe(model, tokenizer, hardware, max_length, num_layers, progress)
    kept, notes = _usable(general, probe)
    general_states = probe.states(kept, "states of general prompts")
    plain = [plain_example(record) for record in task]
    plain_lengths = np.array([len(tokenizer.encode_prompt(one)) for one in plain])
    likelihoods: dict[str, tuple[RowLikelihood, ...]] = {}
    states: dict[str, Array] = {}
    scores = []
    for number, anchor in enumerate((None, *anchors)):
        key = anchor.id if anchor else NO_ANCHOR
        examples = [anchor.apply(record) for record in task] if anchor else plain
        label = f"anchor {number} of {len(anchors)}" if anchor else "without an anchor"
        over = _measure(key, examples, probe, label, likelihoods, states)
        lengths = np.array([len(tokenizer.encode_prompt(one)) for one in examples])
        added = float((lengths - plain_lengths).mean())
        figures, why = _nll_figures(key, likelihoods, seed)
        apart, more = _apart_figures(states.get(key), general_states, seed)
        reason = (
            f"no figures: {over} of {len(task)} rows are longer than {max_length} tokens "
            f"{'with it' if anchor else 'even without an anchor'}"
        )
        scores.append(
            AnchorScore(
                anchor_id=key,
                text=anchor.text if anchor else "",
                placement=anchor.placement if anchor else "",
                num_rows=len(task),
                num_general=len(kept),
                tokens_per_row=added * (1 - anchor.dropout) if anchor else 0.0,
                tokens_per_request=added,
                notes=(reason,) if over else (*why, *more),
                **figures,
                **apart,
            )
        )
    picture = _draw(states, general_states)
    return ScoredAnchors(scores[0], tuple(scores[1:]), picture, notes, likelihoods)


def _usable(general: Sequence[Record], probe: _Probe) -> tuple[list[list[int]], tuple[str, ...]]:
    """Ids of the general prompts that can be looked at, and what was left out."""
    with_prompt = [record for record in general if not record.is_text]
    prompts = probe.prompt_ids([plain_example(record) for record in with_prompt])
    kept = [ids for ids in prompts if len(ids) <= probe.max_length]
    notes = []
    if len(with_prompt) < len(general):
        notes.append(f"{len(general) - len(with_prompt)} general rows have no prompt: left out")
    if len(kept) < len(prompts):
        num_long = len(prompts) - len(kept)
        notes.append(f"{num_long} general prompts have over {probe.max_length} tokens: left out")
    return kept, tuple(notes)


def _measure(
    key: str,
    examples: Sequence[Example],
    probe: _Probe,
    label: str,
    likelihoods: dict[str, tuple[RowLikelihood, ...]],
    states: dict[str, Array],
) -> int:
    """Add likelihoods and states of the rows, unless some are too long; how many are."""
    rows = [probe.tokenizer.tokenize(example) for example in examples]
    num_over = sum(len(row.input_ids) > probe.max_length for row in rows)
    if not num_over:
        scored = score_likelihood(
            probe.model,
            rows,
            hardware=probe.hardware,
            pad_id=probe.tokenizer.pad_id,
            progress=probe.progress,
            label=f"likelihood, {label}",
        )
        likelihoods[key] = tuple(scored)
        states[key] = probe.states(probe.prompt_ids(examples), f"states, {label}")
    return num_over


def _nll_figures(
    key: str, likelihoods: dict[str, tuple[RowLikelihood, ...]], seed: int
) -> tuple[dict[str, Any], list[str]]:
    """NLL, and its change from no anchor."""
    own, base = likelihoods.get(key), likelihoods.get(NO_ANCHOR)
    nll = bootstrap_metric(_scored(own), seed=seed) if own else None
    change = None
    if own and base and key != NO_ANCHOR:
        change = bootstrap_difference(_scored(own), _scored(base), seed=seed)
    return _split({"nll": nll, "nll_change": change})


def _scored(rows: Sequence[RowLikelihood]) -> Scored:
    return scored_ratio("nll", [row.nll for row in rows], [row.num_tokens for row in rows])


def _apart_figures(
    states: Array | None, general: Array, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """Figures of the states of task prompts against those of general ones."""
    intervals: dict[str, Interval | None] = dict.fromkeys(_APART)
    notes = []
    if states is not None:
        found = measure_separability(states, general, seed=seed)
        intervals |= _intervals(found, seed)
        if found.auc is None:
            notes = [
                f"no AUC, silhouette and energy: {found.num_task} task rows and "
                f"{found.num_general} general prompts are too few"
            ]
    figures, methods = _split(intervals)
    return figures, [*notes, *methods]


def _intervals(found: Separability, seed: int) -> dict[str, Interval]:
    intervals = {}
    if (auc := found.auc) is not None:
        intervals["auc"] = auc_interval(auc.value, auc.num_task, auc.num_general, folds=auc.folds)
    for name, one in (("silhouette", found.silhouette), ("energy", found.energy)):
        if one is not None:
            intervals[name] = jackknife_interval(one.value, one.without_task, one.without_general)
    if found.centroid_distances is not None:
        intervals["spread"] = mean_interval(found.centroid_distances, seed=seed)
    return intervals


def _split(intervals: dict[str, Interval | None]) -> tuple[dict[str, Any], list[str]]:
    """Fields of a score from its intervals, and how each was made."""
    fields: dict[str, float | Ends | None] = {}
    notes = []
    for name, one in intervals.items():
        fields[name], fields[f"{name}_interval"] = None, None
        if one is not None:
            fields[name] = one.value
            if one.low is not None and one.high is not None:
                fields[f"{name}_interval"] = (one.low, one.high)
            notes.append(f"{name}: {one.method}")
    return fields, notes


def _draw(states: dict[str, Array], general: Array) -> Picture | None:
    base = states.get(NO_ANCHOR)
    if base is None or not len(general):
        return None
    plane = fit_plane(base, general)

    def points(vectors: Array) -> Points:
        return tuple((float(x), float(y)) for x, y in plane.project(vectors))

    return Picture(
        points(general), {key: points(found) for key, found in states.items()}, plane.shares
    )
