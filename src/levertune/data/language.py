"""Whether a base model's tokenizer suits the language of the rows, against English text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TokenCounter = Callable[[Sequence[str]], Sequence[int]]
"""Gives the number of tokens of each text."""

# A Chinese, Japanese or Korean character says about as much as three letters of an alphabet.
_LETTERS_PER_CJK_CHARACTER = 3
_CJK_NAMES = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL SYLLABLE")
# Enough for two figures of the ratio; counting all rows would tell no more.
_SAMPLE_ROWS = 500


@dataclass(frozen=True, slots=True)
class LanguageFit:
    """How finely a tokenizer cuts the task's text.

    Args:
        tokens_per_character: Tokens by character of the task's text; a Chinese, Japanese or Korean
            character counts as three.
        english_tokens_per_character: The same of English general text.
        verdict: What it means, in one sentence.
    """

    tokens_per_character: float
    english_tokens_per_character: float
    verdict: str

    @property
    def ratio(self) -> float:
        """Tokens the task's text takes, for one that English of equal length takes."""
        return self.tokens_per_character / self.english_tokens_per_character


def compare_with_english(
    texts: Sequence[str], english: Sequence[str], count_tokens: TokenCounter
) -> LanguageFit | None:
    """Compare the tokens the task's text takes with those of English text.

    Args:
        texts: Texts of the task; at most 500 of them, evenly spaced, are counted.
        english: English texts.
        count_tokens: Counts the tokens of texts.

    Returns:
        The comparison, or None where either side has no text.
    """
    task_rate = _tokens_per_character(texts, count_tokens)
    english_rate = _tokens_per_character(english, count_tokens)
    if task_rate is None or not english_rate:
        return None
    return LanguageFit(task_rate, english_rate, _verdict(task_rate / english_rate))


def _tokens_per_character(texts: Sequence[str], count_tokens: TokenCounter) -> float | None:
    sample = texts[:: max(1, -(-len(texts) // _SAMPLE_ROWS))]
    size = sum(_weighted_length(text) for text in sample)
    return sum(count_tokens(sample)) / size if size else None


def _weighted_length(text: str) -> int:
    if text.isascii():
        return len(text)
    wide = sum(
        ord(character) > 0x2E7F and unicodedata.name(character, "").startswith(_CJK_NAMES)
        for character in text
    )
    return len(text) + wide * (_LETTERS_PER_CJK_CHARACTER - 1)


def _verdict(ratio: float) -> str:
    times = f"{ratio:.1f} times the tokens of English text of equal length"
    if ratio <= 1.3:
        return f"The tokenizer suits this text: it takes {times}."
    if ratio <= 2.0:
        return (
            f"The tokenizer cuts this text finer than English: it takes {times}. Names, numbers "
            "and code do that too; rows cost more time and room."
        )
    return (
        f"This base model splits your language into small pieces: it takes {times}. It has met "
        "little of it, so expect low scores and slow runs; try a base model made for the language."
    )
