"""Varied instructions: rows that say one thing in several ways, and the one text in their place.

A constant cue beside a varied one brought nothing back in a toy where varying it had cost most of
the leverage (docs/concepts/anchor.md): so the variants are replaced, and not merely preceded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from levertune.anchors.lift import find_shared
from levertune.anchors.paraphrases import find_doubt
from levertune.anchors.pieces import count_words, is_layout, piece_spans
from levertune.data.records import Record

# What a row says itself hardly ever opens three rows, and never all of them in a few ways; an
# instruction written in more ways than these was written anew for each row.
_MIN_ROWS = 3
_MAX_VARIANTS = 20
_MIN_WORDS = 3
_LETTERS = re.compile(r"[^\W\d_]")

VariedRule = Literal["replace", "always", "keep"]
"""What becomes of them: replaced where nothing speaks against it, in any case, or kept."""


@dataclass(frozen=True, slots=True)
class Varied:
    """The instructions of rows that carry one of several each.

    Args:
        instructions: The instructions, the most frequent first; those as frequent in the order of
            their text.
        counts: How many rows carry each.
        doubt: Why they may not say one thing in several ways, but be what the rows differ in; None
            if nothing speaks for that.
    """

    instructions: tuple[str, ...]
    counts: tuple[int, ...]
    doubt: str | None = None

    @property
    def commonest(self) -> str:
        """The instruction most rows carry."""
        return self.instructions[0]


def find_varied(records: Sequence[Record]) -> Varied | None:
    """Find the instructions of rows that all open with one of a few.

    Rows are put together by the line or sentence that opens their last user turn. What the rows of
    such a group share at their beginning is their instruction, by the rule for an instruction that
    all rows share (`find_shared`). There must be at least two groups and at most 20, each of at
    least three rows. Whether they are paraphrases, `find_doubt` says.

    Args:
        records: The task rows in training.

    Returns:
        The instructions; None if a row has none, or all have the same.
    """
    if any(record.is_text for record in records):
        return None
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[_opening(record.user_text)].append(record)
        if len(groups) > max(_MAX_VARIANTS, len(records) // _MIN_ROWS):
            return None
    if not 2 <= len(groups) <= _MAX_VARIANTS or "" in groups:
        return None
    found: dict[str, list[Record]] = defaultdict(list)
    for group in groups.values():
        shared = find_shared(group) if len(group) >= _MIN_ROWS else None
        if shared is None or shared.instruction is None or shared.placement != "prefix":
            return None
        found[shared.instruction] += group
    ranked = dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))
    return Varied(tuple(ranked), tuple(map(len, ranked.values())), find_doubt(ranked))


def find_replaced(records: Sequence[Record], rule: VariedRule = "replace") -> Varied | None:
    """Find the instructions that the anchor is to replace.

    Args:
        records: The task rows in training.
        rule: `anchor.varied` of the recipe.

    Returns:
        The instructions; None if there are none, or they stay.
    """
    varied = None if rule == "keep" else find_varied(records)
    return None if varied is not None and varied.doubt and rule == "replace" else varied


def _opening(text: str) -> str:
    """The first line or sentence, where it may be an instruction; else nothing."""
    spans = piece_spans(text)
    if len(spans) < 2:
        return ""
    piece = text[slice(*spans[0])]
    if is_layout(piece) or count_words(piece) < _MIN_WORDS or not _LETTERS.search(piece):
        return ""
    return piece
