"""Figures of scores: dots with intervals, and the frontier of task score and retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.reports.svg import (
    Scale,
    element,
    figure,
    label,
    marker,
    nice_ticks,
    tick_text,
    whisker,
)
from levertune.reports.text import interval_text, number_text
from levertune.results.schema import Interval

_ROW = 34
_NARROW = 500


@dataclass(frozen=True, slots=True)
class Dot:
    """One line of a dot plot, or one point of a frontier.

    Args:
        label: Its name.
        index: Which arm, for colour and shape.
        interval: The number, or None.
        across: For a frontier: the number on the horizontal axis.
    """

    label: str
    index: int
    interval: Interval | None
    across: Interval | None = None

    @property
    def value(self) -> float | None:
        """The number to place the dot at."""
        return self.interval.value if self.interval else None


def interval_plot(
    dots: Sequence[Dot],
    *,
    name: str,
    title: str,
    axis: str,
    width: int,
    zero: bool = False,
    digits: int | None = None,
) -> str:
    """Dots with their 95 % intervals, a line each.

    Args:
        dots: The lines from top to bottom; one without a value says so.
        name: Unique identifier on the page.
        title: What is shown.
        axis: Name of the horizontal axis, with its better direction.
        width: Width in pixels; below 500 the labels stand above their lines.
        zero: Whether to draw a line at zero (differences).
        digits: Decimals of the numbers.

    Returns:
        An `<svg>`, or "" if nothing was measured.
    """
    ends = [e for dot in dots for e in _ends(dot.interval)] + ([0.0] if zero else [])
    if not any(dot.value is not None for dot in dots):
        return ""
    stacked = width < _NARROW
    step = _ROW + 14 if stacked else _ROW
    longest = max(len(_short(dot.label)) for dot in dots)
    left = 10 if stacked else min(230, 26 + 7.4 * longest)
    right = width - (62 if stacked else 176)
    ticks = nice_ticks(min(ends), max(ends), 4 if stacked else 6)
    x = Scale(ticks[0], ticks[-1], left + 8, right - 8)
    bottom = 12 + step * len(dots)
    parts = [_grid_x(x, ticks, 8, bottom)]
    if zero:
        parts.append(element("line", x1=x(0), x2=x(0), y1=4, y2=bottom, class_="zero"))
    for i, dot in enumerate(dots):
        y = 12 + step * i + (step - 14 if stacked else step / 2)
        if stacked:
            parts.append(label(0, y - 14, _short(dot.label), "t strong halo"))
        else:
            parts.append(label(left - 10, y + 4, _short(dot.label), "t strong halo", "end"))
        if dot.value is None:
            parts.append(label(x.start, y + 4, "not measured", "t mut"))
            continue
        if dot.interval and dot.interval.low is not None and dot.interval.high is not None:
            parts.append(whisker((x(dot.interval.low), x(dot.interval.high)), (y, y), dot.index))
        parts.append(marker(x(dot.value), y, dot.index))
        shown = number_text(dot.value, digits) if stacked else interval_text(dot.interval, digits)
        shown = f"+{shown}" if zero and dot.value > 0 else shown
        parts.append(label(right + 8, y + 4, shown, "t num"))
    parts.append(label((x.start + x.end) / 2, bottom + 36, axis, "t mut", "middle"))
    words = "; ".join(f"{dot.label}: {interval_text(dot.interval, digits)}" for dot in dots)
    return figure(
        parts, name=name, title=title, description=f"{axis}. {words}.", width=width,
        height=bottom + 44,
    )  # fmt: skip


def frontier_plot(
    dots: Sequence[Dot],
    *,
    name: str,
    title: str,
    x_axis: str,
    y_axis: str,
    width: int,
    digits: int | None = None,
) -> str:
    """One number against another (task score against retention), with the intervals of both.

    Args:
        dots: One point an arm; those that lack either number are left to the text beside it.
        name: Unique identifier on the page.
        title: What is shown.
        x_axis: Name of the horizontal axis (`across`), with its better direction.
        y_axis: Name of the vertical axis, with its better direction.
        width: Width in pixels.
        digits: Decimals of the numbers on the vertical axis.

    Returns:
        An `<svg>`, or "" if fewer than two arms have both numbers.
    """
    points = [d for d in dots if d.value is not None and d.across and d.across.value is not None]
    if len(points) < 2:
        return ""
    height = round(width * (0.95 if width < _NARROW else 0.42))
    x_ticks = _padded_ticks([e for d in points for e in _ends(d.across)], 4)
    y_ticks = _padded_ticks([e for d in points for e in _ends(d.interval)], 5)
    x = Scale(x_ticks[0], x_ticks[-1], 52, width - 14)
    y = Scale(y_ticks[0], y_ticks[-1], height - 52, 28)
    parts = [_grid_x(x, x_ticks, y.end, y.start)]
    for tick in y_ticks:
        parts.append(element("line", x1=x.start, x2=x.end, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(label(x.start - 8, y(tick) + 4, tick_text(tick, y_ticks), "t num mut", "end"))
    parts.append(label(4, 14, y_axis, "t mut"))
    parts.append(label((x.start + x.end) / 2, height - 12, x_axis, "t mut", "middle"))
    places = [(x(d.across.value), y(d.value)) for d in points]  # type: ignore[union-attr, arg-type]
    for dot, (px, py) in zip(points, places, strict=True):
        across, up = dot.across, dot.interval
        if across and across.low is not None and across.high is not None:
            parts.append(whisker((x(across.low), x(across.high)), (py, py), dot.index))
        if up and up.low is not None and up.high is not None:
            parts.append(whisker((px, px), (y(up.low), y(up.high)), dot.index))
    taken = [(px - 7, py - 7, px + 7, py + 7) for px, py in places]
    for dot, (px, py) in zip(points, places, strict=True):
        parts.append(marker(px, py, dot.index, 6))
        text = _short(dot.label)
        box, tx, ty, anchor = _free_place(px, py, 7.2 * len(text), taken, x, y)
        taken.append(box)
        parts.append(label(round(tx, 1), round(ty, 1), text, "t strong halo", anchor))
    words = "; ".join(
        f"{d.label}: {interval_text(d.across)} across, {interval_text(d.interval, digits)} up"
        for d in points
    )
    return figure(
        parts, name=name, title=title, description=f"{words}.", width=width, height=height
    )


def _ends(interval: Interval | None) -> list[float]:
    if interval is None:
        return []
    return [v for v in (interval.value, interval.low, interval.high) if v is not None]


def _padded_ticks(values: list[float], count: int) -> list[float]:
    margin = (max(values) - min(values)) * 0.06
    low = min(values) - margin
    return nice_ticks(max(0.0, low) if min(values) >= 0 else low, max(values) + margin, count)


def _grid_x(x: Scale, ticks: Sequence[float], top: float, bottom: float) -> str:
    lines = []
    for tick in ticks:
        lines.append(element("line", x1=x(tick), x2=x(tick), y1=top, y2=bottom, class_="grid"))
        lines.append(
            label(x(tick), round(bottom + 17, 1), tick_text(tick, ticks), "t num mut", "middle")
        )
    return "".join(lines)


def _short(text: str, length: int = 30) -> str:
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _free_place(
    px: float,
    py: float,
    size: float,
    taken: list[tuple[float, float, float, float]],
    x: Scale,
    y: Scale,
) -> tuple[tuple[float, float, float, float], float, float, str]:
    """Where a point's name overlaps least with the points and names already there."""
    places = [
        (px + 11, py - 8, "start"), (px - 11, py - 8, "end"), (px + 11, py + 18, "start"),
        (px - 11, py + 18, "end"), (px + 11, py - 24, "start"), (px - 11, py - 24, "end"),
        (px + 11, py + 34, "start"), (px - 11, py + 34, "end"),
    ]  # fmt: skip
    reach = size + 11
    near = [
        box
        for box in taken
        if box[0] < px + reach and box[2] > px - reach and box[1] < py + 40 and box[3] > py - 40
    ]
    best = None
    for tx, ty, anchor in places:
        left = tx if anchor == "start" else tx - size
        box = (left, ty - 11, left + size, ty + 4)
        overlap = sum(
            max(0.0, min(box[2], o[2]) - max(box[0], o[0]))
            * max(0.0, min(box[3], o[3]) - max(box[1], o[1]))
            for o in near
        )
        outside = box[0] < x.start or box[2] > x.end + 10 or box[1] < y.end - 10 or box[3] > y.start
        cost = overlap + (10_000 if outside else 0)
        if best is None or cost < best[0]:
            best = (cost, box, tx, ty, anchor)
    assert best is not None
    return best[1], best[2], best[3], best[4]
