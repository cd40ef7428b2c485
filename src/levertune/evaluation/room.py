"""Whether a model's context has room for a prompt and its answer."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.anchors.anchor import Example
from levertune.errors import DataError
from levertune.models.rendering import ChatTokenizer


def require_room(
    examples: Sequence[Example],
    tokenizer: ChatTokenizer,
    *,
    max_new_tokens: int,
    context_length: int | None,
    called: str,
    setting: str,
) -> None:
    """Refuse prompts that leave no room for their answer.

    Past its context a model writes noise or fails, by the way it counts positions.

    Args:
        examples: The rows as the model sees them; their completions are not looked at.
        tokenizer: The model's tokenizer.
        max_new_tokens: Most tokens of an answer.
        context_length: Tokens the model reads; None where its configuration does not say.
        called: What a row is called in the error, as `test row`.
        setting: What the user calls `max_new_tokens`.

    Raises:
        DataError: If one is too long, by its id.
    """
    if context_length is None:
        return
    for example in examples:
        length = len(tokenizer.encode_prompt(example)) + max_new_tokens
        if length > context_length:
            raise DataError(
                f"{called} {example.id!r}: prompt and answer need up to {length} tokens; the model "
                f"reads {context_length}. Shorten it or lower {setting}."
            )
