"""Pieces every figure is made of: escaped SVG elements, scales and ticks."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SHAPES = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from data to pixels.

    Args:
        low: Data value at `start`.
        high: Data value at `end`.
        start: Pixel of `low`.
        end: Pixel of `high`.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixel of a data value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """One SVG element; `content` is markup, attribute values are escaped.

    Underscores in attribute names become hyphens; `class_` is `class`.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{shown}>{content}</{name}>" if content else f"<{name}{shown}/>"


def label(x: float, y: float, text: str, css: str = "t", anchor: str | None = None) -> str:
    """A text element with its text escaped."""
    return element("text", html.escape(text), x=x, y=y, class_=css, text_anchor=anchor)


def figure(
    parts: Iterable[str], *, name: str, title: str, description: str, width: int, height: int
) -> str:
    """A complete figure with the title and description screen readers announce.

    Args:
        parts: The drawing.
        name: Unique identifier on the page, of letters, digits and hyphens.
        title: What it shows.
        description: What there is to see, in words.
        width: Width in pixels at full size.
        height: Height likewise.

    Returns:
        One `<svg>` element.
    """
    head = (
        element("title", html.escape(title), id=f"{name}-t")
        + element("desc", html.escape(description), id=f"{name}-d")
    )  # fmt: skip
    return element(
        "svg",
        head + "".join(parts),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=f"{name}-t",
        aria_describedby=f"{name}-d",
    )


def marker(x: float, y: float, index: int, size: float = 5) -> str:
    """A point whose shape and colour both say which arm it is."""
    css = f"dot {colour(index)}"
    shape = index % _SHAPES
    if shape == 0:
        return element("circle", cx=x, cy=y, r=size, class_=css)
    if shape == 1:
        side = round(size * 1.8, 1)
        return element(
            "rect", x=round(x - side / 2, 1), y=round(y - side / 2, 1), width=side, height=side,
            class_=css,
        )  # fmt: skip
    s = size * 1.3
    corners = (
        [(x, y - s), (x + s, y), (x, y + s), (x - s, y)]
        if shape == 2
        else [(x, y - s), (x + s, y + s * 0.8), (x - s, y + s * 0.8)]
    )
    return element("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in corners), class_=css)


def whisker(x: tuple[float, float], y: tuple[float, float], index: int) -> str:
    """An interval as a line with caps, along one of the axes."""
    cap = 4
    if y[0] == y[1]:
        caps = f"M{x[0]} {y[0] - cap}v{2 * cap}M{x[1]} {y[0] - cap}v{2 * cap}"
    else:
        caps = f"M{x[0] - cap} {y[0]}h{2 * cap}M{x[0] - cap} {y[1]}h{2 * cap}"
    line = f"M{x[0]} {y[0]}L{x[1]} {y[1]}"
    return element("path", d=line + caps, class_=f"whisker {colour(index)}")


def colour(index: int) -> str:
    """Class that sets the colour of the arm at `index`; there are eight."""
    return f"k{index % 8}"


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that span `low` to `high`, about `count` of them.

    Steps are 1, 2 or 5 times a power of ten; a range too small to see is widened. The
    first tick is at or below `low`, the last at or above `high`.
    """
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):
        margin = abs(high) * 0.1 if abs(high) > 1e-6 else 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 10) for k in range(start, end + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """A tick's number with as many decimals as the ticks need."""
    step = min((abs(b - a) for a, b in itertools.pairwise(ticks)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def thin(items: Sequence, count: int) -> list:
    """At most `count` items, evenly spaced, the first and last among them."""
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[0]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]
