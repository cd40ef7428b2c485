"""What the JSON answers of a task have in common, in words: keys, optional ones told, and types."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from levertune.anchors.patterns import describe_pattern, join_words, number_word

MAX_DEPTH = 4

_MAX_VALUES = 8
_MAX_VALUE_CHARACTERS = 24
_MAX_VALUE_WORDS = 3
_MIN_SEEN_PER_VALUE = 2
_MIN_SEEN = 4
_MAX_PATTERN_CHARACTERS = 60
# More keys than this name values of the data, as in a word count by word.
_MAX_KEYS = 40

# How much is said of keys that every object has, and of optional ones: VALUES, TYPES, …
_VALUES, _TYPES, _NESTED, _NAMES_ALONE, _TOP_ALONE = 4, 3, 2, 1, 0
_LEVELS = (
    (_VALUES, _VALUES),
    (_VALUES, _TYPES),
    (_VALUES, _NESTED),
    (_VALUES, _NAMES_ALONE),
    (_VALUES, _TOP_ALONE),
    (_TYPES, _TYPES),
    (_NESTED, _NESTED),
    (_NESTED, _TOP_ALONE),
    (_NAMES_ALONE, _NAMES_ALONE),
    (_NAMES_ALONE, _TOP_ALONE),
)

_FENCE = re.compile(r"```[\w-]*\s*\n(.*?)\n?```", re.DOTALL)
# Written in escapes, such a text may be a control token of the model, which no prompt may hold.
_MARKUP = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")
_NAMES = {str: "text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What values at one place of the answers have in common.

    Args:
        kinds: What they are, in order of first appearance: `text`, `whole number`, `number`,
            `true or false`, `null`, `list`, `object`.
        keys: Of objects, each key with the shape of its values and whether every object has it;
            none if one of them cannot be named.
        items: Of lists, the shape of the items.
        length: Of lists, the number of items if all have the same.
        values: Of strings, the few different ones there are, the most frequent first.
        pattern: Of strings, the pattern they share.
    """

    kinds: tuple[str, ...]
    keys: tuple[tuple[str, Shape, bool], ...] = ()
    items: Shape | None = None
    length: int | None = None
    values: tuple[str, ...] = ()
    pattern: str | None = None


def parse_answers(completions: Sequence[str]) -> list[Any] | None:
    """The values of answers that are all JSON, a fence around one aside; else None.

    Args:
        completions: The answers.
    """
    values = []
    for text in completions:
        body = text.strip()
        fenced = _FENCE.fullmatch(body)
        try:
            values.append(json.loads(fenced[1] if fenced else body))
        except (ValueError, RecursionError):
            return None
    return values


def find_shape(values: Sequence[Any], depth: int = MAX_DEPTH) -> Shape:
    """The shape of JSON values.

    Args:
        values: What stands at one place of the answers, at least one value.
        depth: How many levels of objects and lists to look into.
    """
    kinds = tuple(dict.fromkeys(map(_kind, values)))
    if "number" in kinds:
        kinds = tuple(kind for kind in kinds if kind != "whole number")
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    texts = [value for value in values if isinstance(value, str)]
    if not depth:
        return Shape(kinds)
    items = [item for value in lists for item in value]
    lengths = {len(value) for value in lists}
    named = _few_values(texts)
    pattern = describe_pattern(texts) if texts and not named else None
    pattern = pattern if pattern and _can_be_named(pattern) else None
    return Shape(
        kinds,
        _find_keys(objects, depth),
        find_shape(items, depth - 1) if items else None,
        lengths.pop() if len(lengths) == 1 and len(lists) > 1 else None,
        named,
        pattern if pattern and len(pattern) <= _MAX_PATTERN_CHARACTERS else None,
    )


def describe_json(completions: Sequence[str]) -> list[str]:
    """Descriptions of the JSON that a task wants, as it stands after `Answer with`.

    Args:
        completions: The answers.

    Returns:
        From the fullest description, which names types and values, by way of those that name only
        keys, to `JSON`; equal ones once.
    """
    values = parse_answers(completions)
    if not values:
        return ["JSON"]
    shape = find_shape(values)
    top = shape.kinds[0] if len(shape.kinds) == 1 else None
    if top not in ("object", "list"):
        return ["JSON"]
    described = [_describe(shape, level, is_top=True) for level in _LEVELS]
    always = [_quote(key) for key, _, is_required in shape.keys if is_required]
    if always and len(always) < len(shape.keys):
        described.append(f"a JSON object{_with_keys(always)}, and further keys where they apply")
    plain = "a JSON object" if top == "object" else "a JSON list"
    return list(dict.fromkeys([*described, plain, "JSON"]))


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "list"
    if isinstance(value, float):
        return "number"
    return _NAMES.get(type(value), "whole number")


