"""Scores of anchors as the template of their page prints them: tables as text, figures as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from levertune.reports.figures import Dot, frontier_plot
from levertune.reports.plane_figures import fit_frame, plane_panel
from levertune.reports.svg import thin
from levertune.reports.text import Clipped, clip, number_text, range_text, redact
from levertune.reports.view import Figure, Number, interval_methods, number, two_widths
from levertune.results.anchor_scores import (
    NO_ANCHOR,
    AnchorScore,
    AnchorScores,
    Picture,
    Points,
    pareto_front,
)
from levertune.results.schema import Interval

FIGURES = {
    "nll": "NLL",
    "nll_change": "against none",
    "auc": "AUC",
    "silhouette": "silhouette",
    "energy": "energy distance",
    "spread": "spread",
}
"""Figures of a score that have an interval, by field, with their column."""

_FRONT, _OTHER, _NONE = 3, 0, 1  # colour and shape
_DIGITS = {"energy": 2, "spread": 2}
_END_DIGITS = {"nll_change": 3}  # with two an end beside zero would read as zero
_SHORT = 140
_MAX_NOTES = 20
_MAX_NOTE = 400


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One line of the table.

    Args:
        name: Its number on the page, or `none`.
        index: Colour and shape of its point.
        text: The beginning of its words; None where the page holds none.
        whole: All its words where the beginning is not all; else None.
        anchor_id: Its content hash.
        placement: Where it stands.
        is_in_front: Whether no other anchor beats it.
        figures: Its figures, in the order of `FIGURES`.
        tokens: Tokens it adds to a request, and to a task row in training where these are others.
        faults: Why figures are missing.
    """

    name: str
    index: int
    text: Clipped | None
    whole: Clipped | None
    anchor_id: str
    placement: str
    is_in_front: bool
    figures: tuple[Number, ...]
    tokens: Number
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """The picture of one anchor.

    Args:
        row: The anchor.
        drawing: The picture; "" where it could not be drawn.
        caption: What lies where, in numbers.
    """

    row: AnchorRow
    drawing: Markup
    caption: str


def anchor_rows(
    found: AnchorScores, *, num_characters: int, include_text: bool
) -> tuple[AnchorRow, ...]:
    """The table: anchors by NLL, then tokens, and the rows without an anchor last.

    Args:
        found: The scores.
        num_characters: Most characters shown of an anchor in whole.
        include_text: Whether words of anchors are shown.

    Returns:
        The rows; an anchor's name is its place among them.
    """
    front = {score.anchor_id for score in pareto_front(found.scores)}
    ordered = sorted(
        found.scores, key=lambda one: (one.nll is None, one.nll or 0.0, one.tokens_per_request)
    )

    def row(name: str, score: AnchorScore) -> AnchorRow:
        is_none, is_in_front = score.anchor_id == NO_ANCHOR, score.anchor_id in front
        shown = None if is_none or not include_text else clip(score.text, _SHORT)
        return AnchorRow(
            name=name,
            index=_NONE if is_none else _FRONT if is_in_front else _OTHER,
            text=shown,
            whole=clip(score.text, num_characters) if shown and shown.more else None,
            anchor_id=score.anchor_id,
            placement=score.placement,
            is_in_front=is_in_front,
            figures=tuple(_figure(score, field) for field in FIGURES),
            tokens=_tokens(score),
            faults=tuple(note for note in score.notes if _method(note) is None),
        )

    numbered = [row(str(i), score) for i, score in enumerate(ordered, start=1)]
    return (*numbered, row(NO_ANCHOR, found.baseline))


def score_methods(found: AnchorScores) -> list[str]:
    """How intervals were made, each way once."""
    scores = (found.baseline, *found.scores)
    intervals = (_interval(score, field) for score in scores for field in FIGURES)
    return interval_methods(one for one in intervals if one is not None and one.method)


def front_figures(found: AnchorScores, rows: Sequence[AnchorRow]) -> tuple[Figure, Figure]:
    """NLL against tokens, and the silhouette against tokens.

    Args:
        found: The scores.
        rows: The rows of the table.
    """
    nll = _against_tokens(
        found, rows, "nll", "f-nll", "NLL against tokens", "NLL, nats per token (lower is better)"
    )
    apart = _against_tokens(
        found,
        rows,
        "silhouette",
        "f-apart",
        "silhouette against tokens",
        "silhouette (higher is further)",
    )
    return nll, apart


