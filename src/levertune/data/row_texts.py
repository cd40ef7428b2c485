"""The texts of a row that are compared: normalised, and without the instruction all rows share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from levertune.data.records import Record
from levertune.data.word_pattern import MARKS, WORD

OwnText = Callable[[Record], str]
"""Gives a row's own text: its prompt without what every row says."""

# A hyphen between letters joins words, elsewhere it is a sign.
_SIGNS = r"[+*/=<>^%&|~#@$\u20ac\u00a3]|(?<!\w)-|-(?=\d)"
_WORDS = re.compile(WORD)
_TOKENS = re.compile(f"{WORD}|{_SIGNS}")
# The same for texts that can hold no marks, in less time.
_ASCII_WORDS = re.compile(r"\w+")
_ASCII_TOKENS = re.compile(rf"\w+|{_SIGNS}")
# The mark comes first and what stands before it is looked at afterwards: so most of a text is
# passed over without a look behind each of its characters.
_OPENING_MARKS = "[\"'\u2018\u201c\u00a1\u00bf]"
_OPENING = re.compile(f"{_OPENING_MARKS}(?<![^ ].){_OPENING_MARKS}*(?=\\w)")
# Behind the Latin and Chinese ones those of Armenian, Arabic and Urdu, India, Ethiopic, Khmer.
_CLOSING_MARKS = (
    "[.,;:!?\"'\u2019\u201d\u2026\u3002\uff0c\uff01\uff1f"
    "\u0589\u060c\u061b\u061f\u06d4\u0964\u0965\u1362\u1367\u17d4]"
)
_CLOSING = re.compile(f"{_CLOSING_MARKS}(?<=[\\w){MARKS}].){_CLOSING_MARKS}*(?= |$)")


def normalize_text(text: str) -> str:
    """The text in one case, each run of white space one space."""
    return " ".join(text.casefold().split())


def split_words(text: str) -> list[str]:
    """The words of a text in one case, without punctuation."""
    return (_ASCII_WORDS if text.isascii() else _WORDS).findall(text.casefold())


def split_tokens(text: str) -> list[str]:
    """The words of a text in one case, and its signs: `3 + 4` has other tokens than `3 * 4`."""
    return (_ASCII_TOKENS if text.isascii() else _TOKENS).findall(text.casefold())


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


@dataclass(frozen=True, slots=True)
class RowTexts:
    """What two rows are compared by.

    Args:
        prompt: Own text, normalised; all of a `text` row.
        answer: Completion, normalised; `""` for a `text` row.
        system: The system turn without the shared instruction, normalised.
        bare: The prompt without marks at the ends of words.
    """

    prompt: str
    answer: str
    system: str
    bare: str

    @property
    def prompt_key(self) -> tuple[str, str]:
        """What equal prompts have in common, marks at the ends of words aside."""
        return self.system, self.bare

    @property
    def row_key(self) -> tuple[str, str, str]:
        """Everything there is."""
        return self.system, self.prompt, self.answer


def compared_texts(record: Record, own_text: OwnText, instruction: str | None) -> RowTexts:
    """The texts a row is compared by.

    Args:
        record: The row.
        own_text: Gives its own text.
        instruction: The instruction rows share, left out of a system turn.
    """
    prompt = normalize_text(own_text(record))
    answer = "" if record.is_text else normalize_text(record.completion)
    system = ""
    if record.prompt and record.prompt[0].role == "system":
        shared = (instruction or "").strip()
        system = normalize_text(without_instruction(record.prompt[0].content, shared))
    return RowTexts(prompt, answer, system, bare_text(prompt))


def bare_text(text: str) -> str:
    """A normalised text without marks at the ends of words.

    Marks inside words and numbers stay, as do signs and what stands alone: `3.5` is not `35`, and
    `3 + 4` is not `3 * 4`.
    """
    return _OPENING.sub("", _CLOSING.sub("", text))
