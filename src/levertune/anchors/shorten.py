"""Annealing: an anchor shortened in steps while training, so that requests need few of its words.

The end of training without the marker is the cooldown of MeCo (2501.01956, section 2), where the
last tenth of the steps goes without the metadata that stood before every document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from levertune.anchors.anchor import Anchor
from levertune.anchors.pieces import is_layout, piece_spans
from levertune.anchors.unspaced import CUTTABLE

KEY_START, FEW_START, LAST_START = 0.5, 0.7, 0.85
"""Shares of the order from which the key sentence, a few words and the last form hold."""

FEW_TOKENS = 8
"""Length of a few words, where requests are not to carry more."""

# A script without spaces is cut between any two characters, Tibetan behind each syllable.
_WORD_END = re.compile(rf"{CUTTABLE}|(?:(?!{CUTTABLE})[^\s\u0f0b])+\u0f0b?")


@dataclass(frozen=True, slots=True)
class AnchorStage:
    """A form of the anchor and from where on it holds.

    Args:
        anchor: The form; None for no anchor.
        start: Share of the training order before it.
    """

    anchor: Anchor | None
    start: float


def anneal(
    anchor: Anchor, count_tokens: Callable[[str], int], *, served_tokens: int = 0
) -> tuple[AnchorStage, ...]:
    """The forms an anchor takes: whole, its key sentence, a few words, what is served.

    A form that is short enough to be served is the last. One no shorter than the one before is left
    out, so that an anchor of few words has fewer forms; so are the few words where not even one is
    that short. A lead-in is not counted, and goes where the text goes.

    Args:
        anchor: The whole anchor.
        count_tokens: Gives the tokens of a text.
        served_tokens: Most tokens of the last form, which requests carry; 0 for none.

    Returns:
        The forms in their order, the whole anchor first.
    """
    key = key_sentence(anchor.text)
    few = first_words(key, count_tokens, max(FEW_TOKENS, served_tokens))
    wanted: list[tuple[str | None, float]] = [
        (anchor.text, 0.0),
        (key, KEY_START),
        *([(few, FEW_START)] if few else []),
        (first_words(key, count_tokens, served_tokens) if served_tokens else None, LAST_START),
    ]
    stages: list[AnchorStage] = []
    length = None
    for text, start in wanted:
        tokens = count_tokens(text) if text else 0
        if length is None or served_tokens < length > tokens:
            form = replace(anchor, text=text) if text else None
            stages.append(AnchorStage(form, start))
            length = tokens
    return tuple(stages)


def key_sentence(text: str) -> str:
    """The first sentence or line of an anchor that instructs, layout aside.

    Args:
        text: The anchor's words.
    """
    spans = piece_spans(text)
    pieces = [text[start:end] for start, end in spans]
    return next((piece for piece in pieces if not is_layout(piece)), text.strip())


def first_words(text: str, count_tokens: Callable[[str], int], most_tokens: int) -> str | None:
    """As many whole words from the start of a text as so many tokens hold.

    Of a script without spaces, as many characters, each with the marks on it.

    Args:
        text: The text.
        count_tokens: Gives the tokens of a text.
        most_tokens: Most tokens.

    Returns:
        The words; None if not even the first one fits.
    """
    best = None
    for match in _WORD_END.finditer(text):
        words = text[: match.end()]
        if count_tokens(words) > most_tokens:
            break
        best = words
    return best
