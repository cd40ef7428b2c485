"""Metrics of classification answers, from label counts: accuracy, macro F1, MCC and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from levertune.scoring.scored import Scored, scored_mean

OTHER = -1
"""Code of an answer that is not among the known labels."""


def parse_labels(
    predictions: Sequence[str], references: Sequence[Sequence[str]], labels: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Read answers as labels: surrounding whitespace is stripped, nothing else is forgiven.

    A row's true label is its first reference. A prediction equal to a further reference of its row
    counts as the first one.

    Args:
        predictions: One answer a row.
        references: The right answers of each row.
        labels: The known labels; those of the references are always known too.

    Returns:
        Codes of the true labels, codes of the predicted labels (`OTHER` if not a known label), and
        the number of known labels.
    """
    known = [label.strip() for label in labels or ()]
    known += [text.strip() for row in references for text in row]
    codes = {label: code for code, label in enumerate(dict.fromkeys(known))}
    truth = np.array([codes[row[0].strip()] for row in references], dtype=np.intp)
    answers = np.full(len(predictions), OTHER, dtype=np.intp)
    for number, (prediction, row) in enumerate(zip(predictions, references, strict=True)):
        answer = prediction.strip()
        if answer in (text.strip() for text in row):
            answers[number] = truth[number]
        else:
            answers[number] = codes.get(answer, OTHER)
    return truth, answers, len(codes)


def score_accuracy(
    predictions: Sequence[str], references: Sequence[Sequence[str]], labels: Sequence[str] | None
) -> Scored:
    """Share of rows whose label is right."""
    truth, answers, _ = parse_labels(predictions, references, labels)
    return scored_mean(
        "accuracy",
        (truth == answers).astype(np.float64),
        unparseable=answers == OTHER,
        bounds=(0.0, 1.0),
        is_proportion=True,
    )


def score_balanced_accuracy(
    predictions: Sequence[str], references: Sequence[Sequence[str]], labels: Sequence[str] | None
) -> Scored:
    """Mean recall over the labels that occur in the references."""
    return _score_counts(
        "balanced_accuracy", _combine_balanced_accuracy, predictions, references, labels
    )


def score_macro_f1(
    predictions: Sequence[str], references: Sequence[Sequence[str]], labels: Sequence[str] | None
) -> Scored:
    """Mean F1 over the labels that occur in the references."""
    return _score_counts("macro_f1", _combine_macro_f1, predictions, references, labels)


def score_mcc(
    predictions: Sequence[str], references: Sequence[Sequence[str]], labels: Sequence[str] | None
) -> Scored:
    """Matthews correlation for several classes (Gorodkin, 2004), unknown answers one class."""
    return _score_counts("mcc", _combine_mcc, predictions, references, labels, (-1.0, 1.0))


def _score_counts(
    name: str,
    combine: Callable[..., np.ndarray],
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    labels: Sequence[str] | None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Scored:
    truth, answers, num_labels = parse_labels(predictions, references, labels)
    codes = np.arange(num_labels)
    is_true = truth[:, None] == codes
    # The last column counts the answers that are no known label.
    is_answer = answers[:, None] == np.append(codes, OTHER)
    right = is_true & is_answer[:, :num_labels]
    return Scored(
        name=name,
        per_row=(truth == answers).astype(np.float64),
        statistics=np.concatenate([right, is_true, is_answer], axis=1).astype(np.float64),
        combine=partial(combine, num_labels=num_labels),
        unparseable=answers == OTHER,
        bounds=bounds,
    )


def _split(sums: np.ndarray, num_labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right answers, true labels (by label) and answers (by label, unknown last) of each draw."""
    return sums[:, :num_labels], sums[:, num_labels : 2 * num_labels], sums[:, 2 * num_labels :]


def _mean_over_present(by_label: np.ndarray, is_present: np.ndarray) -> np.ndarray:
    num_present = is_present.sum(axis=1)
    values = np.full(len(by_label), np.nan)
    sums = np.where(is_present, by_label, 0.0).sum(axis=1)
    np.divide(sums, num_present, out=values, where=num_present > 0)
    return values


def _combine_balanced_accuracy(sums: np.ndarray, *, num_labels: int) -> np.ndarray:
    right, true, _ = _split(sums, num_labels)
    return _mean_over_present(right / np.maximum(true, 1.0), true > 0)


def _combine_macro_f1(sums: np.ndarray, *, num_labels: int) -> np.ndarray:
    right, true, answered = _split(sums, num_labels)
    # A present label has a denominator of at least 1, so none is ever zero where it counts.
    f1 = 2.0 * right / np.maximum(true + answered[:, :num_labels], 1.0)
    return _mean_over_present(f1, true > 0)


def _combine_mcc(sums: np.ndarray, *, num_labels: int) -> np.ndarray:
    right, true, answered = _split(sums, num_labels)
    total = true.sum(axis=1)
    covariance = right.sum(axis=1) * total - (true * answered[:, :num_labels]).sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (answered**2).sum(axis=1))
    values = np.full(len(sums), np.nan)
    np.divide(covariance, np.sqrt(np.maximum(spread, 0.0)), out=values, where=spread > 0)
    return values
