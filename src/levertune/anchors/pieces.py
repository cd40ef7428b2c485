"""Pieces of a prompt: where its lines and sentences end, and which of them are mere layout."""

from __future__ import annotations

import re

from levertune.data.word_pattern import WORD

# Blank lines are part of the gap; the indentation of the next line belongs to that line.
GAP = re.compile(r"(?:[ \t]*\r?\n)+|[ \t]+")

UNSPACED_MARKS = "\u3002\uff01\uff1f"
SENTENCE_MARKS = ".!?\u2026" + UNSPACED_MARKS

_LABEL_WORDS = 3
_LONGEST_WORD = 40

_PIECE_END = re.compile(
    r"\S(?=[ \t]*\r?\n)"  # the end of a line
    r"|[.!?\u2026][\"'\u2019\u201d)\]]*(?=[ \t])"  # of a sentence
    r"|:(?=[ \t])"  # of a label or a lead-in on the same line
    r"|[\u3002\uff01\uff1f]+"  # of a sentence in a script that does not space them
)
_LINE_END = re.compile(r"[ \t]*\r?\n")
_ABBREVIATION = re.compile(
    r"\W*(?:\d{1,3}|[^\W\d_]|e\.g|i\.e|etc|vs|cf|no|mr|mrs|ms|dr|prof|st|approx|fig)\.",
    re.IGNORECASE,
)
_WORD = re.compile(rf"{WORD}(?:['\u2019-]{WORD})*")
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
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

    Args:
        piece: One piece of a prompt.

    Returns:
        True if it is layout.
    """
    piece = piece.strip()
    words = len(_WORD.findall(piece))
    if not words:
        return True
    arranges = piece[-1] in ":\uff1a" or _HEADING.match(piece) or _TAG.fullmatch(piece)
    return words <= _LABEL_WORDS and bool(arranges)


def count_words(text: str) -> int:
    """Count words; two characters of a script without spaces count as one word.

    Args:
        text: The text.

    Returns:
        The number of words.
    """
    unspaced = len(UNSPACED.findall(text))
    return len(_WORD.findall(UNSPACED.sub(" ", text))) + unspaced // 2


def _ends_piece(text: str, match: re.Match[str]) -> bool:
    if not match.group().startswith(".") or _LINE_END.match(text, match.end()):
        return True
    words = text[max(0, match.start() - _LONGEST_WORD) : match.start() + 1].split()
    return not _ABBREVIATION.fullmatch(words[-1])
