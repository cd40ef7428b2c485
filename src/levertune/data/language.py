"""Whether a base model's tokenizer suits the language of the rows, against English text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from levertune.data.draws import sample_items

TokenCounter = Callable[[Sequence[str]], Sequence[int]]
"""Gives the number of tokens of each text."""

# A Chinese, Japanese or Korean character says about as much as three letters of an alphabet.
_LETTERS_PER_CJK_CHARACTER = 3
_CJK_NAMES = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL SYLLABLE")
# Enough for two figures of the ratio; counting all rows would tell no more.
ROWS_COMPARED_WITH_ENGLISH = 500
"""Most rows that are compared."""
# Texts with fewer words than this on average are labels, codes or numbers, not language; so are
# those with fewer letters among their signs (JSON, patterns) or mostly capitals (commands).
_MIN_WORDS = 3
_MIN_LETTER_SHARE = 0.75
_MAX_CAPITAL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class LanguageFit:
    """How finely a tokenizer cuts the task's words.

    Args:
        tokens_per_character: Tokens by character of the words of the prompts or the completions,
            whichever is larger; a Chinese, Japanese or Korean character counts as three.
        english_tokens_per_character: The same of English general text.
        verdict: What it means, in one sentence.
    """

    tokens_per_character: float
    english_tokens_per_character: float
    verdict: str

    @property
    def ratio(self) -> float:
        """Tokens the task's words take, for one that English of equal length takes."""
        return self.tokens_per_character / self.english_tokens_per_character


def compare_with_english(
    prompts: Sequence[str],
    completions: Sequence[str],
    english: Sequence[str],
    count_tokens: TokenCounter,
) -> LanguageFit | None:
    """Compare the tokens the task's words take with those of English words.

    Digits, punctuation and symbols are left out on both sides: they cost more tokens than letters
    in any language. Prompts and completions are measured apart, since a task may lead from one
    language to another. Of each at most 500 texts, a sample, are counted.

    Args:
        prompts: The rows' own prompts, without the instruction they share.
        completions: Their completions.
        english: English texts.
        count_tokens: Counts the tokens of texts.

    Returns:
        The comparison, or None where there are no words to compare.
    """
    rates = [_tokens_per_character(texts, count_tokens) for texts in (prompts, completions)]
    found = [rate for rate in rates if rate is not None]
    english_rate = _tokens_per_character(english, count_tokens)
    if not found or not english_rate:
        return None
    return LanguageFit(max(found), english_rate, _verdict(max(found) / english_rate))


def _tokens_per_character(texts: Sequence[str], count_tokens: TokenCounter) -> float | None:
    raw = sample_items(texts, ROWS_COMPARED_WITH_ENGLISH)
    sample = [_words_only(text) for text in raw]
    size = sum(_weighted_length(text) for text in sample)
    # Languages that put no space between words have long texts instead of many words.
    num_words = sum(max(text.count(" ") + 1, _weighted_length(text) // 10) for text in sample)
    num_letters = sum(len("".join(text.split())) for text in sample)
    num_signs = sum(len("".join(text.split())) for text in raw)
    num_capitals = sum(c.isupper() for text in sample for c in text)
    if (
        not size
        or num_words < _MIN_WORDS * len(sample)
        or num_letters < _MIN_LETTER_SHARE * num_signs
        or num_capitals > _MAX_CAPITAL_SHARE * num_letters
    ):
        return None
    return sum(count_tokens(sample)) / size


def _words_only(text: str) -> str:
    """The text with everything but letters and the marks on them made into single spaces."""
    letters = (c if unicodedata.category(c)[0] in "LM" else " " for c in text)
    return " ".join("".join(letters).split())


def _weighted_length(text: str) -> int:
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.name(c, "").startswith(_CJK_NAMES) for c in text)
    return len(text) + wide * (_LETTERS_PER_CJK_CHARACTER - 1)


def _verdict(ratio: float) -> str:
    times = f"{ratio:.2f} times the tokens of English text of equal length"
    if ratio <= 1.3:
        return f"The tokenizer suits this text: it takes {times}."
    if ratio <= 2.0:
        return (
            f"The tokenizer cuts this text finer than English: it takes {times}. Names and code do "
            "that too; rows cost more time and room."
        )
    return (
        f"This base model splits your language into small pieces: it takes {times}. It has met "
        "little of it, so expect low scores and slow runs; try a base model made for the language."
    )
