"""What makes a text unusable as an anchor: blank, too long, a control token in it, or a leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from levertune.anchors.auto import MAX_CHARACTERS, choose_lifting
from levertune.anchors.pieces import is_layout, piece_spans
from levertune.anchors.quotes import QuotedTexts, RowText, spoken
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text, normalize_text

# Labels stand at the very beginning; cutting whole prompts into pieces would take long.
_LABELS_END = 80

FindFault = Callable[[str], str | None]
"""Gives what is wrong with a text, or None; `ControlTokens.describe_in` is one."""


def make_guard(
    training: Sequence[Record],
    test: Sequence[Record] = (),
    *,
    find_control_token: FindFault | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> FindFault:
    """A function that says why a text cannot be an anchor of a task, for many texts in turn.

    Refused are a text that is blank, longer than allowed or holds a control token, and one that
    holds something of at least five words, case, white space and marks aside:

    - a whole prompt of a training row, the instruction that all rows share, or one of the few
      that they vary, and labels like `Text:` left out, whether or not it stays in the rows;
    - an answer of a single training row (what answers several rows is a label or a stock phrase,
      and an anchor may name it);
    - an answer of a test row that stands nowhere in the training rows. It is never quoted.

    Args:
        training: The task rows in training.
        test: Rows that nothing may be learnt of, or none.
        find_control_token: Says what is wrong with a text that holds a control token of the model.
        max_characters: Most characters allowed.

    Returns:
        A function from a text to what is wrong with it (`is blank`, …), or to None.
    """
    own_text = make_own_text(None)
    # Whether or not they are replaced: a row is known by what it says behind its opening.
    take_from = choose_lifting(training, varied_rule="always").take_from
    prompts = QuotedTexts(
        RowText(row.id, _without_labels(own_text(take_from(row))))
        for row in training
        if not row.is_text
    )
    answered = Counter(normalize_text(row.completion) for row in training)
    answers = QuotedTexts(
        RowText(row.id, row.completion)
        for row in training
        if answered[normalize_text(row.completion)] == 1
    )
    test_answers = QuotedTexts(RowText(row.id, text) for row in test for text in row.all_references)

    def find_fault(text: str) -> str | None:
        if not text.strip():
            return "is blank"
        if len(text) > max_characters:
            return f"is too long; found {len(text)} characters, at most {max_characters} may be"
        if find_control_token is not None and (fault := find_control_token(text)):
            return fault
        for row in prompts.quoted_in(text):
            return f"contains the whole prompt of training row {row.id!r}"
        for row in answers.quoted_in(text):
            return f"contains the whole answer of training row {row.id!r}"
        for row in test_answers.quoted_in(text):
            if not _stands_in(training, row.text):
                return f"contains the answer of test row {row.id!r}, which no training row has"
        return None

    return find_fault


def find_fault(
    text: str,
    training: Sequence[Record],
    test: Sequence[Record] = (),
    *,
    find_control_token: FindFault | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> str | None:
    """What makes one text unusable as an anchor, by the rules of `make_guard`, or None.

    Args:
        text: The text.
        training: The task rows in training.
        test: Rows that nothing may be learnt of, or none.
        find_control_token: Says what is wrong with a text that holds a control token of the model.
        max_characters: Most characters allowed.

    Returns:
        What is wrong, to be said after the name of the text; None if nothing is.
    """
    guard = make_guard(
        training, test, find_control_token=find_control_token, max_characters=max_characters
    )
    return guard(text)


def _stands_in(rows: Sequence[Record], text: str) -> bool:
    """Whether a text stands in a prompt or an answer of the rows; asked of few texts only."""
    words = spoken(text)
    return any(
        words in spoken(other)
        for row in rows
        for other in (*(turn.content for turn in row.prompt), *row.all_references)
    )


def _without_labels(text: str) -> str:
    """A prompt from the first piece on that is more than layout."""
    for start, end in piece_spans(text[:_LABELS_END]):
        if not is_layout(text[start:end]):
            return text[start:]
    return text
