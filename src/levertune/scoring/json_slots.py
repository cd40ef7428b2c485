"""Metrics of JSON answers: does it parse, is it equal, and how many of its slots are right."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from levertune.scoring.scored import Scored, scored_mean

Slots = Counter[tuple[tuple[str | int | None, ...], tuple[str, Any]]]
"""How often each (path, typed value) occurs."""

_FENCED = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n(?P<body>.*?)\s*```", re.DOTALL)


class _Unparseable:
    """Stands for text that is not JSON, since `None` is what JSON's null becomes."""


UNPARSEABLE = _Unparseable()


def parse_json(text: str) -> Any:
    """Read a text as JSON.

    Surrounding whitespace and one markdown fence around the whole answer are stripped. Nothing is
    repaired: NaN, Infinity, single quotes, trailing commas and talk around the object are refused.

    Args:
        text: What was written.

    Returns:
        The parsed value, or `UNPARSEABLE`.
    """
    body = text.strip()
    fenced = _FENCED.fullmatch(body)
    if fenced:
        body = fenced["body"]
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return UNPARSEABLE


def flatten(value: Any, *, ordered: bool) -> Slots:
    """The leaves of a parsed JSON value as a multiset of (path, value).

    An empty object or list is a leaf. 1 and 1.0 are the same number; true is no number.

    Args:
        value: What `parse_json` gave.
        ordered: Whether list elements keep their index in the path. If not, the elements of a
            list share one path, so their order does not matter.

    Returns:
        The leaves.
    """
    slots: Slots = Counter()
    pending: list[tuple[tuple[str | int | None, ...], Any]] = [((), value)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, dict) and node:
            pending += [((*path, key), child) for key, child in node.items()]
        elif isinstance(node, list) and node:
            for index, child in enumerate(node):
                pending.append(((*path, index if ordered else None), child))
        else:
            slots[path, _typed(node)] += 1
    return slots


def slot_f1(predicted: Slots, reference: Slots) -> float:
    """F1 of two multisets of slots; neither is ever empty."""
    shared = sum((predicted & reference).values())
    return 2.0 * shared / (sum(predicted.values()) + sum(reference.values()))


def score_json_valid(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Share of predictions that parse as JSON, whatever they say."""
    parses = [parse_json(prediction) is not UNPARSEABLE for prediction in predictions]
    valid = np.array(parses, dtype=bool)
    return scored_mean(
        "json_valid", valid, unparseable=~valid, bounds=(0.0, 1.0), is_proportion=True
    )


def score_json_equal(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Share of predictions equal to a reference as JSON: key order and spacing do not matter."""
    return _score_slots("json_equal", predictions, references, ordered=True)


def score_json_f1(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Mean over rows of the slot F1 against the best-fitting reference."""
    return _score_slots("json_f1", predictions, references, ordered=False)


def _score_slots(
    name: str, predictions: Sequence[str], references: Sequence[Sequence[str]], *, ordered: bool
) -> Scored:
    values, unparseable = [], []
    for prediction, row in zip(predictions, references, strict=True):
        parsed = parse_json(prediction)
        gold = [value for value in map(parse_json, row) if value is not UNPARSEABLE]
        unparseable.append(parsed is UNPARSEABLE)
        if not gold:
            values.append(np.nan)  # A row whose reference is no JSON has no score as JSON.
        elif parsed is UNPARSEABLE:
            values.append(0.0)
        else:
            slots = flatten(parsed, ordered=ordered)
            wanted = [flatten(value, ordered=ordered) for value in gold]
            if ordered:
                values.append(float(slots in wanted))
            else:
                values.append(max(slot_f1(slots, reference) for reference in wanted))
    return scored_mean(
        name, values, unparseable=unparseable, bounds=(0.0, 1.0), is_proportion=ordered
    )


def _typed(leaf: Any) -> tuple[str, Any]:
    if isinstance(leaf, bool):
        return ("boolean", leaf)
    if isinstance(leaf, (int, float)):
        return ("number", leaf)
    if isinstance(leaf, str):
        return ("string", leaf)
    if isinstance(leaf, (dict, list)):
        return ("empty", type(leaf).__name__)
    return ("null", None)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
