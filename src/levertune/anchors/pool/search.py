"""Entries of the pool that are like the user's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.auto import choose_lifting
from levertune.anchors.pool.entry import PoolEntry
from levertune.anchors.pool.rules import Answer
from levertune.data.bm25 import Bm25
from levertune.data.draws import sample_items
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text

NUM_SIMILAR = 10

ANSWER_WEIGHT = 0.1
LANGUAGE_WEIGHT = 0.05

MIN_WORDS = 0.12
"""Share of words from which on an entry is taken for one of a task like the rows'.

Chosen on the shipped pool, each entry's examples held out of it in turn: four of five entries are
still found by their examples, and one in a hundred of other kinds of task; 48 rows of general data
find an entry in 4 of 100 draws. `tests/anchors/pool/test_likeness.py` measures it again. Entries
that share no words with their own rows, as translations, lie below.
"""

# More rows would move no entry past another, and each costs a pass over the pool's words.
_ROWS_COMPARED = 200


@dataclass(frozen=True, slots=True)
class Match:
    """How like an entry is to the rows.

    Args:
        entry: The entry.
        score: `words`, plus 0.1 for the same kind of answer, plus 0.05 for a language in common.
        words: Mean over the rows of the entry's BM25 score as a share of the row's own: 1 for an
            entry that says the same, 0 without a word in common, whatever the other entries are.
        same_answer: Whether the kind of answer is the same; None if that of the rows is unknown.
        same_language: Whether a language is; None if those of the rows are unknown.
    """

    entry: PoolEntry
    score: float
    words: float
    same_answer: bool | None
    same_language: bool | None

    @property
    def is_alike(self) -> bool:
        """Whether the entry's words are enough like the rows'."""
        return self.words >= MIN_WORDS


def find_similar(
    entries: Sequence[PoolEntry],
    records: Sequence[Record],
    *,
    answer: Answer | None = None,
    languages: Sequence[str] = (),
    num: int | None = NUM_SIMILAR,
) -> tuple[Match, ...]:
    """The entries most like the rows, the most similar first.

    Words are compared by BM25 (`data.bm25`): each of up to 200 rows, a sample, prompt and
    completion without the instruction that they share or vary, is a query to the entries' task,
    kind, text and examples. What is unknown of the rows counts for no entry.

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
    own_text = make_own_text(None)
    sample = choose_lifting(records).take_from_all(sample_items(records, _ROWS_COMPARED)).records
    queries = [f"{own_text(record)}\n{record.completion}" for record in sample]
    compared = Bm25(queries, [entry_text(entry) for entry in entries])
    scores = compared.block(0, len(entries))
    # By each row's own, so that a long row counts no more than a short one, and rows unlike all
    # entries find none.
    shares = (scores / compared.own_scores().clip(min=1e-12)[:, None]).clip(max=1.0).mean(axis=0)
    return [round(float(share), 9) for share in shares]  # sums differ in the last bits by machine
