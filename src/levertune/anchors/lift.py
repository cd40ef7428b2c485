"""Lifting: find the instruction that all rows share and take it out of them.

An anchor repeats one text on every task row. Where the rows already carry one, that text becomes
the anchor, so that it stands on each prompt once and can be moved, dropped or replaced.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from levertune.anchors.anchor import Placement
from levertune.anchors.pieces import (
    GAP,
    SENTENCE_MARKS,
    UNSPACED_MARKS,
    count_words,
    is_layout,
    piece_spans,
)
from levertune.data.records import Message, Record

MIN_WORDS = 3
MIN_ROWS = 2

DEFAULT_SEPARATOR = "\n"

# A persona of this kind says nothing about the task, and general rows may carry the same.
_PERSONA = re.compile(
    r"(?:you are [\w-]+, (?:created|made|trained) by [\w -]+\.\s)?"
    r"you are (?:an? )?(?:[\w-]+,? ){0,4}assistant"
    r"(?:,? (?:named|called|created|made|trained)\b[\w ,'-]*)?[.!]?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the prompts of some rows have in common.

    Args:
        instruction: The shared instruction, or None if there is none.
        share: Share of the rows that carry it: 1.0 if there is one, otherwise the share of
            `opening`, 0.0 without one.
        placement: Where it stands, or None.
        separator: The white space between it and the rest of the prompt.
        opening: Where there is none, the line or sentence that opens most rows, if it opens at
            least two of them.
    """

    instruction: str | None
    share: float
    placement: Placement | None = None
    separator: str = DEFAULT_SEPARATOR
    opening: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted(Shared):
    """Rows without the instruction they shared.

    Args:
        records: The rows, without it.
    """

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """Rows after an instruction was taken out where it stood.

    Args:
        records: The rows in their order.
        num_without: Rows that did not carry it and are as they were.
    """

    records: tuple[Record, ...]
    num_without: int


@dataclass(frozen=True, slots=True)
class Lifting:
    """What is taken out of task rows before an anchor is put on them.

    Args:
        instructions: The instruction that the training rows share, or the several that they carry
            one each; none: nothing is taken out.
        separator: The white space that goes with it; None for all blank space up to the next line's
            indentation.
    """

    instructions: tuple[str, ...] = ()
    separator: str | None = None

    def take_from(self, record: Record) -> Record:
        """A row without the instruction, or the very same row if it carries none."""
        # The longest first: one may be the beginning of another.
        for instruction in sorted(self.instructions, key=lambda text: (-len(text), text)):
            without = remove_instruction(record, instruction, separator=self.separator)
            if without is not record:
                return without
        return record

    def take_from_all(self, records: Sequence[Record]) -> Removed:
        """Rows without it, and how many did not carry it: for example test rows."""
        rows = tuple(map(self.take_from, records))
        same = sum(after is before for after, before in zip(rows, records, strict=True))
        return Removed(rows, same)


def find_shared(records: Sequence[Record]) -> Shared:
    """Find the instruction that all rows share.

    Looked at are the beginning and the end of the last user turn, and a first system turn that is
    the same in all rows (unless it only says "You are a helpful assistant"). Of these the one with
    the most words is taken, the beginning before the system turn before the end if they tie. The
    cut falls at the end of a line, of a sentence, or of a colon that more than three words lead to.
    Layout next to the row's own text (`Message:`, `---`, `<text>`) stays with that text. At least
    two rows must share at least three words, and something must be left of the user turn of each.

    Args:
        records: The task rows in training.

    Returns:
        What they share.
    """
    liftable = _find_liftable(records)
    if liftable is not None:
        placement, instruction, separator = liftable
        return Shared(instruction, 1.0, placement, separator)
    if len(records) < MIN_ROWS or any(record.is_text for record in records):
        return Shared(None, 0.0)
    opening, share = _commonest_opening([record.user_text for record in records])
    return Shared(None, share, opening=opening)


def lift_instruction(records: Sequence[Record]) -> Lifted:
    """Find the instruction that all rows share, as `find_shared` does, and take it out of them.

    Put back at its placement with its separator, a lifted beginning or system turn gives the very
    text the rows had; so does an end, unless a label or white space came after it. Other shared
    instructions stay in the rows.

    Args:
        records: The task rows in training.

    Returns:
        The instruction and the rows without it; the rows as they are if they share none.
    """
    shared = find_shared(records)
    rows = tuple(records)
    if shared.instruction is not None and shared.placement is not None:
        cut = _CUTS[shared.placement]
        without = [cut(record, shared.instruction, shared.separator) for record in rows]
        rows = tuple(record for record in without if record is not None)
    return Lifted(
        shared.instruction,
        shared.share,
        shared.placement,
        shared.separator,
        shared.opening,
        records=rows,
    )


def shared_instruction(records: Sequence[Record]) -> str | None:
    """The instruction that all rows share, as `find_shared` finds it, or None.

    Args:
        records: The task rows in training.
    """
    liftable = _find_liftable(records)
    return None if liftable is None else liftable[1]


def remove_instruction(record: Record, instruction: str, *, separator: str | None = None) -> Record:
    """Take an instruction out of one row, where it stands whole and leaves something behind.

    Args:
        record: The row.
        instruction: The text, as `find_shared` found it.
        separator: The white space that goes with it; by default all blank space up to the next
            line's indentation.

    Returns:
        The row without it, or the very same row if it does not carry it.
    """
    if record.is_text or not instruction.strip():
        return record
    for cut in _CUTS.values():
        without = cut(record, instruction, separator)
        if without is not None:
            return without
    return record


