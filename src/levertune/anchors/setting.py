"""What `anchor.text` takes for a name and not for the anchor's words."""

from __future__ import annotations

from collections.abc import Collection

AUTO = "auto"
FILE = "file:"
POOL = "pool:"

_NOTHING = frozenset({"none", "null", "no", "off", "false"})


def describe_name(text: str) -> str | None:
    """Why a recipe would not take a text as it stands, or None if it would.

    A text that someone else wrote, be it a pool's author or a model, may become `anchor.text`. If
    it could name a file there, that file's content would end up on every prompt.

    Args:
        text: The text.

    Returns:
        What is wrong with it, to be said after the name of the text.
    """
    words = text.strip()
    if words == AUTO:
        return f"is {AUTO!r}, which anchor.text takes for a setting"
    if is_slip(words):
        return f"is {words!r}, which anchor.text takes for a slip in a setting"
    for start, what in ((FILE, "a file"), (POOL, "an anchor of the pool")):
        if words.startswith(start):
            return f"begins with {start!r}, which anchor.text takes for the name of {what}"
    return None


def is_slip(text: str, *, settings: Collection[str] = (AUTO,)) -> bool:
    """Whether a text is no anchor but a setting written otherwise than a recipe takes it.

    `None` and `Auto` would stand on every prompt as words, and nothing would say so.

    Args:
        text: The text.
        settings: The words that are settings, as they are to be written.
    """
    words = text.strip()
    return words not in settings and words.casefold() in {*_NOTHING, *settings}
