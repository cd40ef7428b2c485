"""The texts of a row that are compared: normalised, and without the instruction all rows share."""

from __future__ import annotations

import re
from collections.abc import Callable

from levertune.data.records import Record

OwnText = Callable[[Record], str]
"""Gives a row's own text: its prompt without what every row says."""

_WORD = re.compile(r"\w+")


def normalize_text(text: str) -> str:
    """The text in one case, each run of white space one space."""
    return " ".join(text.casefold().split())


def split_words(text: str) -> list[str]:
    """The words of a text in one case, without punctuation."""
    return _WORD.findall(text.casefold())


def without_instruction(text: str, instruction: str) -> str:
    """A turn's text without the instruction that opens it, or else stands last in it."""
    bare = text.strip()
    if not instruction:
        return bare
    if bare.startswith(instruction):
        return bare[len(instruction) :].lstrip()
    before, found, behind = bare.rpartition(instruction)
    return f"{before.rstrip()} {behind.lstrip()}".strip() if found else bare


def make_own_text(instruction: str | None) -> OwnText:
    """A function that gives a row's own text.

    Args:
        instruction: The instruction the rows share, or None.

    Returns:
        A function from a record to the text of its turns, the system's aside, without the
        instruction; the whole text of a `text` row.
    """
    shared = (instruction or "").strip()

    def own_text(record: Record) -> str:
        if record.is_text:
            return record.completion
        if len(record.prompt) == 1:  # nearly every row: no list to join
            return without_instruction(record.prompt[0].content, shared)
        return "\n".join(
            without_instruction(turn.content, shared)
            for turn in record.prompt
            if turn.role != "system"
        )

    return own_text


def prompt_key(record: Record, own_text: OwnText, instruction: str | None = None) -> str:
    """What two rows with the same prompt have in common: own text and system text, normalised."""
    key = normalize_text(own_text(record))
    if record.prompt and record.prompt[0].role == "system":
        system = without_instruction(record.prompt[0].content, (instruction or "").strip())
        return f"{normalize_text(system)}\n{key}" if system else key
    return key
