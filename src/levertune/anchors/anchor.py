"""The anchor: the text that marks every task prompt the same way, and its application to a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from levertune.data.records import Message, Record
from levertune.errors import RecipeError

Placement = Literal["prefix", "system", "suffix"]


@dataclass(frozen=True, slots=True)
class Example:
    """A row ready to render: its turns with the anchor applied, and what should follow.

    Args:
        id: Id of the record it comes from.
        source: Source of that record.
        messages: Turns before the completion. Empty for a `text` row.
        completion: The text to produce.
        lead_in: Text the answer is made to start with; part of the prompt, never of the loss.
        is_anchored: Whether the anchor was applied.
    """

    id: str
    source: str
    messages: tuple[Message, ...]
    completion: str
    lead_in: str = ""
    is_anchored: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """A constant text on every task prompt (TELL, arXiv 2404.00914).

    Args:
        text: The anchor's words.
        placement: `prefix` and `suffix` put it before or after the text of the last user turn;
            `system` makes it the system turn (before the row's own system text, if there is one).
        lead_in: What every answer starts with, or None.
        dropout: Share of task exposures trained without the anchor, from 0 up to but not
            including 1.
        separator: White space between the anchor and the row's own text.

    Raises:
        RecipeError: If the text is blank, the placement unknown, the dropout out of range, or the
            separator not white space.
    """

    text: str
    placement: Placement = "prefix"
    lead_in: str | None = None
    dropout: float = 0.0
    separator: str = "\n"

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise RecipeError(
                "anchor.text: is blank; use `null` for no anchor, `auto`, or a sentence."
            )
        if self.placement not in get_args(Placement):
            raise RecipeError(
                f"anchor.placement: must be one of {list(get_args(Placement))}; "
                f"found {self.placement!r}."
            )
        if not 0.0 <= self.dropout < 1.0:
            raise RecipeError(
                f"anchor.dropout: must be at least 0 and below 1; found {self.dropout}."
            )
        if self.separator.strip():
            raise RecipeError(
                f"anchor.separator: must be white space; found {self.separator!r}. "
                "Put words into anchor.text."
            )

    @property
    def id(self) -> str:
        """Content hash of text, placement, lead-in and separator: 12 hexadecimal digits."""
        content = json.dumps([self.text, self.placement, self.lead_in, self.separator])
        return hashlib.sha256(content.encode("ascii")).hexdigest()[:12]

    def token_cost(self, count_tokens: Callable[[str], int]) -> int:
        """Tokens that the anchor's words add to every prompt that carries it.

        Text and lead-in stand apart, so each is counted by itself; the white space between anchor
        and row, of which a tokenizer often makes no token of its own, is left out.

        Args:
            count_tokens: Gives the tokens of a bare text, as `ChatTokenizer.count` does.
        """
        return count_tokens(self.text) + (count_tokens(self.lead_in) if self.lead_in else 0)

    def to_json(self) -> dict[str, Any]:
        """The anchor as a JSON object, its id included for the reader."""
        return {"id": self.id, **asdict(self)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Anchor:
        """The anchor that `to_json` wrote.

        Args:
            obj: The JSON object.

        Returns:
            The anchor.

        Raises:
            KeyError: If a field is missing.
            RecipeError: If a field is out of range.
        """
        return cls(**{field.name: obj[field.name] for field in fields(cls)})

    def apply(self, record: Record) -> Example:
        """Put this anchor on a record's prompt.

        Args:
            record: A task row. It has a prompt: `text` rows are general data only.

        Returns:
            The row as it is to be rendered.
        """
        messages = list(record.prompt)
        last = messages[-1]
        if self.placement == "prefix":
            messages[-1] = Message(last.role, f"{self.text}{self.separator}{last.content}")
        elif self.placement == "suffix":
            messages[-1] = Message(last.role, f"{last.content}{self.separator}{self.text}")
        elif messages[0].role == "system":
            messages[0] = Message("system", f"{self.text}{self.separator}{messages[0].content}")
        else:
            messages.insert(0, Message("system", self.text))
        return Example(
            id=record.id,
            source=record.source,
            messages=tuple(messages),
            completion=record.completion,
            lead_in=self.lead_in or "",
            is_anchored=True,
        )


def plain_example(record: Record) -> Example:
    """The record as it is, without an anchor."""
    return Example(record.id, record.source, record.prompt, record.completion)
