"""Entries of the pool that are like the user's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.lift import shared_instruction
from levertune.anchors.pool.entry import PoolEntry
from levertune.anchors.pool.rules import Answer
from levertune.data.bm25 import Bm25
from levertune.data.draws import evenly_spaced
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text

NUM_SIMILAR = 10

ANSWER_WEIGHT = 0.5
LANGUAGE_WEIGHT = 0.25

# More rows would move no entry past another, and each costs a pass over the pool's words.
_ROWS_COMPARED = 200


@dataclass(frozen=True, slots=True)
class Match:
    """How like an entry is to the rows.

    Args:
        entry: The entry.
        score: `words`, plus 0.5 for the same kind of answer, plus 0.25 for a language in common.
        words: Mean over the rows of the entry's BM25 score, that of each row's best entry being 1.
        same_answer: Whether the kind of answer is the same; None if that of the rows is unknown.
        same_language: Whether a language is; None if those of the rows are unknown.
    """

    entry: PoolEntry
    score: float
    words: float
    same_answer: bool | None
    same_language: bool | None


def find_similar(
    entries: Sequence[PoolEntry],
    records: Sequence[Record],
    *,
    answer: Answer | None = None,
    languages: Sequence[str] = (),
    num: int | None = NUM_SIMILAR,
) -> tuple[Match, ...]:
    """The entries most like the rows, the most similar first.

    Words are compared by BM25 (`data.bm25`): each of up to 200 evenly spaced rows, prompt and
    completion without the instruction that all share, is a query to the entries' task, kind, text
    and examples. What is unknown of the rows counts for no entry.

    Args:
        entries: The pool.
        records: The task rows in training.
        answer: Their kind of answer, or None if it is unknown.
        languages: Primary tags of their languages; empty if they are unknown.
        num: How many entries to give; None for all.

    Returns:
        The matches; equal scores in the order of ids.
    """
    words = _compare_words(entries, records)
    wanted = set(languages)
    matches = []
    for entry, shared in zip(entries, words, strict=True):
        same_answer = None if answer is None else entry.answer == answer
        same_language = bool(wanted.intersection(entry.languages)) if wanted else None
        score = shared + ANSWER_WEIGHT * bool(same_answer) + LANGUAGE_WEIGHT * bool(same_language)
        matches.append(Match(entry, score, shared, same_answer, same_language))
    matches.sort(key=lambda match: (-match.score, match.entry.id))
    return tuple(matches[:num])


def entry_text(entry: PoolEntry) -> str:
    """The text an entry is found by."""
    rows = (f"{example.prompt}\n{example.completion}" for example in entry.examples)
    return "\n".join([entry.task, entry.kind.replace("-", " "), entry.text, *rows])


def _compare_words(entries: Sequence[PoolEntry], records: Sequence[Record]) -> list[float]:
    if not entries or not records:
        return [0.0] * len(entries)
    own_text = make_own_text(shared_instruction(records))
    sample = evenly_spaced(records, _ROWS_COMPARED)
    queries = [f"{own_text(record)}\n{record.completion}" for record in sample]
    scores = Bm25(queries, [entry_text(entry) for entry in entries]).block(0, len(entries))
    best = scores.max(axis=1, keepdims=True)
    # By each row's best, so that a long row counts no more than a short one.
    shares = (scores / best.clip(min=1e-12)).mean(axis=0)
    return [round(float(share), 9) for share in shares]  # sums differ in the last bits by machine
