"""Figures of training: losses by source, and where the task rows fell in the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.reports.svg import (
    Scale,
    colour,
    element,
    figure,
    label,
    nice_ticks,
    thin,
    tick_text,
)
from levertune.results.schema import Curve

_MAX_POINTS = 120

# Field of a curve point, its name on the figure, and its line style.
_SERIES = (
    ("task_loss", "task", "line"),
    ("general_loss", "general", "line dash"),
    ("validation_nll", "validation", "line dots"),
)


@dataclass(frozen=True, slots=True)
class CurveRange:
    """What the panels of one page share, so they can be compared by eye.

    Args:
        steps: Last step of the longest curve.
        loss: Highest loss of any curve.
    """

    steps: int
    loss: float


def curve_range(curves: Sequence[Curve]) -> CurveRange | None:
    """The range that holds all curves; None if there is not one finite loss."""
    values = [
        value
        for curve in curves
        for point in curve.points
        for field, _, _ in _SERIES
        if (value := getattr(point, field)) is not None
    ]
    if not values:
        return None
    return CurveRange(max(p.step for c in curves for p in c.points), max(values))


def curve_panel(
    curves: Sequence[Curve], extent: CurveRange, *, name: str, title: str, index: int
) -> str:
    """The losses of one arm by source, a thin line a cell.

    Args:
        curves: Training logs of the arm's cells.
        extent: Range shared by the panels.
        name: Unique identifier on the page.
        title: Name of the arm.
        index: Which arm, for its colour.

    Returns:
        An `<svg>`, or "" if no loss was logged by source.
    """
    width, height = 340, 230
    y_ticks = nice_ticks(0, extent.loss, 4)
    x_ticks = nice_ticks(0, max(1, extent.steps), 4)
    x = Scale(0, max(1, extent.steps), 40, width - 70)
    y = Scale(0, y_ticks[-1], height - 40, 14)
    parts = []
    for tick in y_ticks:
        parts.append(element("line", x1=x.start, x2=x.end, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(label(x.start - 6, y(tick) + 4, tick_text(tick, y_ticks), "t num mut", "end"))
    for tick in (t for t in x_ticks if t <= x.high):
        parts.append(label(x(tick), height - 22, tick_text(tick, x_ticks), "t num mut", "middle"))
    parts.append(label((x.start + x.end) / 2, height - 5, "optimizer step", "t mut", "middle"))
    ends: list[tuple[float, float, str]] = []
    words = []
    switches = [check.step for c in curves for check in c.checks if check.switched_to is not None]
    for step in sorted(set(switches)):
        mark = element("title", f"anchor switched after step {step}")
        parts.append(
            element("line", mark, x1=x(step), x2=x(step), y1=y.start, y2=y.end, class_="switch")
        )
    for field, series, css in _SERIES:
        lines = []
        for curve in curves:
            points = [(p.step, v) for p in curve.points if (v := getattr(p, field)) is not None]
            if points:
                lines.append(thin(points, _MAX_POINTS))
        for line in lines:
            path = " ".join(f"{x(step)},{y(value)}" for step, value in line)
            shade = colour(index) if field == "task_loss" else "kn"
            parts.append(element("polyline", points=path, class_=f"{css} {shade}"))
        if lines:
            step = max(line[-1][0] for line in lines)
            mean = sum(line[-1][1] for line in lines) / len(lines)
            ends.append((x(step), y(mean), series))
            words.append(f"{series} loss ends at {mean:.2f} at step {step}")
    if not ends:
        return ""
    if switches:
        steps = ", ".join(map(str, sorted(set(switches))))
        words.append(f"the anchor is switched after step {steps}")
    last = -99.0
    for px, py, series in sorted(ends, key=lambda end: end[1]):
        last = max(py + 4, last + 13)
        parts.append(label(px + 5, round(last, 1), series, "t mut"))
    return figure(
        parts, name=name, title=title, description="; ".join(words) + ".", width=width,
        height=height,
    )  # fmt: skip


def bar_chart(
    counts: Sequence[int],
    *,
    name: str,
    title: str,
    x_axis: str,
    y_axis: str,
    edges: Sequence[str],
    width: int,
    even: float | None = None,
) -> str:
    """Counts as bars side by side.

    Args:
        counts: One bar each.
        name: Unique identifier on the page.
        title: What is shown.
        x_axis: Name of the horizontal axis.
        y_axis: What is counted.
        edges: Tick texts: one a bar stands under its bar, otherwise they are spread from the left
            edge to the right.
        width: Width in pixels.
        even: Height of a dashed line for comparison, if all bars were equal.

    Returns:
        An `<svg>`, or "" if there is nothing to count.
    """
    if not counts or not any(counts):
        return ""
    height = 190
    ticks = nice_ticks(0, max(max(counts), even or 0), 3)
    y = Scale(0, ticks[-1], height - 44, 26)
    left, right = 44, width - 12
    slot = (right - left) / len(counts)
    gap = 1 if slot > 4 else 0
    parts = [label(4, 13, y_axis, "t mut")]
    for tick in ticks:
        parts.append(element("line", x1=left, x2=right, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(label(left - 6, y(tick) + 4, tick_text(tick, ticks), "t num mut", "end"))
    for i, count in enumerate(counts):
        if count:
            parts.append(element(
                "rect", element("title", str(count)), x=round(left + slot * i + gap, 1),
                y=y(count), width=round(slot - 2 * gap, 1), height=round(y.start - y(count), 1),
                class_="bar",
            ))  # fmt: skip
    if even is not None:
        parts.append(element("line", x1=left, x2=right, y1=y(even), y2=y(even), class_="even"))
        parts.append(label(right, 13, "dashed: if even", "t mut", "end"))
    under = len(edges) == len(counts)
    for i, text in enumerate(edges):
        at = left + slot * (i + 0.5) if under else left + (right - left) * i / (len(edges) - 1)
        anchor = "middle" if under else ("start", "end")[i > 0] if len(edges) == 2 else "middle"
        parts.append(label(round(at, 1), height - 28, text, "t num mut", anchor))
    parts.append(label((left + right) / 2, height - 8, x_axis, "t mut", "middle"))
    words = f"{y_axis} over {x_axis}: " + ", ".join(map(str, thin(counts, 30)))
    return figure(parts, name=name, title=title, description=words, width=width, height=height)
