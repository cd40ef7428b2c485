"""Panels of points on one plane: prompts with an anchor, without it, and general ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.reports.svg import Scale, colour, element, figure
from levertune.results.anchor_scores import Points

WIDTH = 340

_HEIGHTS = (150, 300)
_MARGIN = 9
_ARM = 3  # of a cross
_BEFORE, _AFTER = 1, 2  # colours


@dataclass(frozen=True, slots=True)
class Frame:
    """One map from the plane to pixels for all panels, as many pixels a unit along either axis.

    Args:
        x: To the right.
        y: Upwards.
        height: Height of a panel.
    """

    x: Scale
    y: Scale
    height: int


def fit_frame(sets: Sequence[Points]) -> Frame:
    """The frame that holds all points.

    Args:
        sets: The points of all panels, at least one in all.

    Returns:
        The frame.
    """
    xs = [x for points in sets for x, _ in points]
    ys = [y for points in sets for _, y in points]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    across = WIDTH - 2 * _MARGIN
    lowest, highest = _HEIGHTS
    wanted = across * high / wide + 2 * _MARGIN if wide else lowest
    height = round(min(max(wanted, lowest), highest))
    up = height - 2 * _MARGIN
    unit = max(wide / across, high / up) or 1.0  # of the plane a pixel
    left = (max(xs) + min(xs) - unit * across) / 2
    low = (max(ys) + min(ys) - unit * up) / 2
    return Frame(
        Scale(left, left + unit * across, _MARGIN, WIDTH - _MARGIN),
        Scale(low, low + unit * up, height - _MARGIN, _MARGIN),
        height,
    )


def plane_panel(
    general: Points,
    before: Points,
    after: Points,
    frame: Frame,
    *,
    name: str,
    title: str,
    words: str,
) -> str:
    """Task prompts with an anchor over the same without it, among general prompts.

    Args:
        general: General prompts.
        before: Task prompts without an anchor.
        after: The same with the anchor; none in the panel without one.
        frame: Where points fall.
        name: Unique identifier on the page.
        title: What it shows.
        words: What there is to see.

    Returns:
        An `<svg>`.
    """
    side = element(
        "rect", x=0.5, y=0.5, width=WIDTH - 1, height=frame.height - 1, fill="none", class_="grid"
    )
    parts = [side, _general(general, frame), _crosses(before, frame)]
    if after:
        parts.append(_after(after, frame))
    return figure(
        parts, name=name, title=title, description=words, width=WIDTH, height=frame.height
    )


def legend_marks() -> dict[str, str]:
    """The marks of the panels alone, for a legend: `general`, `before` and `after`."""
    frame = Frame(Scale(0, 1, 7, 8), Scale(0, 1, 7, 8), 14)
    one = ((0.0, 0.0),)
    marks = {
        "general": _general(one, frame),
        "before": _crosses(one, frame),
        "after": _after(one, frame),
    }
    return {
        name: element("svg", mark, viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")
        for name, mark in marks.items()
    }


def _general(points: Points, frame: Frame) -> str:
    return element("path", d=_dots(points, frame), class_="pts kn")


def _after(points: Points, frame: Frame) -> str:
    return element("path", d=_dots(points, frame), class_=f"pts after {colour(_AFTER)}")


def _dots(points: Points, frame: Frame) -> str:
    """Short lines with round ends, in one path: a tenth of the bytes of as many circles."""
    return "".join(f"M{frame.x(x):g} {frame.y(y):g}h.01" for x, y in points)


def _crosses(points: Points, frame: Frame) -> str:
    side = 2 * _ARM
    strokes = "".join(
        f"M{frame.x(x) - _ARM:.4g} {frame.y(y) - _ARM:.4g}l{side} {side}m-{side} 0l{side}-{side}"
        for x, y in points
    )
    return element("path", d=strokes, class_=f"crosses {colour(_BEFORE)}")
