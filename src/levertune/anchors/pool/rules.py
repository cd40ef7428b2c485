"""What an entry of the pool must hold: every fault of a plain mapping, key by key."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from levertune.anchors.setting import describe_name

Answer = Literal["json", "label", "number", "code", "text"]
"""Kinds of answer, as `scoring.kinds` tells them; a test holds the two together."""

Against = Literal["sft", "base"]
"""What a gain is measured against: the best SFT arm of the run, or the base model as it is."""

Key = tuple[str | int, ...]

ENTRY_KEYS = (
    "id", "text", "kind", "answer", "task", "languages", "licence", "author", "examples",
    "evidence", "votes",
)  # fmt: skip
EXAMPLE_KEYS = ("prompt", "completion")
EVIDENCE_KEYS = (
    "run", "model", "task", "against", "metric", "n", "seeds", "gain", "interval", "verified",
)  # fmt: skip

MAX_TEXT = 2_000
MAX_LINE = 300
MAX_SLUG = 60
MIN_EXAMPLES = 5

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_METRIC = re.compile(r"[a-z][a-z0-9_]*")
# What chat templates mark turns with, whatever the model: `<|...|>`, which some write with
# full-width bars, and the tokens of Llama 2, Mistral and Gemma.
_CONTROL_TOKEN = re.compile(
    r"<[|\uff5c][^\n]{1,60}?[|\uff5c]>"
    r"|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<[be]os>"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an entry.

    Args:
        key: Where in the entry: names of keys, and indices into lists.
        problem: What is wrong, what was found and what to do.
    """

    key: Key
    problem: str

    @property
    def field(self) -> str:
        """The key as the user reads it: `examples.0.prompt`; `""` for the whole entry."""
        return ".".join(str(part) for part in self.key)


def find_faults(value: Any, *, stem: str | None = None) -> list[Fault]:
    """Everything wrong with an entry, in the order of its keys; unknown keys come first.

    Args:
        value: The parsed entry.
        stem: The name of its file without the ending, which must be its id; None without a file.
    """
    faults = list(_mapping_faults(value, ENTRY_KEYS, ()))
    if not isinstance(value, Mapping):
        return faults
    for name, look in _LOOKS.items():
        if name in value:
            faults += look(value[name], (name,))
    found = value.get("id")
    if stem is not None and isinstance(found, str) and found != stem:
        faults.append(
            Fault(
                ("id",),
                f"must be the name of its file, {stem!r}; found {found!r}. Rename one of the two.",
            )
        )
    return faults


def control_token(text: str) -> str | None:
    """The first text that chat templates mark turns with, as `<|...|>` or `[INST]`, or None."""
    found = _CONTROL_TOKEN.search(text)
    return found.group() if found else None


