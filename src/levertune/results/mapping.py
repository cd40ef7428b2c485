"""Frozen dataclasses to JSON objects and back, checked key by key against their annotations."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from levertune.errors import RunError

T = TypeVar("T")

_NAMES = {str: "a string", int: "a whole number", float: "a finite number", bool: "true or false"}


def to_mapping(value: Any) -> Any:
    """The JSON form of a contract object.

    Args:
        value: A dataclass, or what its fields hold.

    Returns:
        Dictionaries, lists, strings, numbers, booleans and None. JSON has no word for infinity or
        not-a-number, so a float that is not finite (the loss of a run that diverged) becomes None:
        it is then reported as not measured.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_mapping(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_mapping(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_mapping(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_mapping(cls: type[T], value: object, *, where: str) -> T:
    """Read a contract object from parsed JSON.

    Args:
        cls: The dataclass to build. Fields with a default may be missing; an annotation of `Any`
            takes any JSON value.
        value: The parsed JSON.
        where: What the user calls the place it came from, for errors.

    Returns:
        The object, sequences as tuples.

    Raises:
        RunError: If a key is missing, unknown or of the wrong type.
    """
    return _read(cls, value, where, "")


def _read(kind: Any, value: Any, where: str, key: str) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, value, where, key)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [a for a in arguments if a is not type(None)]
        if set(options) == {int, float, str}:  # a setting
            if isinstance(value, str):
                return value
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _wrong(where, key, "a finite number or a string", value)
        if set(options) >= {int, float}:  # a number that keeps its type
            number: Any = _read(float, value, where, key)
            return value if isinstance(value, int) else number
        (option,) = options  # beside that the contract has only `X | None`
        return _read(option, value, where, key)
    if origin is Literal:
        if value not in arguments:
            raise _wrong(where, key, f"one of {list(arguments)}", value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(where, key, "a list", value)
        return tuple(_read(arguments[0], v, where, f"{key}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, key, "an object", value)
        return {k: _read(arguments[1], v, where, f"{key}.{k}") for k, v in value.items()}
    if not _is_plain(kind, value) or (isinstance(value, float) and not math.isfinite(value)):
        raise _wrong(where, key, _NAMES[kind], value)
    return float(value) if kind is float else value


def _read_dataclass(cls: Any, value: object, where: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, key, "an object", value)
    hints, fields = _hints(cls), {f.name: f for f in dataclasses.fields(cls)}
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f" Did you mean {prefix + close[0]!r}?" if close else ""
            raise RunError(
                f"{where}: unknown key {prefix + str(name)!r}; known here: {sorted(fields)}.{hint}"
            )
    arguments = {}
    for name, field in fields.items():
        if name in value:
            arguments[name] = _read(hints[name], value[name], where, prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RunError(
                f"{where}: key {prefix + name!r} is missing; found {sorted(map(str, value))}. The "
                "file is damaged or from another version of levertune: run that step again."
            )
    return cls(**arguments)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _is_plain(kind: Any, value: object) -> bool:
    """Whether `value` is of the plain JSON type `kind`; a boolean is no number."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _wrong(where: str, key: str, expected: str, value: object) -> RunError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return RunError(
        f"{where}: {key or 'the whole file'} must be {expected}; found {shown}. The file is "
        "damaged or was edited: run that step again."
    )
