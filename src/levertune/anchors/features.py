"""Way 2 to write an anchor, `features`: what sets the task rows apart, put into one instruction.

Words come from prompts alone, never from answers, and only from several rows: no row's own text
gets into an anchor.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from levertune.anchors.clusters import find_clusters
from levertune.anchors.pieces import QUESTION_MARKS, count_words, is_layout, piece_spans
from levertune.anchors.separability import pairwise, silhouettes
from levertune.anchors.word_odds import WordOdds, word_odds

Array = np.ndarray[Any, np.dtype[Any]]

MIN_Z = 1.96
DOMAIN_WORDS = 6
THEME_WORDS = 3
_EXEMPLARS = 3
_MIN_ROWS = 2
_MIN_SHARE = 0.04
_MIN_CHARACTERS = 3
# In scripts without spaces a whole sentence is one word to `split_words`, and a row's own text.
_MAX_CHARACTERS = 30
_STEM_CHARACTERS = 4
# Words that so many general prompts hold (my, what, please) name no domain.
_MAX_GENERAL_SHARE = 0.05
_MOSTLY = 0.6
_SHORT_WORDS, _LONG_WORDS = 25, 120


@dataclass(frozen=True, slots=True)
class Theme:
    """Task rows whose states lie together.

    Args:
        rows: Indices of its rows, those nearest to its centre first.
        words: Words that set them apart from all other rows, the strongest first.
        apart: Their mean silhouette against the general rows; None for a single row, or without
            general rows.
    """

    rows: tuple[int, ...]
    words: tuple[WordOdds, ...]
    apart: float | None

    @property
    def exemplars(self) -> tuple[int, ...]:
        """The rows that stand for it."""
        return self.rows[:_EXEMPLARS]


@dataclass(frozen=True, slots=True)
class Features:
    """What sets the task rows apart from general rows.

    Args:
        words: Words of the task's domain, the strongest first.
        themes: Clusters of the task rows, the largest first.
        input_kind: What the rows' texts are, as `a short question`.
    """

    words: tuple[WordOdds, ...]
    themes: tuple[Theme, ...]
    input_kind: str


@dataclass(frozen=True, slots=True)
class AnchorPart:
    """One sentence of an anchor, and the feature it comes from.

    Args:
        feature: `input`, `domain`, `themes` or `answer`.
        text: The sentence.
    """

    feature: str
    text: str


def find_features(
    task_texts: Sequence[str],
    general_texts: Sequence[str],
    task_vectors: Array,
    general_vectors: Array,
    *,
    seed: int,
    more_texts: Sequence[str] = (),
) -> Features:
    """Find what sets task rows apart: their words, their clusters, and the kind of their texts.

    Args:
        task_texts: The task rows' own texts, a shared instruction lifted out; at least one.
        general_texts: The general prompts.
        task_vectors: Unit vectors of the task rows without an anchor (`selection.states`).
        general_vectors: Those of the general prompts.
        seed: Seed of the clusters' starts.
        more_texts: Further texts that words are set apart from, without vectors: general prompts of
            few kinds lack words that are common everywhere else.

    Returns:
        The features.

    Raises:
        ValueError: If there is no task row, or not a vector for each text.
    """
    if not task_texts:
        raise ValueError("need at least one task row")
    for texts, vectors in ((task_texts, task_vectors), (general_texts, general_vectors)):
        if len(texts) != len(vectors):
            raise ValueError(f"{len(texts)} texts and {len(vectors)} vectors cannot be paired")
    task_words = [_without_layout(text) for text in task_texts]
    general_words = [_without_layout(text) for text in (*general_texts, *more_texts)]
    own, general = task_vectors.astype(np.float64), general_vectors.astype(np.float64)
    labels = find_clusters(own, seed=seed)
    themes = []
    for label in range(int(labels.max()) + 1):
        is_member = labels == label
        members = np.flatnonzero(is_member)
        inside = [text for text, is_in in zip(task_words, is_member, strict=True) if is_in]
        outside = [text for text, is_in in zip(task_words, is_member, strict=True) if not is_in]
        outside += general_words
        distances = np.linalg.norm(own[members] - own[members].mean(axis=0), axis=1)
        rows = tuple(int(i) for i in members[np.argsort(distances, kind="stable")])
        words = telling_words(word_odds(inside, outside), len(inside), THEME_WORDS)
        themes.append(Theme(rows, words, _apart(own[members], general)))
    words = telling_words(word_odds(task_words, general_words), len(task_texts), DOMAIN_WORDS)
    return Features(words, tuple(themes), describe_input(task_texts))


def telling_words(odds: Sequence[WordOdds], num_rows: int, most: int) -> tuple[WordOdds, ...]:
    """Words fit to name a domain.

    They are set apart by at least 1.96 standard errors, occur in at least two rows and 4 % of
    them, and in at most a twentieth of the other texts. Numbers, words of one or two letters of an
    alphabet or over 30 characters, and other forms of a word taken already (`card`, `cards`) are
    left out.

    Args:
        odds: The words, the strongest first.
        num_rows: Rows they come from.
        most: Words wanted at most.
    """
    least = max(_MIN_ROWS, _MIN_SHARE * num_rows)
    found: list[WordOdds] = []
    for one in odds:
        if len(found) == most or one.z < MIN_Z:
            break
        is_common = one.rows >= least and one.other_share <= _MAX_GENERAL_SHARE
        if is_common and _names_something(one.word) and not _is_form_of(one.word, found):
            found.append(one)
    return tuple(found)


def describe_input(texts: Sequence[str]) -> str:
    """What the rows' texts are, by their lines, length and question marks.

    Args:
        texts: The texts, at least one.

    Returns:
        A noun with its article, as `a short question` or `a text of several lines`.
    """
    lines = statistics.median(len(text.strip().splitlines()) for text in texts)
    words = statistics.median(count_words(text) for text in texts)
    asks = sum(text.rstrip()[-1:] in tuple(QUESTION_MARKS) for text in texts) / len(texts)
    noun = "question" if asks >= _MOSTLY else "text"
    if lines >= 3:
        return f"a {noun} of several lines"
    if words <= _SHORT_WORDS:
        return f"a short {noun}"
    return f"a long {noun}" if words >= _LONG_WORDS else f"a {noun}"


def anchor_parts(features: Features, answer: str) -> tuple[AnchorPart, ...]:
    """Put features into sentences.

    Args:
        features: What was found.
        answer: One sentence that says what form the answer has.

    Returns:
        The sentences in the order of an instruction: what is given, what it is about, its themes,
        the answer. What was not found has none.

    Raises:
        ValueError: If the sentence on the answer is blank.
    """
    if not answer.strip():
        raise ValueError("the answer's form needs a sentence")
    parts = [AnchorPart("input", f"You are given {features.input_kind}.")]
    if features.words:
        named = _list_words([one.word for one in features.words])
        parts.append(AnchorPart("domain", f"It is about {named}."))
    taken = {one.word for one in features.words}
    named_themes = [
        " and ".join(own)
        for theme in features.themes
        if (own := [one.word for one in theme.words if one.word not in taken][:2])
    ]
    if len(features.themes) > 1 and named_themes:
        parts.append(AnchorPart("themes", f"Themes: {'; '.join(named_themes)}."))
    parts.append(AnchorPart("answer", answer.strip()))
    return tuple(parts)


def join_parts(parts: Sequence[AnchorPart]) -> str:
    """The anchor's text."""
    return " ".join(part.text for part in parts)


