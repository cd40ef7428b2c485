"""ChrF and BLEU against sacrebleu, ROUGE-L against rouge-score, on resamples too."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.metrics import find_metric

words = st.sampled_from(["the", "cat", "sat", "on", "mat,", "Ólafur's", "(ate)", "3.5", "it.", "!"])
texts = st.lists(words, max_size=9).map(" ".join)
some_text = st.lists(words, min_size=1, max_size=9).map(" ".join)
corpora = st.lists(
    st.tuples(texts, st.lists(some_text, min_size=1, max_size=3)), min_size=1, max_size=6
)


def columns(rows):
    return [prediction for prediction, _ in rows], [references for _, references in rows]


def streams(references):
    width = max(map(len, references))
    return [[row[k] if k < len(row) else None for row in references] for k in range(width)]


@given(corpora, st.data())
@settings(max_examples=60)
def test_chrf_and_bleu_agree_with_sacrebleu_on_any_resample(rows, data):
    predictions, references = columns(rows)
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    again, their = columns([rows[row] for row in index])
    for name, corpus in (("chrf", sacrebleu.corpus_chrf), ("bleu", sacrebleu.corpus_bleu)):
        scored = find_metric(name).score(predictions, references)
        expected = corpus(again, streams(their)).score
        assert scored.aggregate(index) == pytest.approx(expected, abs=1e-9)
        assert scored.aggregate_many(np.array([index]))[0] == pytest.approx(expected, abs=1e-9)


@given(corpora)
@settings(max_examples=40)
def test_rows_agree_with_sacrebleu_sentence_scores(rows):
    predictions, references = columns(rows)
    for name, sentence in (("chrf", sacrebleu.sentence_chrf), ("bleu", sacrebleu.sentence_bleu)):
        expected = [sentence(text, list(row)).score for text, row in rows]
        scored = find_metric(name).score(predictions, references)
        np.testing.assert_allclose(scored.per_row, expected, atol=1e-9)


@given(corpora)
@settings(max_examples=60)
def test_rouge_l_agrees_with_rouge_score(rows):
    from rouge_score.rouge_scorer import RougeScorer

    predictions, references = columns(rows)
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    scored = find_metric("rouge_l").score(predictions, references)
    for value, (prediction, row) in zip(scored.per_row, rows, strict=True):
        expected = scorer.score_multi(list(row), prediction)["rougeL"].fmeasure
        if np.isnan(value):
            assert expected == 0
        else:
            assert value == pytest.approx(expected)


def test_references_without_a_token_leave_the_score_undefined():
    for name in ("chrf", "bleu"):
        assert find_metric(name).score(["x"], [[" "]]).aggregate() is None
    assert find_metric("rouge_l").score(["猫"], [["猫"]]).aggregate() is None


def test_an_empty_prediction_scores_zero():
    for name in ("chrf", "bleu", "rouge_l"):
        scored = find_metric(name).score([""], [["a cat sat on it"]])
        assert scored.aggregate() == 0
        assert scored.num_unparseable == 0


def test_no_rows_have_no_score():
    for name in ("chrf", "bleu", "rouge_l"):
        assert find_metric(name).score([], []).aggregate() is None
