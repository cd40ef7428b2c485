"""A model that anchors are asked of, as a callable: in this process, or behind an endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from levertune.errors import UserError

SERVER_MAX_TOKENS = 2_048
"""Most tokens of a server's answer, by default: its model may think before it answers."""


class AskError(UserError):
    """A model cannot be asked: no connection, no permission, too many requests.

    Args:
        message: The one line.
        num_requests: Requests that were made in vain.
    """

    def __init__(self, message: str, num_requests: int = 0) -> None:
        super().__init__(message)
        self.num_requests = num_requests


class UnusableAnswerError(AskError):
    """A model answered, but not with a text; the next answer may be one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said.

    Args:
        text: Its words.
        num_tokens: Tokens of prompt and answer together, or None if unknown.
        num_requests: Requests it took, repeated ones included.
        is_finished: Whether the model ended it, rather than the limit of tokens.
    """

    text: str
    num_tokens: int | None = None
    num_requests: int = 1
    is_finished: bool = True


class Ask(Protocol):
    """Asks a model."""

    def __call__(self, prompt: str, *, seed: int, max_tokens: int) -> Answer:
        """The model's answer to a prompt.

        Args:
            prompt: What it is asked.
            seed: Seed of the sampling, as far as the model takes one.
            max_tokens: Most tokens it may answer with.

        Raises:
            AskError: If it cannot be asked, or its answer is no text.
        """
        ...