def _find_keys(
    objects: Sequence[dict[str, Any]], depth: int
) -> tuple[tuple[str, Shape, bool], ...]:
    held: dict[str, list[Any]] = {}
    for obj in objects:
        for key, value in obj.items():
            held.setdefault(key, []).append(value)
    if len(held) > _MAX_KEYS or not all(map(_can_be_named, held)):
        return ()
    return tuple(
        (key, find_shape(values, depth - 1), len(values) == len(objects))
        for key, values in held.items()
    )


def _few_values(texts: Sequence[str]) -> tuple[str, ...]:
    """The different strings at a place, if they are few, short and each seen again."""
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
        if len(counts) > _MAX_VALUES:
            return ()
    # A value seen once is a sign that there are others, not seen yet.
    few = len(texts) >= _MIN_SEEN and min(counts.values(), default=0) >= _MIN_SEEN_PER_VALUE
    short = all(
        len(text) <= _MAX_VALUE_CHARACTERS and len(text.split()) <= _MAX_VALUE_WORDS
        for text in counts
    )
    if not (few and short and all(map(_can_be_named, counts))):
        return ()
    return tuple(sorted(counts, key=lambda text: -counts[text]))


def _can_be_named(text: str) -> bool:
    """Whether a text of the answers may stand in an anchor, which half a character may not."""
    return not _MARKUP.search(text) and text == text.encode(errors="ignore").decode()


def _describe(shape: Shape, levels: tuple[int, int], *, is_top: bool = False) -> str:
    """A shape in words, at the levels of keys that are always there and of optional ones."""
    json_word = "JSON " if is_top else ""
    full = levels[0] == _VALUES
    parts = []
    for kind in shape.kinds:
        if kind == "object":
            keys = _describe_keys(shape, levels, is_top=is_top)
            parts.append(f"{'a' if is_top else 'an'} {json_word}object{keys}")
        elif kind == "list":
            count = f"{number_word(shape.length)} " if shape.length else ""
            of = f" of {count}{_plural(shape, levels)}" if shape.items else ""
            parts.append(f"a {json_word}list{of}")
        elif kind == "text" and full and shape.values:
            quoted = [_quote(text) for text in shape.values]
            parts.append(f"one of {', '.join(quoted)}" if quoted[1:] else f"always {quoted[0]}")
        elif kind == "text" and full and shape.pattern:
            parts.append(shape.pattern)
        else:
            parts.append(kind if kind in ("text", "null", "true or false") else f"a {kind}")
    return join_words(parts, "or")


def _describe_keys(shape: Shape, levels: tuple[int, int], *, is_top: bool = False) -> str:
    required, optional = levels
    always = [_key(key, node, levels) for key, node, is_required in shape.keys if is_required]
    sometimes = [
        _key(key, node, (optional, optional))
        for key, node, is_required in shape.keys
        if not is_required and (is_top or optional > _TOP_ALONE)
    ]
    text = _with_keys(always) if always else ""
    if sometimes:
        text += f"{', and' if always else ' with'} where they apply {join_words(sometimes)}"
    return text


def _key(key: str, node: Shape, levels: tuple[int, int]) -> str:
    level = levels[0]
    holds_keys = bool(node.keys) or (node.items is not None and bool(node.items.keys))
    if level >= _TYPES or (level == _NESTED and holds_keys):
        return f"{_quote(key)} ({_describe(node, levels)})"
    return _quote(key)


def _with_keys(names: Sequence[str]) -> str:
    return f" with the key{'s' * (len(names) > 1)} {join_words(names)}"


def _plural(shape: Shape, levels: tuple[int, int]) -> str:
    """The items of a list in words."""
    items = shape.items
    if items is None or len(items.kinds) != 1:
        return "items"
    kind = items.kinds[0]
    plural = {"null": "nulls", "true or false": "values true or false"}.get(kind, f"{kind}s")
    if shape.length == 1:
        plural = {"null": "null", "true or false": "value true or false"}.get(kind, kind)
    if kind == "object":
        return plural + _describe_keys(items, levels)
    if kind == "list" and items.items:
        return f"{plural} of {_plural(items, levels)}"
    if kind == "text" and levels[0] == _VALUES and items.values[1:]:
        return f"{plural}, each one of {', '.join(map(_quote, items.values))}"
    return plural


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
