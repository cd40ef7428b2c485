"""`anchor pool check`: all faults of all files of a pool, not only the first."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from levertune.anchors.pieces import count_words
from levertune.anchors.pool.entry import PoolEntry, build_entry, describe_fault
from levertune.anchors.pool.reading import list_entry_files, read_document
from levertune.anchors.pool.rules import find_faults, short
from levertune.data.home_folder import expand_home
from levertune.data.row_texts import normalize_text, split_words
from levertune.errors import DataError

MIN_ANSWER_WORDS = 5

# They join or part letters in some scripts; every other invisible character only hides.
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend in a pool.

    Args:
        file: What the file is called.
        message: File, line, field, what is wrong, what was found and what to do, on one line.
        is_fault: True for what makes the entry unusable, False for what a reviewer should look at.
    """

    file: str
    message: str
    is_fault: bool


def check_pool(
    folder: str | Path, *, find_control_token: Callable[[str], str | None] | None = None
) -> list[Finding]:
    """Look at every file of a pool folder.

    Args:
        folder: The folder, as `reading.read_pool_folder` takes it.
        find_control_token: Gives the first control token of a model in a text, as
            `ControlTokens.find` does; those of `rules.control_token` are faults for all models.

    Returns:
        The findings in the order of files, faults of a file before its warnings.

    Raises:
        DataError: If the folder is missing or empty.
    """
    place = expand_home(folder)
    files = list_entry_files(place)
    findings: list[Finding] = []
    first_with: dict[str, str] = {}
    for file, path in files.items():
        try:
            document = read_document(path, where=file, root=place)
        except DataError as error:
            findings.append(Finding(file, str(error), True))
            continue
        faults = find_faults(document.value, stem=path.stem)
        if faults:
            findings += (
                Finding(file, describe_fault(fault, file, document.lines), True) for fault in faults
            )
            continue
        entry = build_entry(document.value, where=file)
        told = [*_leaks(entry), *_control_tokens(entry, find_control_token)]
        findings += (Finding(file, f"{file}: {message}", True) for message in told)
        warnings = list(_doubts(entry))
        same = first_with.setdefault(normalize_text(entry.text), file)
        if same != file:
            warnings.append(f"text: is also that of {same}. Keep one of the two.")
        findings += (Finding(file, f"{file}: {message}", False) for message in warnings)
    return findings


def _leaks(entry: PoolEntry) -> Iterator[str]:
    """What of the entry's own examples stands in its anchor."""
    for number, example in enumerate(entry.examples):
        if _contains(entry.text, example.prompt):
            yield (
                f"text: contains the prompt of example {number}; found {short(example.prompt)}. "
                "An anchor says what to do, not what is asked: take it out."
            )
        is_long = count_words(example.completion) >= MIN_ANSWER_WORDS
        if is_long and _contains(entry.text, example.completion):
            yield (
                f"text: contains the completion of example {number}; found "
                f"{short(example.completion)}. Take it out, or choose another example."
            )


def _contains(text: str, part: str) -> bool:
    """Whether the words of a text hold those of another, side by side."""
    words = split_words(part)
    if not words:
        return False
    if f" {' '.join(words)} " in f" {' '.join(split_words(text))} ":
        return True
    # Scripts without spaces give no words to look for.
    is_long = count_words(part) >= MIN_ANSWER_WORDS
    return is_long and normalize_text(part) in normalize_text(text)


def _control_tokens(entry: PoolEntry, find: Callable[[str], str | None] | None) -> Iterator[str]:
    if find is None:
        return
    texts = {"text": entry.text}
    for number, example in enumerate(entry.examples):
        texts[f"examples.{number}.prompt"] = example.prompt
        texts[f"examples.{number}.completion"] = example.completion
    for field, text in texts.items():
        if (token := find(text)) is not None:
            yield (
                f"{field}: contains the control token {token!r}; it would end or open a turn. "
                "Remove it."
            )


def _doubts(entry: PoolEntry) -> Iterator[str]:
    hidden = [c for c in entry.text if unicodedata.category(c) == "Cf" and c not in _JOINERS]
    if hidden:
        yield f"text: holds the invisible character {hidden[0]!r}. Remove it."
    for number, evidence in enumerate(entry.evidence):
        if evidence.verified:
            yield (
                f"evidence.{number}.verified: is a word to be taken only from who ran "
                "`levertune anchor pool verify` on that run; found true. See that it was."
            )
