"""What a kind of task draws: an instruction, and the rule that it states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Rewrite = Callable[[str], str]
DrawPrompt = Callable[[Random], str]
Answer = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Draft:
    """A task before its rows are drawn.

    Args:
        anchor: The instruction that states the task.
        rule: What sets the task apart from others of its kind, wording aside.
        draw_prompt: Draws a prompt.
        answer: The right answer to a prompt, from its text alone.
    """

    anchor: str
    rule: tuple[Any, ...]
    draw_prompt: DrawPrompt
    answer: Answer


Maker = Callable[[Random], Draft]
"""Draws a task of one kind."""


def join(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence lists them: `a`, `a and b`, `a, b and c`.

    Args:
        words: The words.
        last: The word before the last of them.
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def close(rng: Random, what: str) -> str:
    """How an instruction ends: a sentence that wants the answer alone, or nothing.

    Args:
        rng: Draws the sentence.
        what: What the answer is called, as `the code`.
    """
    return rng.choice(
        (
            f" Answer with {what} alone.",
            f" Give only {what}.",
            f" Write {what} and nothing else.",
            " Add no explanation.",
            "",
        )
    )
