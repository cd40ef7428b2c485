"""The script that texts are written in, where it is unmistakable; no language is guessed."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_MIN_SHARE_OF_LETTERS = 0.8
_MIN_SHARE_OF_TEXTS = 0.95
_MAX_CHARACTERS = 400

LATIN = "Latin script"

# What the first word of a letter's Unicode name says; other names are those of their script.
_NAMES = {"CJK": "Chinese characters", "HANGUL": "Korean script"}
_KANA = ("HIRAGANA", "KATAKANA")
_JAPANESE = "Japanese script"
# First words of names of letters that belong to no one script.
_NO_SCRIPT = {"MODIFIER", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "FULLWIDTH", "HALFWIDTH"}
_NO_SCRIPT |= {"FEMININE", "MASCULINE", "MICRO", "OHM", "KELVIN", "ANGSTROM", "BLACK-LETTER"}


def find_script(texts: Sequence[str]) -> str | None:
    """The script of texts, told by the Unicode names of their letters.

    Args:
        texts: The texts; those without letters are passed over.

    Returns:
        `Greek script`, `Chinese characters`, …; None if there are no letters, or fewer than 95 of
        100 texts are in one script.
    """
    scripts = [script for text in texts if (script := _script_of(text))]
    if not scripts:
        return None
    script, count = Counter(scripts).most_common(1)[0]
    return script if script != "?" and count >= _MIN_SHARE_OF_TEXTS * len(scripts) else None


def _script_of(text: str) -> str | None:
    """The script of most letters, `?` if they are mixed, None without letters."""
    counts: Counter[str] = Counter()
    for char in text[:_MAX_CHARACTERS]:
        if char.isalpha() and (word := _first_word(char)):
            counts[word] += 1
    total = counts.total()
    if not total:
        return None
    kana = sum(counts[word] for word in _KANA)
    if kana and kana + counts["CJK"] >= _MIN_SHARE_OF_LETTERS * total:
        return _JAPANESE
    word, count = counts.most_common(1)[0]
    if count < _MIN_SHARE_OF_LETTERS * total:
        return "?"
    return _NAMES.get(word, f"{word.capitalize()} script")


@lru_cache(maxsize=4096)
def _first_word(char: str) -> str | None:
    word = unicodedata.name(char, "").partition(" ")[0]
    return word if word and word not in _NO_SCRIPT else None
