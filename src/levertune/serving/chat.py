"""A talk with an adapter in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from levertune.data.printable import printable
from levertune.data.records import Message
from levertune.errors import DataError
from levertune.serving.adapter import Assistant

PROMPT = "you> "
"""What stands before the line the user writes."""


def chat(
    folder: str | Path,
    *,
    max_new_tokens: int | None = None,
    use_anchor: bool = True,
    base: str | None = None,
    trust_remote_code: bool = False,
    read: Callable[[str], str] | None = None,
    write: Callable[[str], object] | None = None,
) -> None:
    """Talk until the user enters an empty line, ends the input, or interrupts.

    Each answer sees all turns before it. The anchor stands on the newest user turn, as on the rows
    of the training.

    Args:
        folder: An adapter folder, or a run folder for its best adapter.
        max_new_tokens: Most tokens of an answer; by default as in the adapter's evaluation.
        use_anchor: Whether to apply the anchor.
        base: Folder or Hub name of the base model, where the adapter's own name for it does not
            lead to it.
        trust_remote_code: Whether code that came with the base model may run.
        read: Shows its argument and gives the next line; by default `input`.
        write: Shows a text; by default standard output does.

    Raises:
        DataError: If the input cannot be decoded.
        ModelError: If the adapter or its base model cannot be used.
        RecipeError: If `max_new_tokens` is below 1.
    """
    read, write = read or input, write or sys.stdout.write
    assistant = Assistant.load(folder, base=base, trust_remote_code=trust_remote_code)
    for line in _introduce(assistant, use_anchor=use_anchor):
        write(printable(line) + "\n")
    turns: list[Message] = []
    while text := _next_line(read):
        asked = [*turns, Message("user", text)]
        try:
            answer = assistant.answer(asked, use_anchor=use_anchor, max_new_tokens=max_new_tokens)
        except DataError as error:
            write(printable(f"{error}\n"))
            continue
        except KeyboardInterrupt:
            break
        write(printable(answer) + "\n")
        if not answer:  # a blank turn would be refused as part of the next prompt
            write("(the answer is empty; your turn is forgotten)\n")
            continue
        turns = [*asked, Message("assistant", answer)]


def _introduce(assistant: Assistant, *, use_anchor: bool) -> list[str]:
    card = assistant.card
    anchor = "none"
    if card.anchor is not None:
        anchor = f"{card.anchor.text!r} ({card.anchor.placement})"
        if not use_anchor:
            anchor = f"left out, {anchor}"
    return [f"{card.arm} on {card.base_model}; anchor: {anchor}", "An empty line ends the talk."]


def _next_line(read: Callable[[str], str]) -> str:
    try:
        return read(PROMPT).strip()
    except (EOFError, KeyboardInterrupt):
        return ""
    except UnicodeDecodeError as error:
        raise DataError(
            f"chat: the input is not {error.encoding} text; found byte "
            f"0x{error.object[error.start]:02x}. Write it as {error.encoding}."
        ) from None
