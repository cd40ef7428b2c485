"""Pieces of a prompt: where its lines and sentences end, and which of them are mere layout."""

from __future__ import annotations

import re

from levertune.anchors.unspaced import count_unspaced
from levertune.data.word_pattern import WORD

# Blank lines are part of the gap; the indentation of the next line belongs to that line.
GAP = re.compile(r"(?:[ \t]*\r?\n)+|[ \t]+")

# Of Chinese, Japanese and Burmese: the next sentence may follow at once.
UNSPACED_MARKS = "\u3002\uff01\uff1f\u104b"
# Of Armenian, Arabic, Urdu, and two each of Hindi (and others of India), Tibetan, Ethiopic, Khmer.
_SPACED_MARKS = "\u0589\u061f\u06d4\u0964\u0965\u0f0d\u0f0e\u1362\u1367\u17d4\u17d5"
SCRIPT_MARKS = UNSPACED_MARKS + _SPACED_MARKS
SENTENCE_MARKS = ".!?\u2026" + SCRIPT_MARKS
QUESTION_MARKS = "?\uff1f\u061f\u1367"

_LABEL_WORDS = 3
_LONGEST_WORD = 40

_PIECE_END = re.compile(
    r"\S(?=[ \t]*\r?\n)"  # the end of a line
    rf"|[.!?\u2026{_SPACED_MARKS}][\"'\u2019\u201d)\]]*(?=[ \t])"  # of a sentence
    r"|:(?=[ \t])"  # of a label or a lead-in on the same line
    rf"|[{UNSPACED_MARKS}]+"  # of a sentence in a script that does not space them
)
_LINE_END = re.compile(r"[ \t]*\r?\n")
_ABBREVIATION = re.compile(
    r"\W*(?:\d{1,3}|[^\W\d_]|e\.g|i\.e|etc|vs|cf|no|mr|mrs|ms|dr|prof|st|approx|fig)\.",
    re.IGNORECASE,
)
_WORD = re.compile(rf"{WORD}(?:['\u2019-]{WORD})*")
_TAG = re.compile(r"[<\[][^<>\[\]]*[>\]]")
_HEADING = re.compile(r"#+ ")


def piece_spans(text: str, *, unfinished: bool = True) -> list[tuple[int, int]]:
    """Cut a text at the ends of its lines, sentences and colons.

    Args:
        text: The text.
        unfinished: Whether to count a last piece that nothing ends.

    Returns:
        Start and end of each piece without the white space around it.
    """
    ends = [match.end() for match in _PIECE_END.finditer(text) if _ends_piece(text, match)]
    if unfinished:
        ends.append(len(text.rstrip()))
    spans, start = [], 0
    for end in ends:
        while start < end and text[start].isspace():
            start += 1
        if start < end:
            spans.append((start, end))
            start = end
    return spans


def is_layout(piece: str) -> bool:
    """Whether a piece only arranges the prompt and instructs nothing.

    That is a piece of up to three words which ends in a colon (`Message:`), is a heading
    (`## Input`) or a tag (`<document>`, `[text]`), or a rule without letter or digit (`---`).
    Words are those of `count_words`: a label without spaces may be some characters long.

    Args:
        piece: One piece of a prompt.

    Returns:
        True if it is layout.
    """
    piece = piece.strip()
    if not _WORD.search(piece):
        return True
    arranges = piece[-1] in ":\uff1a" or _HEADING.match(piece) or _TAG.fullmatch(piece)
    return bool(arranges) and count_words(piece) <= _LABEL_WORDS


def count_words(text: str) -> int:
    """Count words; of scripts without spaces, as many as their characters make (`unspaced`).

    Args:
        text: The text.

    Returns:
        The number of words.
    """
    unspaced, rest = count_unspaced(text)
    return unspaced + len(_WORD.findall(rest))


def _ends_piece(text: str, match: re.Match[str]) -> bool:
    if not match.group().startswith(".") or _LINE_END.match(text, match.end()):
        return True
    words = text[max(0, match.start() - _LONGEST_WORD) : match.start() + 1].split()
    return not _ABBREVIATION.fullmatch(words[-1])
