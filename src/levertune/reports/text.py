"""Numbers and free text as a report shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from levertune.results.schema import Interval

T = TypeVar("T")

MISSING = "not measured"
LEFT_OUT = "[left out]"

# What house-style sentences quote (`!r`) may come from the rows. An apostrophe inside a word
# opens no quotation.
_QUOTED = re.compile(
    r"(?<!\w)'(?:[^'\\]|\\.)*'(?!\w)|\"(?:[^\"\\]|\\.)*\"|“[^”]*”|«[^»]*»|‘[^’]*’", re.DOTALL
)
_PLAIN_VALUE = re.compile(r"[\w.@:/+*-]{1,60}")


@dataclass(frozen=True, slots=True)
class Clipped:
    """The beginning of a text.

    Args:
        text: What is shown.
        more: Characters left off.
    """

    text: str
    more: int = 0


def clip(text: str, length: int) -> Clipped:
    """The first `length` characters, and how many more there are."""
    return Clipped(text[:length], max(0, len(text) - length))


def first(items: Sequence[T], count: int) -> tuple[Sequence[T], int]:
    """The first `count` items, and how many more there are."""
    return items[:count], max(0, len(items) - count)


def number_text(value: float | None, digits: int | None = None) -> str:
    """A score, likelihood or difference as shown; `not measured` for None.

    Args:
        value: The number.
        digits: Decimals; if None three, or one from 10 on.
    """
    if value is None:
        return MISSING
    if digits is None:
        digits = 1 if abs(value) >= 10 else 3
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        text = text.removeprefix("-")  # no minus zero
    return text.replace("-", "\N{MINUS SIGN}")


def count_text(value: float | None) -> str:
    """A count with thousands marked."""
    return MISSING if value is None else f"{value:,.0f}"


def range_text(interval: Interval | None, digits: int | None = None) -> str:
    """The ends of an interval in brackets, or that there are none."""
    if interval is None or interval.value is None:
        return ""
    if interval.low is None or interval.high is None:
        return "no interval"
    return f"[{number_text(interval.low, digits)}, {number_text(interval.high, digits)}]"


def interval_text(interval: Interval | None, digits: int | None = None) -> str:
    """A number with its interval."""
    if interval is None or interval.value is None:
        return MISSING
    return f"{number_text(interval.value, digits)} {range_text(interval, digits)}"


def in_points(interval: Interval | None, factor: float) -> Interval | None:
    """The interval multiplied for showing."""
    if interval is None or factor == 1.0:
        return interval
    ends = (interval.value, interval.low, interval.high)
    value, low, high = (None if end is None else end * factor for end in ends)
    return replace(interval, value=value, low=low, high=high)


def seconds_text(seconds: float | None) -> str:
    """A duration for people: `3.2 s`, `5 min 12 s`, `2 h 05 min`."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def bytes_text(size: int | None) -> str:
    """A size in units of 1000."""
    if size is None:
        return MISSING
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def redact(sentence: str, known: Iterable[str]) -> str:
    """Take what may come from the rows out of one of levertune's own sentences.

    Args:
        sentence: The sentence.
        known: Texts that must not appear (labels, the anchor), where they stand as words.

    Returns:
        The sentence with those texts and everything in quotation marks replaced.
    """
    for text in sorted(filter(None, known), key=len, reverse=True):
        before = r"(?<!\w)" if text[0].isalnum() else ""
        after = r"(?!\w)" if text[-1].isalnum() else ""
        sentence = re.sub(before + re.escape(text) + after, LEFT_OUT, sentence, flags=re.IGNORECASE)
    return _QUOTED.sub(LEFT_OUT, sentence)


def value_text(value: Any) -> str:
    """A setting as the recipe would write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) if value else "[]"
    return str(value)


def is_plain_value(value: Any) -> bool:
    """Whether a setting is a number, a switch or one short word, and so cannot be a row's text."""
    if isinstance(value, list | tuple):
        return all(map(is_plain_value, value))
    return not isinstance(value, str) or _PLAIN_VALUE.fullmatch(value) is not None


def flatten(mapping: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """A nested mapping as dotted keys and values, lists of mappings numbered."""
    rows: list[tuple[str, Any]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            rows += flatten(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
            rows += flatten({str(i): item for i, item in enumerate(value)}, f"{name}.")
        else:
            rows.append((name, value))
    return rows