def leave_each_out(parts: Sequence[AnchorPart]) -> tuple[tuple[str, str], ...]:
    """The anchors of an ablation, which tells whether each feature earned its tokens.

    Args:
        parts: The sentences of the whole anchor.

    Returns:
        The name of each feature and the anchor's text without it; none for a single sentence,
        without which there is no anchor.
    """
    if len(parts) < 2:
        return ()
    return tuple(
        (part.feature, join_parts([*parts[:i], *parts[i + 1 :]])) for i, part in enumerate(parts)
    )


def describe_features(features: Features, ids: Sequence[str]) -> tuple[str, ...]:
    """What was found, one line each, for the notes of a candidate; rows by their id only.

    Args:
        features: The features.
        ids: The ids of the task rows, in the order they were given to `find_features`.
    """
    notes = [
        f"words of the domain: {', '.join(f'{one.word} (z {one.z:.1f})' for one in features.words)}"
        if features.words
        else "no word sets the task rows apart from the general rows"
    ]
    for i, theme in enumerate(features.themes, start=1):
        words = ", ".join(one.word for one in theme.words) or "no words of its own"
        apart = "" if theme.apart is None else f", silhouette against general {theme.apart:.2f}"
        nearest = ", ".join(ids[row] for row in theme.exemplars)
        notes.append(
            f"theme {i} of {len(features.themes)}: {len(theme.rows)} rows ({words}){apart}; "
            f"nearest to its centre: rows {nearest}"
        )
    return tuple(notes)


def _without_layout(text: str) -> str:
    """A text without labels such as `Message:`, which stand in every row and name nothing."""
    pieces = [text[start:end] for start, end in piece_spans(text)]
    return "\n".join(piece for piece in pieces if not is_layout(piece))


def _apart(own: Array, general: Array) -> float | None:
    if len(own) < 2 or not len(general):
        return None
    to_own = pairwise(own, own).sum(axis=1) / (len(own) - 1)
    return float(silhouettes(to_own, pairwise(own, general).mean(axis=1)).mean())


def _names_something(word: str) -> bool:
    is_spaced = word.isascii() or word[0].upper() != word[0].lower()
    long_enough = len(word) >= _MIN_CHARACTERS or not is_spaced
    if not long_enough or len(word) > _MAX_CHARACTERS:
        return False
    return not any(character.isdigit() or character == "_" for character in word)


def _is_form_of(word: str, found: Sequence[WordOdds]) -> bool:
    """Whether a word taken is the same but for its ending of up to two letters."""
    for one in found:
        short, long = sorted((word, one.word), key=len)
        stem = short[:-1] if len(short) > _STEM_CHARACTERS else short
        is_close = len(short) >= _STEM_CHARACTERS and len(long) - len(short) <= 2
        if is_close and long.startswith(stem):
            return True
    return False


def _list_words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
