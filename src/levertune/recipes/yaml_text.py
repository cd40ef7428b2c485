"""YAML 1.2 text to plain values and back: bounded, without aliases, tags or repeated keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from levertune.errors import RecipeError
from levertune.recipes.rules import Key

MAX_BYTES = 200_000
MAX_DEPTH = 20

# The core schema of YAML 1.2, section 10.3.2: `no` and dates are text, `1e-4` is a number.
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,100}")
_OCTAL_OR_HEX = re.compile(r"0(o[0-7]{1,100}|x[0-9a-fA-F]{1,100})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9_./-]*")


@dataclass
class Document:
    """A parsed text.

    Args:
        value: Mappings, lists, text, numbers, booleans and None.
        lines: Line of each key and list item, counted from 1.
    """

    value: Any
    lines: dict[Key, int] = field(default_factory=dict)


def parse_yaml(text: str, where: str) -> Document:
    """Read one YAML 1.2 document.

    Args:
        text: The text.
        where: What to call it in errors.

    Raises:
        RecipeError: If it is not YAML, too long or too deep, has an alias or a tag, repeats a key
            or has a key that is not text.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise RecipeError(f"{where}: is too long; a recipe has at most {MAX_BYTES} bytes.")
    try:
        return _Reader(YAML(typ="safe", pure=True).parse(text), where).read()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise RecipeError(
            f"{where}{line}: is not valid YAML: {problem}. Check the indentation, and quote values "
            "that hold `: ` or begin with a special character."
        ) from None
    except YAMLError as error:
        problem = " ".join(str(error).split("\n")[0].split())
        raise RecipeError(f"{where}: is not valid YAML: {problem}.") from None
    except (ValueError, OverflowError) as error:  # a character such as "\\U00110000"
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(
            f"{where}: is not valid YAML: a value cannot be read ({error}). Correct it."
        ) from None


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".", "", 1))
    return text


def format_value(value: Any) -> str:
    """A value on one line, to be read back as it is."""
    if isinstance(value, dict):
        items = (f"{format_value(name)}: {format_value(item)}" for name, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    is_word_in_1_1 = value.lower() in {"y", "n", "yes", "no", "on", "off"}  # booleans there
    if _PLAIN.fullmatch(value) and resolve_scalar(value) == value and not is_word_in_1_1:
        return value
    return '"' + "".join(_escape(character) for character in value) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Reader:
    """Builds values from parser events, so that every check comes before anything is built."""

    def __init__(self, events: Iterator[Any], where: str) -> None:
        self._events = events
        self._where = where
        self._lines: dict[Key, int] = {}

    def read(self) -> Document:
        next(self._events)  # the stream's start
        event = next(self._events)
        if type(event).__name__ == "StreamEndEvent":
            return Document(None)
        if event.version not in (None, (1, 2)):
            raise self._error(event, "asks for another YAML than 1.2. Remove the %YAML line")
        value = self._value(next(self._events), ())
        next(self._events)  # the document's end
        event = next(self._events)
        if type(event).__name__ != "StreamEndEvent":
            raise self._error(event, "begins a second document. Keep one in a file")
        return Document(value, self._lines)

    def _value(self, event: Any, key: Key) -> Any:
        kind = type(event).__name__
        self._lines[key] = event.start_mark.line + 1
        if kind == "AliasEvent":
            raise self._error(event, f"has the alias *{event.anchor}. Write the value out")
        if event.tag is not None:
            raise self._error(event, f"has the tag {str(event.tag)!r}. Remove it")
        if kind == "ScalarEvent":
            return event.value if event.style else resolve_scalar(event.value)
        if len(key) >= MAX_DEPTH:
            raise self._error(event, f"is nested deeper than {MAX_DEPTH} levels")
        return self._mapping(key) if kind == "MappingStartEvent" else self._sequence(key)

    def _mapping(self, key: Key) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            name = self._value(event, key) if type(event).__name__ == "ScalarEvent" else event
            if not isinstance(name, str):
                found = f"; found {name!r}" if name is not event else ""
                raise self._error(event, f"has a key that is not text{found}. Quote it")
            if name in result:
                raise self._error(event, f"has the key {name!r} a second time. Keep one of them")
            line = event.start_mark.line + 1
            result[name] = self._value(next(self._events), (*key, name))
            self._lines[(*key, name)] = line
        return result

    def _sequence(self, key: Key) -> list[Any]:
        result: list[Any] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            result.append(self._value(event, (*key, len(result))))
        return result

    def _error(self, event: Any, problem: str) -> RecipeError:
        return RecipeError(f"{self._where}, line {event.start_mark.line + 1}: {problem}.")
