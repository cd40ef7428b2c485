"""Metrics of overlap between texts: chrF and BLEU (statistics by sacrebleu), ROUGE-L."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from levertune.scoring.scored import Combine, Scored, as_mask, scored_mean

CHRF_ORDER = 6
CHRF_BETA = 2
BLEU_ORDER = 4

_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")


def score_chrf(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Corpus chrF (Popovic, 2015) as sacrebleu computes it, 0 to 100; a row is its own corpus."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF(char_order=CHRF_ORDER, word_order=0, beta=CHRF_BETA)
    statistics = _segment_statistics(metric, predictions, references, 3 * CHRF_ORDER)
    return _scored_corpus("chrf", statistics, combine_chrf(statistics), combine_chrf)


def score_bleu(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Corpus BLEU as sacrebleu computes it (13a tokens, exponential smoothing), 0 to 100.

    A row's own score is sacrebleu's sentence BLEU, which stops at the longest n-gram there is.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(max_ngram_order=BLEU_ORDER)
    statistics = _segment_statistics(metric, predictions, references, 2 + 2 * BLEU_ORDER)
    per_row = combine_bleu(statistics, effective_order=True)
    return _scored_corpus("bleu", statistics, per_row, combine_bleu)


def score_rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Mean over rows of ROUGE-L's F-measure (Lin, 2004) against the best reference.

    Tokens are runs of a to z and 0 to 9 after lower-casing, without stemming, as in rouge-score. A
    row none of whose references has such a token has no score.
    """
    from rapidfuzz.distance import LCSseq

    values = []
    for prediction, row in zip(predictions, references, strict=True):
        tokens = _ROUGE_TOKEN.findall(prediction.lower())
        wanted = [found for text in row if (found := _ROUGE_TOKEN.findall(text.lower()))]
        f_measures = [
            2.0 * LCSseq.similarity(tokens, reference) / (len(tokens) + len(reference))
            for reference in wanted
        ]
        values.append(max(f_measures, default=np.nan))
    return scored_mean("rouge_l", values, bounds=(0.0, 1.0))


def combine_chrf(sums: np.ndarray) -> np.ndarray:
    """Corpus chrF from summed (hypothesis, reference, match) n-gram counts of orders 1 to 6.

    Precision and recall are averaged over the orders both sides have, as in sacrebleu. NaN where
    the references hold no character.
    """
    hypothesis, reference, match = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    counts = (hypothesis > 0) & (reference > 0)
    num_orders = np.maximum(counts.sum(axis=1), 1)
    precision = np.where(counts, match / np.maximum(hypothesis, 1.0), 0.0).sum(axis=1) / num_orders
    recall = np.where(counts, match / np.maximum(reference, 1.0), 0.0).sum(axis=1) / num_orders
    factor = CHRF_BETA**2
    values = np.zeros(len(sums))
    divisor = factor * precision + recall
    np.divide(100.0 * (1 + factor) * precision * recall, divisor, out=values, where=divisor > 0)
    values[reference[:, 0] == 0] = np.nan
    return values


def combine_bleu(sums: np.ndarray, *, effective_order: bool = False) -> np.ndarray:
    """BLEU from summed lengths, matches and n-gram counts (Papineni et al., 2002).

    An order without a match counts as half a match, a quarter, and so on (the NIST smoothing that
    sacrebleu calls `exp`).

    Args:
        sums: Hypothesis length, reference length, matches of orders 1 to 4, n-grams of orders 1
            to 4; one line a draw.
        effective_order: Whether orders the hypotheses are too short for are left out, instead of
            making the score 0.

    Returns:
        One value a draw, NaN where the references hold no token.
    """
    length, reference_length = sums[:, 0], sums[:, 1]
    match, total = sums[:, 2 : 2 + BLEU_ORDER], sums[:, 2 + BLEU_ORDER :]
    has_order = np.cumprod(total > 0, axis=1).astype(bool)
    halvings = np.cumsum(has_order & (match == 0), axis=1)
    smoothed = np.where(match > 0, match, 0.5**halvings)
    logs = np.where(has_order, np.log(smoothed / np.maximum(total, 1.0)), 0.0).sum(axis=1)
    num_orders = has_order.sum(axis=1)
    ratio = reference_length / np.maximum(length, 1.0)
    penalty = np.where(length < reference_length, np.exp(1.0 - np.maximum(ratio, 1.0)), 1.0)
    if effective_order:
        values = 100.0 * penalty * np.exp(logs / np.maximum(num_orders, 1))
    else:
        values = 100.0 * penalty * np.exp(logs / BLEU_ORDER) * (num_orders == BLEU_ORDER)
    values = np.where(match.sum(axis=1) > 0, values, 0.0)
    return np.where(reference_length > 0, values, np.nan)


def _scored_corpus(
    name: str, statistics: np.ndarray, per_row: np.ndarray, combine: Combine
) -> Scored:
    return Scored(
        name=name,
        per_row=per_row,
        statistics=statistics,
        combine=combine,
        unparseable=as_mask(None, len(statistics)),
        bounds=(0.0, 100.0),
    )


def _segment_statistics(
    metric: Any, predictions: Sequence[str], references: Sequence[Sequence[str]], width: int
) -> np.ndarray:
    """Each row's counts as sacrebleu takes them, which also chooses the reference to count."""
    if not predictions:
        return np.zeros((0, width))
    # sacrebleu wants one stream a reference number, with None where a row has fewer references.
    streams = [list(stream) for stream in zip_longest(*references)]
    rows = metric._extract_corpus_statistics(list(predictions), streams)
    return np.array(rows, dtype=np.float64)
