"""One-edit changes of an anchor: a sentence or clause less, two swapped, one more on the answer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import pairwise

from levertune.anchors.pieces import SENTENCE_MARKS, count_words, is_layout, piece_spans
from levertune.anchors.quotes import spoken
from levertune.anchors.unspaced import SPELT_GAP

MIN_CLAUSE_WORDS = 3
"""Shorter ones are mostly items of a list, as labels are."""

_CLAUSE_START = re.compile(rf"[,;:\u104a](?=\s)|\s(?=\()|{SPELT_GAP}")  # \u104a: Burmese comma
_JOINT = re.compile(r"^[\s,;:\u104a]+(?:(?:and|or|but)\s+)?", re.IGNORECASE)


def draw_edits(text: str, answer: str = "", *, seed: int) -> list[str]:
    """Every text that one edit makes of an anchor, in a seeded order.

    Args:
        text: The anchor's words.
        answer: What may be said of the answers' form, a sentence of which may be added.
        seed: Seed of the order.

    Returns:
        The texts, none of them the anchor's own, case, white space and marks aside, none twice
        and none blank.
    """
    found: dict[str, str] = {}
    for edited in (*_drop(text), *_drop_clauses(text), *_swap(text), *_add(text, answer)):
        if (key := spoken(edited)) and key != spoken(text):
            found.setdefault(key, edited)
    texts = list(found.values())
    random.Random(seed).shuffle(texts)
    return texts


def _drop(text: str) -> Iterator[str]:
    spans = _sentences(text)
    if len(spans) > 1:
        for start, end in spans:
            yield _without(text, start, end)


def _drop_clauses(text: str) -> Iterator[str]:
    for start, end in _sentences(text):
        piece = text[start:end]
        body = piece.rstrip(SENTENCE_MARKS + ":")
        marks = [0, *(m.start() for m in _CLAUSE_START.finditer(body)), len(body)]
        clauses = list(pairwise(marks))
        for number, (first, behind) in enumerate(clauses):
            rest = body[:first] + body[behind:]
            if number == 0 and body[behind : behind + 1] == ":":
                continue  # what it leads to would stand alone
            if number == 0:
                rest = _JOINT.sub("", rest)
                rest = rest[:1].upper() + rest[1:]
            if min(count_words(body[first:behind]), count_words(rest)) >= MIN_CLAUSE_WORDS:
                yield text[:start] + rest + piece[len(body) :] + text[end:]


def _swap(text: str) -> Iterator[str]:
    for (a, b), (c, d) in pairwise(_sentences(text)):
        yield text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def _add(text: str, answer: str) -> Iterator[str]:
    said = spoken(text)
    for start, end in _sentences(answer):
        if spoken(answer[start:end]) not in said:
            yield f"{text.rstrip()} {answer[start:end]}"


def _sentences(text: str) -> list[tuple[int, int]]:
    """Sentences that instruct, what a colon leads to in the same one."""
    spans: list[tuple[int, int]] = []
    for start, end in piece_spans(text):
        if spans and text[spans[-1][1] - 1] in ":\uff1a":
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [(start, end) for start, end in spans if not is_layout(text[start:end])]


def _without(text: str, start: int, end: int) -> str:
    before, behind = text[:start], text[end:]
    return before + behind.lstrip() if behind.strip() else before.rstrip()
