"""What a recipe key accepts, in words: for error messages and for the reference page."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Key = tuple[str | int, ...]

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_BOUNDS = (("ge", "of at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


@dataclass(frozen=True, slots=True)
class Rule:
    """Words that replace the ones derived from a field's type.

    Args:
        text: What the field accepts, to follow "must be".
    """

    text: str


def field_at(root: type[BaseModel], key: Sequence[str | int]) -> FieldInfo | None:
    """The field a key leads to, or None if there is none.

    Args:
        root: The outermost model.
        key: Names, and indices into lists.
    """
    model: type[BaseModel] | None = root
    field: FieldInfo | None = None
    for part in key:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model else None
        if field is None:
            return None
        model = next(models_in(field.annotation), None)
    return field


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation holds, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def plain_types(annotation: Any) -> set[type]:
    """The types an annotation takes whatever the value: literals do not count."""
    if annotation is None:
        return {type(None)}
    origin = get_origin(annotation)
    if origin is Annotated:
        return plain_types(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(plain_types(option) for option in get_args(annotation)))
    if origin is Literal:
        return set()
    return {annotation} if isinstance(annotation, type) else {origin}


def rule_of(field: FieldInfo) -> str:
    """What a field accepts, to follow "must be"."""
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    for item in metadata:
        if isinstance(item, Rule):
            return item.text
    if annotation is None or annotation is type(None):
        return "null"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return ", or ".join(_describe(option) for option in arguments)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(f"`{a}`" for a in arguments)
    if origin is tuple:
        return f"a list, each item {_describe(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a section with the keys {', '.join(annotation.model_fields)}"
    return " ".join([_WORDS[annotation], *_bounds(metadata)])


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
    """The limits among a field's constraints, joined by "and"."""
    constraints: list[Any] = []
    for item in metadata:
        constraints.extend(item.metadata if isinstance(item, FieldInfo) else [item])
    said = [
        f"{words} {getattr(item, name)}"
        for name, words in _BOUNDS
        for item in constraints
        if getattr(item, name, None) is not None
    ]
    if said:
        yield " and ".join(said)
