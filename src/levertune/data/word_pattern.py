r"""What a word is, to regular expressions: `\w+` breaks those of many scripts at their marks."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

# Where combining marks are; to look through all of Unicode would take a tenth of a second.
_BLOCKS = (
    (0x300, 0x3100),
    (0xA600, 0xAC00),
    (0xFB1E, 0xFB1F),
    (0xFE20, 0xFE30),
    (0x10A00, 0x12000),
)
_JOINERS = "\u200c\u200d"  # inside words of Persian and of the scripts of India


def list_characters(blocks: Sequence[tuple[int, int]], categories: Sequence[str]) -> str:
    """The characters of some Unicode categories, as ranges of a character class.

    Args:
        blocks: Where to look: the first code of each block, and the one behind its last.
        categories: The categories, as `Mn`.
    """
    codes = [
        code
        for start, end in blocks
        for code in range(start, end)
        if unicodedata.category(chr(code)) in categories
    ]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


MARKS = list_characters(_BLOCKS, ("Mn", "Mc")) + _JOINERS
"""Vowel signs, points and accents, and what joins, as ranges of a character class."""

# Marks are looked for where there is no ASCII alone: the list of them is long.
WORD = rf"\w+(?:(?=[^\x00-\u02ff])[{MARKS}]+\w*)*"
"""A word of letters, digits and the marks that stand on them or between them."""