def short(value: object) -> str:
    """A value as Python writes it, cut where it gets long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _mapping_faults(value: Any, known: Sequence[str], key: Key) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(key, f"must be a mapping with the keys {', '.join(known)}; {_found(value)}.")
        return
    missing = [name for name in known if name not in value]
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), missing or known, n=1, cutoff=0.5)
            advice = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."
            yield Fault((*key, name), f"is no key of the pool's entries. {advice}")
    for name in missing:
        yield Fault((*key, name), "is missing. Add it.")


def _list_faults(
    value: Any, key: Key, look: Callable[[Any, Key], Iterator[Fault]], *, least: int, of: str
) -> Iterator[Fault]:
    if not isinstance(value, list | tuple):
        yield Fault(key, f"must be a list of {of}; {_found(value)}.")
        return
    if len(value) < least:
        yield Fault(key, f"must have at least {least} {of}; found {len(value)}. Add more.")
    seen: list[Any] = []
    for number, item in enumerate(value):
        yield from look(item, (*key, number))
        if item in seen:
            yield Fault(
                (*key, number), f"repeats item {seen.index(item)}; {_found(item)}. Remove it."
            )
        seen.append(item)


def _pattern(pattern: re.Pattern[str], rule: str, longest: int) -> Callable[..., Iterator[Fault]]:
    def look(value: Any, key: Key) -> Iterator[Fault]:
        if (
            not isinstance(value, str)
            or len(value) > longest
            or not pattern.fullmatch(value)
        ):  # fmt: skip
            yield Fault(key, f"must be {rule}; {_found(value)}. Write it so.")

    return look


def _text_faults(value: Any, key: Key, *, lines: bool, longest: int | None) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(key, f"must be text; {_found(value)}. Put it in quotes.")
        return
    if not value.strip():
        yield Fault(key, f"must not be blank; {_found(value)}. Write it.")
    if longest is not None and len(value) > longest:
        yield Fault(key, f"must have at most {longest:,} characters; found {len(value):,}. Cut it.")
    allowed = "\n\t" if lines else ""
    for character in value:
        # Control characters could move a terminal's cursor, half a surrogate pair cannot be saved.
        if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
            what = "one line of text" if not lines and character in "\n\t" else "plain text"
            yield Fault(key, f"must be {what}; found the character {character!r}. Remove it.")
            break
    if (token := control_token(value)) is not None:
        yield Fault(
            key,
            f"contains the control token {token!r}; it would end or open a turn. Remove it.",
        )


def _body_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _text_faults(value, key, lines=True, longest=None)


def _line_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _text_faults(value, key, lines=False, longest=MAX_LINE)


def _anchor_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _text_faults(value, key, lines=True, longest=MAX_TEXT)
    if isinstance(value, str) and value.strip() and value != value.strip():
        ends = value if len(value) <= 40 else f"{value[:15]} ... {value[-15:]}"
        yield Fault(
            key,
            f"must not begin or end with white space; found {ends!r}. Write it under `text: |-`.",
        )
    if isinstance(value, str) and (name := describe_name(value)):
        yield Fault(key, f"must be the anchor's own words; it {name}. Write them out.")


def _example_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _mapping_faults(value, EXAMPLE_KEYS, key)
    if isinstance(value, Mapping):
        for name in EXAMPLE_KEYS:
            if name in value:
                yield from _body_faults(value[name], (*key, name))


def _evidence_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _mapping_faults(value, EVIDENCE_KEYS, key)
    if isinstance(value, Mapping):
        for name, look in _EVIDENCE_LOOKS.items():
            if name in value:
                yield from look(value[name], (*key, name))


def _all_evidence_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _list_faults(value, key, _evidence_faults, least=0, of="measured gains")
    seen: set[tuple[Any, ...]] = set()
    for number, item in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(item, Mapping):
            same = tuple(str(item.get(name)) for name in ("run", "against", "metric"))
            if same in seen:
                yield Fault(
                    (*key, number),
                    f"is a second gain of one run; found run {short(same[0])} with metric "
                    f"{same[2]!r} against {same[1]!r} twice. Keep one.",
                )
            seen.add(same)


def _whole_faults(least: int) -> Callable[[Any, Key], Iterator[Fault]]:
    def look(value: Any, key: Key) -> Iterator[Fault]:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield Fault(key, f"must be a whole number of at least {least}; {_found(value)}.")

    return look


def _choice_faults(choices: tuple[Any, ...]) -> Callable[[Any, Key], Iterator[Fault]]:
    def look(value: Any, key: Key) -> Iterator[Fault]:
        if not any(value is choice or value == choice for choice in choices):
            near = difflib.get_close_matches(str(value), [str(c) for c in choices], n=1)
            advice = f" Did you mean {near[0]!r}?" if near else ""
            rule = f"one of {', '.join(map(str, choices))}"
            yield Fault(key, f"must be {rule}; {_found(value)}.{advice}")

    return look


def _truth_faults(value: Any, key: Key) -> Iterator[Fault]:
    if not isinstance(value, bool):
        yield Fault(key, f"must be true or false; {_found(value)}.")


def _number_faults(value: Any, key: Key) -> Iterator[Fault]:
    if not _is_number(value):
        yield Fault(key, f"must be a finite number of points; {_found(value)}.")


def _interval_faults(value: Any, key: Key) -> Iterator[Fault]:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or not all(map(_is_number, value)) or value[0] > value[1]:
        yield Fault(key, f"must be [low, high] in points, low first; {_found(value)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _found(value: Any) -> str:
    return f"found {short(value)}"


def _languages_faults(value: Any, key: Key) -> Iterator[Fault]:
    rule = "a primary language tag of BCP 47, such as `en`"
    yield from _list_faults(
        value, key, _pattern(_LANGUAGE, rule, 3), least=1, of="primary language tags"
    )


def _examples_faults(value: Any, key: Key) -> Iterator[Fault]:
    yield from _list_faults(value, key, _example_faults, least=MIN_EXAMPLES, of="examples")


_slug = _pattern(
    _SLUG, f"at most {MAX_SLUG} small letters and digits in words joined by `-`", MAX_SLUG
)
_sha256 = _pattern(_SHA256, "the 64 hexadecimal digits of a SHA-256", 64)

_LOOKS: Mapping[str, Callable[[Any, Key], Iterator[Fault]]] = {
    "id": _slug,
    "text": _anchor_faults,
    "kind": _slug,
    "answer": _choice_faults(get_args(Answer)),
    "task": _line_faults,
    "languages": _languages_faults,
    "licence": _pattern(_LICENCE, "an SPDX identifier, such as `CC0-1.0`", MAX_SLUG),
    "author": _line_faults,
    "examples": _examples_faults,
    "evidence": _all_evidence_faults,
    "votes": _whole_faults(0),
}
_EVIDENCE_LOOKS: Mapping[str, Callable[[Any, Key], Iterator[Fault]]] = {
    "run": _sha256,
    "model": _line_faults,
    "task": _sha256,
    "against": _choice_faults(get_args(Against)),
    "metric": _pattern(_METRIC, "the name of a metric that levertune brings", MAX_SLUG),
    "n": _whole_faults(1),
    "seeds": _whole_faults(1),
    "gain": _number_faults,
    "interval": _interval_faults,
    "verified": _truth_faults,
}
