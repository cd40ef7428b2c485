"""What anchors score before any training: the contract of `anchor score`, and its Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Ends = tuple[float, float]
"""Lower and upper end of a 95 % interval."""

Points = tuple[tuple[float, float], ...]
"""Places on a plane."""

NO_ANCHOR = "none"
"""`anchor_id` of the task rows without an anchor."""


@dataclass(frozen=True, slots=True)
class AnchorScore:
    """Figures of one anchor under the base model; None where one cannot be had, with a note.

    Args:
        anchor_id: Content hash of the anchor, or `none`.
        text: Its words, `""` without an anchor.
        placement: Where it stands, `""` without an anchor.
        num_rows: Task rows it was measured on.
        num_general: General prompts they were compared with.
        nll: Nats per token of the references, the end of the turn apart; lower is better.
        nll_interval: Its interval over rows.
        nll_change: The same less that without an anchor, on the same rows.
        nll_change_interval: Its interval, paired by row.
        auc: Cross-validated AUC of a linear probe between anchored task prompts and general ones;
            higher is further apart.
        auc_interval: Its interval over rows.
        silhouette: Mean silhouette of the anchored task prompts against general ones.
        silhouette_interval: Its interval over rows.
        energy: Squared energy distance between the two.
        energy_interval: Its interval over rows.
        spread: Mean distance of the anchored task prompts to their centroid.
        spread_interval: Its interval over rows.
        tokens_per_row: Tokens the anchor adds to a task row in training, on average; anchor
            dropout is counted.
        tokens_per_request: Tokens it adds to a request when the model is served, on average.
        notes: Why a figure is missing, and how intervals were made.
    """

    anchor_id: str
    text: str
    placement: str
    num_rows: int
    num_general: int
    nll: float | None
    nll_interval: Ends | None
    nll_change: float | None
    nll_change_interval: Ends | None
    auc: float | None
    auc_interval: Ends | None
    silhouette: float | None
    silhouette_interval: Ends | None
    energy: float | None
    energy_interval: Ends | None
    spread: float | None
    spread_interval: Ends | None
    tokens_per_row: float
    tokens_per_request: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """States of prompts on one plane, fitted on those without an anchor.

    Args:
        general: Places of the general prompts.
        task: Places of the task prompts, by anchor id; `none` without an anchor.
        shares: Share of the variance along each axis, without an anchor.
    """

    general: Points
    task: dict[str, Points]
    shares: tuple[float, float]


@dataclass(frozen=True, slots=True)
class AnchorScores:
    """The scores of several anchors on the same rows.

    Args:
        baseline: The task rows without an anchor.
        scores: One score an anchor, in the order given.
        picture: Before and after in two dimensions; None without rows of both kinds.
        notes: What a reader should know of the rows, one sentence each.
    """

    baseline: AnchorScore
    scores: tuple[AnchorScore, ...]
    picture: Picture | None
    notes: tuple[str, ...]


def pareto_front(scores: Sequence[AnchorScore]) -> tuple[AnchorScore, ...]:
    """The scores that no other one beats: lower NLL, higher silhouette, fewer tokens a request.

    The silhouette and not the AUC, which is 1 for nearly every anchor, while the silhouette went
    with the loss after training of 52 anchors (`benchmarks/anchor_prediction.py`).

    One score beats another if it is as good in all three and better in one. Equal scores do not
    beat each other: all or none of them are in the front. A score with a figure missing is not
    compared, and so never in it.

    Args:
        scores: The scores.

    Returns:
        The front by NLL, then tokens, then silhouette; equals in the order given.
    """
    costs = {i: cost for i, score in enumerate(scores) if (cost := _costs(score)) is not None}
    front = [
        i for i, cost in costs.items() if not any(_beats(other, cost) for other in costs.values())
    ]
    return tuple(scores[i] for i in sorted(front, key=lambda i: costs[i]))


def _costs(score: AnchorScore) -> tuple[float, float, float] | None:
    """What is to be low."""
    if score.nll is None or score.silhouette is None:
        return None
    return score.nll, score.tokens_per_request, -score.silhouette


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
