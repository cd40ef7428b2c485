"""Text of data as a terminal may be given it."""

from __future__ import annotations

import unicodedata

_UNPRINTABLE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# They turn the order around in which text is shown, so that it reads as something else.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """The text without characters that could steer a terminal or turn around what is read.

    Line breaks and tabs stay, and so do all spaces and the joiners that scripts are written with,
    which `str.isprintable` knows nothing of.

    Args:
        text: The text; each character taken out of it becomes a replacement character.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _may_stay(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _may_stay(character: str) -> bool:
    if character in "\n\t":
        return True
    return unicodedata.category(character) not in _UNPRINTABLE and character not in _TURNING
