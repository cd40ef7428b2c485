"""The candidates worth a dear score: those BM25 finds near, each with its task row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from levertune.anchors.anchor import plain_example
from levertune.data.bm25 import Bm25
from levertune.data.records import Record
from levertune.errors import DataError
from levertune.models.rendering import ChatTokenizer, TokenizedExample
from levertune.selection.in_turn import choose_in_turn
from levertune.selection.selection import DIVERSE, Budget, Diversity, row_text

SHORTLIST_FACTOR = 4
"""Rows scored for each row wanted."""

SHORTLIST_VERSION = 2
"""Raise when the same pool gives another shortlist: choices made from it are then made again."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Candidates to be scored.

    Args:
        records: The candidates, in the order that decides ties.
        task_rows: Index of the task row each was found for.
        examples: Each as it would be trained on.
        notes: What a reader should know.
    """

    records: tuple[Record, ...]
    task_rows: tuple[int, ...]
    examples: tuple[TokenizedExample, ...]
    notes: tuple[str, ...]


def make_shortlist(
    task: Sequence[Record],
    ordered: Sequence[Record],
    budget: Budget,
    *,
    tokenizer: ChatTokenizer,
    max_length: int,
    factor: int = SHORTLIST_FACTOR,
    diversity: Diversity = DIVERSE,
) -> Shortlist:
    """Shorten a pool by BM25, in turn over the task rows.

    Rows that could not be trained on (longer than `max_length`, or with a control token) are left
    out, and so are `text` rows, which have no prompt.

    Args:
        task: The task rows.
        ordered: The pool.
        budget: How much will be chosen.
        tokenizer: Renders the rows.
        max_length: Longest row, in tokens.
        factor: How many times the budget to keep.
        diversity: The caps of the choice. Of them the cap by source is kept here too, or one source
            might fill the list and leave no other to choose from.

    Returns:
        The shortlist.
    """
    similarity = Bm25([row_text(r) for r in task], (row_text(r) for r in ordered))
    # Near duplicates are left to the choice itself, which takes the better of two.
    caps = replace(diversity.as_for(ordered), near_threshold=None, beside=())
    picks, _ = choose_in_turn(similarity, ordered, budget.times(factor), caps)
    kept = []
    for pick in sorted(picks, key=lambda p: p.candidate):
        record = ordered[pick.candidate]
        example = tokenize_within(record, tokenizer, max_length)
        if example is not None:
            kept.append((record, pick.task_row, example))
    notes = []
    if len(picks) < len(ordered):
        notes.append(f"Scored were the {len(kept):,} of {len(ordered):,} rows nearest by BM25.")
    if len(kept) < len(picks):
        notes.append(
            f"{len(picks) - len(kept):,} rows were not scored: longer than {max_length} tokens, "
            "without a prompt, or with a control token."
        )
    records, task_rows, examples = zip(*kept, strict=True) if kept else ((), (), ())
    return Shortlist(records, task_rows, examples, tuple(notes))


def tokenize_within(
    record: Record, tokenizer: ChatTokenizer, max_length: int
) -> TokenizedExample | None:
    """A row as it would be trained on; None if it cannot be, or has no prompt.

    Args:
        record: The row.
        tokenizer: Renders it.
        max_length: Longest row, in tokens.
    """
    if record.is_text:
        return None
    try:
        example = tokenizer.tokenize(plain_example(record))
    except DataError:
        return None
    return example if len(example.input_ids) <= max_length else None
