"""Which self-written rows to keep, judged by their words alone, in any language.

The rules find what small models do wrong most often: they never come to an end, loop, speak of
themselves, play both parts, or give the request back. None of them judges whether an answer is
true. `scripts/embedded/self_rules.py` adds stricter ones for the rows that are shipped.
"""

from __future__ import annotations

import re
import zlib

ASSISTANT_TALK = (
    r"\bas an AI\b|\bAI (language )?(model|assistant|chatbot)\b|language model|"
    r"\bI('m| am) (sorry|unable|not able|just an|an AI)\b|"
    r"\bI (can't|cannot|can not) (assist|help|provide|fulfil)"
)
"""What a model says of itself or to decline, as a pattern for `re.IGNORECASE`."""

ROLE_MARK = r"(?:^|\n)(?:A|Q|User|Human|Assistant|System|Answer):"
"""A line that opens as another speaker's, as a pattern for `re.IGNORECASE`."""

MIN_REQUEST_CHARACTERS = 8
# A run of words that comes again makes a loop; short texts may repeat a phrase once.
_RUN_WORDS = 8
# Text that packs to less than this share of its bytes is a loop, whatever its language. Plain prose
# of a few hundred bytes packs to a half, lists of like items to about 0.35.
_MIN_PACKED = 0.25
_MIN_PACKED_BYTES = 200

_TALK = re.compile(f"{ASSISTANT_TALK}|{ROLE_MARK}", re.IGNORECASE)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"\w[\w'’-]*", text.lower())


def has_repeated_run(words: list[str], length: int) -> bool:
    """Whether the same run of so many words stands twice."""
    runs = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    return len(set(runs)) < len(runs)


def reason_against(request: str, answer: str) -> str | None:
    """Why a row is left out, or None if it is kept.

    Args:
        request: The last user turn.
        answer: What the model wrote.

    Returns:
        A short name, to be counted.
    """
    if len(request.strip()) < MIN_REQUEST_CHARACTERS:
        return "request_too_short"
    if not words_of(answer):
        return "empty_answer"
    if _TALK.search(request) or _TALK.search(answer):
        return "speaks_of_itself"
    if loops(request) or loops(answer):
        return "repeats_itself"
    if set(words_of(answer)) <= set(words_of(request)) and len(words_of(answer)) > 3:
        return "gives_the_request_back"
    return None


def loops(text: str) -> bool:
    """Whether a text says the same again and again."""
    data = text.encode("utf-8")
    if len(data) >= _MIN_PACKED_BYTES and len(zlib.compress(data, 9)) < _MIN_PACKED * len(data):
        return True
    return has_repeated_run(words_of(text), _RUN_WORDS)