def _find_liftable(records: Sequence[Record]) -> tuple[Placement, str, str] | None:
    """Placement, text and separator of the shared instruction."""
    for placement, instruction, separator in _list_shared(records):
        # Of a beginning or a system turn it was seen that every row has it and more.
        if placement != "suffix" or all(
            _cut_end(record, instruction, separator) is not None for record in records
        ):
            return placement, instruction, separator
    return None


def _list_shared(records: Sequence[Record]) -> list[tuple[Placement, str, str]]:
    """Placement, text and separator of what could be lifted, that with the most words first."""
    if len(records) < MIN_ROWS or any(record.is_text for record in records):
        return []
    texts = [record.user_text for record in records]
    found: list[tuple[Placement, str | None, str]] = [
        ("prefix", *(_shared_beginning(texts) or (None, ""))),
        ("system", _shared_system(records), DEFAULT_SEPARATOR),
        ("suffix", *(_shared_end(texts) or (None, ""))),
    ]
    candidates = [
        (placement, instruction, separator)
        for placement, instruction, separator in found
        if instruction is not None
    ]
    # Sorting is stable, so equals stay in the order of preference above.
    return sorted(candidates, key=lambda candidate: -count_words(candidate[1]))


def _shared_beginning(texts: Sequence[str]) -> tuple[str, str] | None:
    common = os.path.commonprefix(list(texts))
    for start, end in reversed(piece_spans(common, unfinished=False)):
        if is_layout(common[start:end]):
            continue
        if count_words(common[:end]) < MIN_WORDS:
            return None
        gap = GAP.match(common, end)
        separator = gap.group() if gap else ""  # scripts without spaces have no gap
        if all(text[end + len(separator) :].strip() for text in texts):
            return common[:end], separator
    return None


def _shared_end(texts: Sequence[str]) -> tuple[str, str] | None:
    common = os.path.commonprefix([text[::-1] for text in texts])[::-1]
    for gap in GAP.finditer(common):
        before = gap.start() - len(common)
        if "\n" not in gap.group() and not all(
            text[before - 1 : before] and text[before - 1] in SENTENCE_MARKS for text in texts
        ):
            continue
        if not all(text[:before].strip() for text in texts):
            continue
        spans = piece_spans(common[gap.end() :])
        if not spans or is_layout(common[gap.end() :][slice(*spans[0])]):
            continue
        while is_layout(common[gap.end() :][slice(*spans[-1])]):
            spans.pop()
        instruction = common[gap.end() : gap.end() + spans[-1][1]]
        return (instruction, gap.group()) if count_words(instruction) >= MIN_WORDS else None
    return None


def _shared_system(records: Sequence[Record]) -> str | None:
    texts = {
        record.prompt[0].content if record.prompt[0].role == "system" else "" for record in records
    }
    text = texts.pop()
    if texts or count_words(text) < MIN_WORDS or _PERSONA.fullmatch(text.strip()):
        return None
    return text


def _commonest_opening(texts: Sequence[str]) -> tuple[str | None, float]:
    openings: Counter[str] = Counter()
    for text in texts:
        spans = piece_spans(text)
        if len(spans) > 1:
            start, end = spans[0]
            if count_words(text[start:end]) >= MIN_WORDS:
                openings[text[start:end]] += 1
    if not openings:
        return None, 0.0
    opening, count = openings.most_common(1)[0]
    return (opening, count / len(texts)) if count >= MIN_ROWS else (None, 0.0)


def _cut_beginning(record: Record, instruction: str, separator: str | None) -> Record | None:
    text = record.user_text
    if not text.startswith(instruction):
        return None
    rest = text[len(instruction) :]
    if separator is not None and rest.startswith(separator):
        rest = rest[len(separator) :]
    elif gap := GAP.match(rest):
        rest = rest[gap.end() :]
    elif instruction[-1] not in UNSPACED_MARKS:
        return None
    return _with_user_text(record, rest)


def _cut_system(record: Record, instruction: str, separator: str | None) -> Record | None:
    first = record.prompt[0]
    if first.role != "system" or first.content.strip() != instruction.strip():
        return None
    return _with_prompt(record, record.prompt[1:])


def _cut_end(record: Record, instruction: str, separator: str | None) -> Record | None:
    text = record.user_text
    start = text.rfind(instruction)
    before, behind = text[: max(start, 0)], text[start + len(instruction) :]
    if start < 1 or not all(is_layout(behind[a:b]) for a, b in piece_spans(behind)):
        return None
    if behind and not behind[0].isspace():
        return None
    behind = behind if behind.strip() else ""
    if separator and before.endswith(separator):
        return _with_user_text(record, before[: -len(separator)] + behind)
    if not before[-1].isspace():
        return None
    return _with_user_text(record, before.rstrip() + behind)


def _with_user_text(record: Record, text: str) -> Record | None:
    if not text.strip():
        return None
    return _with_prompt(record, (*record.prompt[:-1], Message(record.prompt[-1].role, text)))


def _with_prompt(record: Record, prompt: tuple[Message, ...]) -> Record:
    # `dataclasses.replace` looks every field up for each row, which of 100,000 rows is a second.
    return Record(
        record.id,
        record.source,
        prompt,
        record.completion,
        record.references,
        record.stratum,
        record.line,
    )


_CUTS: dict[Placement, Callable[[Record, str, str | None], Record | None]] = {
    "prefix": _cut_beginning,
    "system": _cut_system,
    "suffix": _cut_end,
}
