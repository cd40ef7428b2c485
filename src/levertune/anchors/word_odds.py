"""Words that set some texts apart from others: log-odds ratios with an informative prior."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from levertune.data.row_texts import split_words

PRIOR_WORDS = 100.0
"""Weight of the prior, in words. Not measured; with more, twenty short rows can show no word."""


@dataclass(frozen=True, slots=True)
class WordOdds:
    """A word's share of two sets of texts.

    Args:
        word: The word, in one case.
        z: Log-odds ratio in standard errors; positive where the word belongs to the first texts.
        log_odds: The log-odds ratio.
        rows: Texts of the first set that hold it.
        share: The same as a share of the first set.
        other_share: Share of the other texts that hold it.
    """

    word: str
    z: float
    log_odds: float
    rows: int
    share: float
    other_share: float


def word_odds(
    texts: Sequence[str], others: Sequence[str], *, prior_words: float = PRIOR_WORDS
) -> tuple[WordOdds, ...]:
    """Compare the words of two sets of texts.

    The log-odds ratio with an informative Dirichlet prior and its z-score (Monroe, Colaresi and
    Quinn, 2008, "Fightin' Words", section 3.5.1). The prior gives each word its share of both sets
    together, so that rare words are drawn towards no difference, and common ones not at all.
    A text counts a word once: else one long text could make its own topic that of its set.

    Args:
        texts: The texts whose words are sought.
        others: The texts they are compared with.
        prior_words: Weight of the prior, in words.

    Returns:
        Every word of `texts`, the highest z first, equals by the alphabet; none where a single
        word is all there is, which nothing can be compared with.

    Raises:
        ValueError: If the prior's weight is not positive.
    """
    if prior_words <= 0:
        raise ValueError(f"the prior must weigh more than nothing, got {prior_words}")
    own, other = _count_rows(texts), _count_rows(others)
    if len(own | other) < 2:
        return ()
    total_own, total_other = own.total(), other.total()
    odds = []
    for word, rows in own.items():
        prior = prior_words * (rows + other[word]) / (total_own + total_other)
        here, there = rows + prior, other[word] + prior
        log_odds = math.log(here / (total_own + prior_words - here)) - math.log(
            there / (total_other + prior_words - there)
        )
        z = log_odds / math.sqrt(1 / here + 1 / there)
        other_share = other[word] / len(others) if others else 0.0
        odds.append(WordOdds(word, z, log_odds, rows, rows / len(texts), other_share))
    return tuple(sorted(odds, key=lambda one: (-one.z, one.word)))


def _count_rows(texts: Sequence[str]) -> Counter[str]:
    """In how many texts each word occurs."""
    return Counter(word for text in texts for word in set(split_words(text)))
