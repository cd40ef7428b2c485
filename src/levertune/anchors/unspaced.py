"""Scripts that put no spaces between words: how many words they hold, and where they may be cut."""

from __future__ import annotations

import re

from levertune.data.word_pattern import list_characters

_CHARACTERS = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
UNSPACED = re.compile(f"[{_CHARACTERS}]")
"""A character of Chinese or Japanese. Two are a word, more or less."""

# Thai, Lao, Burmese (three blocks), Khmer. Tibetan parts its syllables, so they are told apart as
# words are.
_BLOCKS = (
    (0x0E00, 0x0F00),
    (0x1000, 0x10A0),
    (0xA9E0, 0xAA00),
    (0xAA60, 0xAA80),
    (0x1780, 0x1800),
)
_LETTERS = list_characters(_BLOCKS, ("Lo", "Lm"))
_MARKS = list_characters(_BLOCKS, ("Mn", "Mc"))
_VOWELS_BEHIND = "\u0e30\u0e32\u0e33\u0eb0\u0eb2\u0eb3"
_VOWELS_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"
_STACKING = "\u1039\u17d2"  # they set the next letter under the one before

SPELT = re.compile(f"[{_LETTERS}]")
"""A letter of Thai, Lao, Burmese or Khmer, which spell words and put no spaces between them."""

# The English words of the Universal Declaration's first article take 3.4 to 4.1 letters there; with
# the marks on them 4.3 in Thai and 7.8 in Burmese, so marks are not counted.
_LETTERS_OF_A_WORD = 4

CUTTABLE = (
    f"{UNSPACED.pattern}|[{_VOWELS_BEFORE}]?[{_LETTERS}]"
    f"(?:[{_STACKING}][{_LETTERS}]|[{_MARKS}{_VOWELS_BEHIND}])*"
)
"""Matches the least that may stand alone: a character, or a letter with all that belongs to it."""

SPELT_GAP = f"(?<=[{_LETTERS}{_MARKS}])\\s(?=[{_LETTERS}])"
"""Matches white space between letters of such scripts: it ends a clause, as a comma does."""

_ANY = re.compile(f"[{_CHARACTERS}{_LETTERS}]")


def count_unspaced(text: str) -> tuple[int, str]:
    """Count the words of scripts without spaces: two characters, or four letters without marks.

    Args:
        text: The text.

    Returns:
        The number of words, one at least where there are letters of Thai, Lao, Burmese or Khmer,
        and the rest of the text.
    """
    words = len(UNSPACED.findall(text)) // 2
    if letters := len(SPELT.findall(text)):
        words += max(1, letters // _LETTERS_OF_A_WORD)
    return words, _ANY.sub(" ", text)
