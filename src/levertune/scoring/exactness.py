"""Metrics of how nearly two strings are the same: exact match and edit similarity."""

from __future__ import annotations

import re
from collections.abc import Sequence

from levertune.data.word_pattern import WORD
from levertune.scoring.scored import Scored, scored_mean

_TOKEN = re.compile(rf"{WORD}|[^\w\s]")


def formal_tokens(text: str) -> list[str]:
    """Words with the marks on their letters, and every other visible character by itself.

    A word is a run of letters, digits and underscores.
    """
    return _TOKEN.findall(text)


def score_exact_match(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Share of predictions equal to a reference, surrounding whitespace apart."""
    values = [
        float(prediction.strip() in (text.strip() for text in row))
        for prediction, row in zip(predictions, references, strict=True)
    ]
    return scored_mean("exact_match", values, bounds=(0.0, 1.0), is_proportion=True)


def score_character_edit_similarity(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> Scored:
    """Mean over rows of 1 - Levenshtein distance / longer length, in characters."""
    from rapidfuzz.distance import Levenshtein

    values = []
    for prediction, row in zip(predictions, references, strict=True):
        text = prediction.strip()
        values.append(max(Levenshtein.normalized_similarity(text, ref.strip()) for ref in row))
    return scored_mean("character_edit_similarity", values, bounds=(0.0, 1.0))


def score_token_edit_similarity(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> Scored:
    """Mean over rows of 1 - Levenshtein distance / longer length, in `formal_tokens`."""
    from rapidfuzz.distance import Levenshtein

    values = []
    for prediction, row in zip(predictions, references, strict=True):
        tokens = formal_tokens(prediction)
        wanted = [formal_tokens(text) for text in row]
        values.append(max(Levenshtein.normalized_similarity(tokens, ref) for ref in wanted))
    return scored_mean("token_edit_similarity", values, bounds=(0.0, 1.0))