def panels(
    picture: Picture, rows: Sequence[AnchorRow], *, num_points: int | None
) -> tuple[Panel, ...]:
    """Task prompts before and after, first without an anchor, then one panel an anchor.

    Args:
        picture: The points.
        rows: The rows of the table.
        num_points: Most points of a kind in a panel, evenly spaced; None for all.

    Returns:
        The panels. Their axes are the same.
    """

    def shown(points: Points) -> Points:
        return points if num_points is None else tuple(thin(points, num_points))

    before = picture.task[NO_ANCHOR]
    frame = fit_frame([picture.general, *picture.task.values()])
    without = number_text(_distance(before, picture.general), 2)
    around = f"and {len(picture.general)} general prompts, as small dots"
    made = []
    for row in (rows[-1], *rows[:-1]):
        after = picture.task.get(row.anchor_id)
        if row.anchor_id == NO_ANCHOR:
            after = ()
            title, caption = "Without an anchor", f"centres {without} apart"
            words = (
                f"{len(before)} task prompts without an anchor, as crosses, {around}. Their "
                f"centres are {without} apart."
            )
        elif after:
            now = number_text(_distance(after, picture.general), 2)
            title, caption = f"Anchor {row.name}", f"centres {now} apart, {without} without it"
            words = (
                f"{len(after)} task prompts with anchor {row.name}, as dots, the same prompts "
                f"without it, as crosses, {around}. The centre of the anchored prompts is {now} "
                f"from that of the general ones; without the anchor it is {without}."
            )
        drawn = "" if after is None else plane_panel(
            shown(picture.general), shown(before), shown(after), frame,
            name=f"f-plane-{row.name}", title=title, words=words,
        )  # fmt: skip
        made.append(Panel(row, Markup(drawn), caption if drawn else ""))
    return tuple(made)


def notes(found: AnchorScores, *, include_text: bool) -> list[str]:
    """The notes on the rows, what they quote left out if words are."""
    known = [score.text for score in found.scores]
    said: Iterable[str] = dict.fromkeys(found.notes)
    if not include_text:
        said = [redact(note, known) for note in said]
    return [clip(note, _MAX_NOTE).text for note in said][:_MAX_NOTES]


def sentence(include_text: bool, found: AnchorScores) -> Callable[[str], str]:
    """How one of levertune's sentences goes onto the page."""
    known = [] if include_text else [score.text for score in found.scores]
    return lambda said: clip(said if include_text else redact(said, known), _MAX_NOTE).text


def _against_tokens(
    found: AnchorScores,
    rows: Sequence[AnchorRow],
    field: str,
    name: str,
    title: str,
    y_axis: str,
) -> Figure:
    scores = {score.anchor_id: score for score in (found.baseline, *found.scores)}
    dots = []
    for row in rows:
        score = scores[row.anchor_id]
        tokens = Interval(score.tokens_per_request, None, None, score.num_rows, 1, "")
        dots.append(Dot(row.name, row.index, _interval(score, field), tokens))
    return two_widths(
        lambda one, width: frontier_plot(
            dots, name=one, title=title, x_axis="tokens a request (fewer is better)",
            y_axis=y_axis, width=width,
        ),
        name,
    )  # fmt: skip


def _figure(score: AnchorScore, field: str) -> Number:
    if field == "nll_change" and score.anchor_id == NO_ANCHOR:
        return Number("\N{EN DASH}", "", "", "")
    interval = _interval(score, field)
    if interval is None:
        return number(None)
    shown = number_text(interval.value, _DIGITS.get(field, 3))
    ends = range_text(interval, _END_DIGITS.get(field, 2))
    return Number(shown, ends, "", interval.method)


def _tokens(score: AnchorScore) -> Number:
    request, row = (
        number_text(count, 1) for count in (score.tokens_per_request, score.tokens_per_row)
    )
    return Number(request, f"{row} in training" if row != request else "", "", "")


def _interval(score: AnchorScore, field: str) -> Interval | None:
    value, ends = getattr(score, field), getattr(score, f"{field}_interval")
    if value is None:
        return None
    methods = [note for note in score.notes if _method(note) == field]
    low, high = ends or (None, None)
    return Interval(value, low, high, score.num_rows, 1, "".join(methods[:1]))


def _method(note: str) -> str | None:
    """The figure whose interval a note explains; None if it says something else."""
    name = note.partition(": ")[0]
    return name if name in FIGURES else None


def _distance(one: Points, other: Points) -> float:
    """Between the centres of two sets of points."""
    ends = [
        tuple(math.fsum(values) / len(points) for values in zip(*points, strict=True))
        for points in (one, other)
    ]
    return math.dist(*ends)
