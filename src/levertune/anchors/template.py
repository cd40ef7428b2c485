"""The way `template`: one instruction in plain English, from what the rows say about themselves."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from levertune.anchors.answer_form import (
    NEARLY_ALL,
    are_programs,
    describe_copying,
    describe_form,
    describe_new_words,
    describe_number,
    describe_style,
    describe_vocabulary,
)
from levertune.anchors.candidates import AnchorCandidate, DesignCost
from levertune.anchors.json_form import describe_json
from levertune.anchors.lift import find_shared
from levertune.anchors.patterns import describe_pattern, describe_words, join_words
from levertune.anchors.pieces import is_layout, piece_spans
from levertune.anchors.quotes import QuotedTexts, RowText
from levertune.anchors.scripts import LATIN, find_script
from levertune.data.draws import sample_items
from levertune.data.records import Record

DEFAULT_CHARACTERS = 400
"""About 100 tokens on every task row and every served request."""

MIN_CHARACTERS = 60
"""Room for the plainest sentence of every kind."""

_MAX_LISTED_LABELS = 24
_MAX_LABEL_CHARACTERS = 40
_NUM_EXAMPLES = (6, 3, 0)
# Of more rows so many are looked at: their answers, and their prompts, which may be long.
_MAX_ROWS = 5_000
_MAX_PROMPTS = 500
_FORMAL_KINDS = ("label", "json", "number", "code")

_CODE = "the code that the description asks for"
_TEXT = "Answer in the form that this task asks for."
# Of fewer than five words, so it never quotes an answer.
_PLAINEST = "Do the task."


def write_template(
    records: Sequence[Record],
    kind: str,
    labels: Sequence[str] | None = None,
    *,
    max_characters: int = DEFAULT_CHARACTERS,
    prompt_language: str | None = None,
    answer_language: str | None = None,
) -> AnchorCandidate:
    """The instruction that the rows share, or else one that `describe_rows` writes of them.

    Args:
        records: The task rows in training.
        kind: `label`, `json`, `number`, `code` or `text`; any other kind is described as `text`.
        labels: The distinct completions of a `label` task; by default those of the rows.
        max_characters: Most characters the text may have.
        prompt_language: The language of the prompts, if the caller knows it.
        answer_language: The language of the answers, if the caller knows it.

    Returns:
        The candidate. Its text depends on the arguments alone.

    Raises:
        ValueError: If `max_characters` leaves no room for the plainest sentence.
    """
    started = time.perf_counter()
    _check_room(max_characters)
    shared = find_shared(records).instruction
    notes: tuple[str, ...] = ("Describes the rows: they share no instruction.",)
    if shared is not None:
        fault = _unfit(shared, max_characters, _quotable(records))
        if fault is None:
            seconds = time.perf_counter() - started
            note = "The instruction that all rows share."
            return AnchorCandidate(shared, "template", DesignCost(seconds=seconds), (note,))
        notes = (f"Describes the rows: the instruction they share {fault}.",)
    text = describe_rows(
        records,
        kind,
        labels,
        max_characters=max_characters,
        prompt_language=prompt_language,
        answer_language=answer_language,
    )
    cost = DesignCost(seconds=time.perf_counter() - started)
    return AnchorCandidate(text, "template", cost, notes)


def describe_rows(
    records: Sequence[Record],
    kind: str,
    labels: Sequence[str] | None = None,
    *,
    max_characters: int = DEFAULT_CHARACTERS,
    prompt_language: str | None = None,
    answer_language: str | None = None,
) -> str:
    """Write one instruction from what rows without one show: the form of their answers above all.

    The fullest description of the form that there is room for comes first: the labels themselves
    or the pattern they follow, the keys of JSON with their types and values, the length and layout
    of text. Then, as far as there is room, languages and scripts, an opening that all answers have,
    their case. No answer of five words or more is ever quoted.

    Args:
        records: The task rows in training.
        kind: `label`, `json`, `number`, `code` or `text`; any other kind is described as `text`.
        labels: The distinct completions of a `label` task; by default those of the rows.
        max_characters: Most characters the text may have.
        prompt_language: The language of the prompts, if the caller knows it.
        answer_language: The language of the answers, if the caller knows it.

    Returns:
        The instruction.

    Raises:
        ValueError: If `max_characters` leaves no room for the plainest sentence.
    """
    _check_room(max_characters)
    fits = partial(_fits, max_characters=max_characters, answers=_quotable(records, labels or ()))
    rows = sample_items([row for row in records if row.completion.strip()], _MAX_ROWS)
    answers = [row.completion.strip() for row in rows]
    if kind not in _FORMAL_KINDS and are_programs(answers):
        kind = "code"
    if kind == "label":
        openings = _label_sentences(Counter(row.completion.strip() for row in records), labels)
    else:
        openings = _openings(kind, rows, answers)
    text = next(filter(fits, openings), _PLAINEST)
    details = []
    if kind not in _FORMAL_KINDS:
        some = sample_items(rows, _MAX_PROMPTS)
        details = describe_style(answers)
        new = describe_new_words([row.completion for row in some], [r.user_text for r in some])
        details += [f"Its own notation looks like {new}."] if new else []
    languages = _describe_languages(rows, kind, prompt_language, answer_language)
    for detail in [*languages, *details]:
        if fits(f"{text} {detail}"):
            text = f"{text} {detail}"
    return text


def _openings(kind: str, rows: Sequence[Record], answers: Sequence[str]) -> Iterator[str]:
    """First sentences, the fullest first."""
    if kind == "json":
        for form in describe_json(answers):
            yield f"Answer with {form}, and nothing else."
    elif kind == "number":
        yield f"Answer with {describe_number(answers)}, and nothing else."
    elif kind == "code":
        yield from _code_sentences(answers)
    else:
        yield from _text_sentences(rows, answers)


def _label_sentences(counts: Counter[str], labels: Sequence[str] | None) -> Iterator[str]:
    given = (label.strip() for label in (labels if labels is not None else counts))
    # Sorting is stable: equally frequent ones stay in the order they were given.
    names = sorted(filter(None, dict.fromkeys(given)), key=lambda name: -counts[name])
    short = [name for name in names if len(name) <= _MAX_LABEL_CHARACTERS and "\n" not in name]
    marks = any(mark in name for name in short for mark in ",;")
    shown = [json.dumps(name, ensure_ascii=False) if marks else name for name in short]
    some = sample_items(names, _MAX_ROWS)
    pattern = describe_pattern(some)
    if 2 <= len(names) <= _MAX_LISTED_LABELS and len(short) == len(names):
        listed = f"Answer with one of these labels, and nothing else: {', '.join(shown)}."
        form = f"Answer with a code of {pattern}, and nothing else."
        # Words say what they stand for, codes do not: a list of them is long and is copied from
        # (benchmarks/evidence/label_grid.yaml; LOG.md, 2026-11-23).
        are_codes = pattern is not None and all(map(_is_code, some))
        yield form if are_codes and len(form) < len(listed) else listed
    if len(names) > 1:
        words = describe_words(some)
        what = f"a code of {pattern}" if pattern else f"one of {len(names)} labels"
        if words and not pattern:
            what += f" ({words})"
        for number in _NUM_EXAMPLES:
            if not number or len(shown) > number:
                such = f", such as {join_words(shown[:number], 'or')}" if number else ""
                yield f"Answer with {what}{such}, and nothing else."
    yield "Answer with the label that fits, and nothing else."


def _is_code(label: str) -> bool:
    """Whether it has a letter and a digit: `POS` and `5` mean something, `T7L` nothing."""
    return any(map(str.isalpha, label)) and any(map(str.isdecimal, label))


def _code_sentences(answers: Sequence[str]) -> Iterator[str]:
    if vocabulary := describe_vocabulary(answers):
        yield f"Answer with a sequence of these words, and nothing else: {vocabulary}."
    if pattern := describe_pattern(answers):
        yield f"Answer with a code of {pattern}, and nothing else."
    form = describe_form(answers)
    if form and "numbers" in form:
        yield f"Answer with {form}, and nothing else."
    is_line = answers and not any("\n" in text for text in answers)
    yield f"Write {_CODE}{' on one line' if is_line else ''}, and nothing else."
    yield f"Write {_CODE}, and nothing else."


def _text_sentences(rows: Sequence[Record], answers: Sequence[str]) -> Iterator[str]:
    form = describe_form(answers)
    some = sample_items(rows, _MAX_PROMPTS)
    prompts = [row.user_text for row in some]
    copied = describe_copying([row.completion.strip() for row in some], prompts)
    noun = _noun_of(prompts)
    questions = [text.rstrip()[-1:] in ("?", "\uff1f") for text in prompts]
    asked = bool(prompts) and sum(questions) >= NEARLY_ALL * len(prompts)
    verb = "Answer the question with" if asked else "Answer with"
    if copied and form:
        yield f"{verb} {form} {copied} the {noun}, and nothing else."
    if copied:
        yield f"{verb} a text {copied} the {noun}, and nothing else."
    if form:
        yield f"{verb} {form}, and nothing else."
    if asked:
        yield "Answer the question, and write nothing else."
    yield _TEXT


def _describe_languages(
    rows: Sequence[Record],
    kind: str,
    prompt_language: str | None,
    answer_language: str | None,
) -> list[str]:
    """What is known of the languages, or of the scripts if they are not the Latin one."""
    if prompt_language and prompt_language == answer_language:
        return [f"Text and answer are in {answer_language}."]
    said = []
    if prompt_language:
        said.append(f"The text is in {prompt_language}.")
    if answer_language:
        said.append(f"Answer in {answer_language}.")
    if said or kind in _FORMAL_KINDS:
        return said
    some = sample_items(rows, _MAX_PROMPTS)
    given = find_script([row.user_text for row in some])
    wanted = find_script([row.completion for row in some])
    if wanted is None or (wanted == LATIN and given in (LATIN, None)):
        return []
    through = "with" if wanted.endswith("characters") else "in"
    return [f"Write {through} {wanted}."]


def _noun_of(prompts: Sequence[str]) -> str:
    """What all prompts call what follows on their first label (`Message:`), else `text`."""
    nouns = set()
    for prompt in prompts:
        start, end = next(iter(piece_spans(prompt[:200])), (0, 0))
        label = prompt[start:end]
        is_word = is_layout(label) and label[-1:] == ":" and label[:-1].isalpha()
        nouns.add(label[:-1].lower() if is_word and label.isascii() else "")
    noun = nouns.pop() if len(nouns) == 1 else ""
    return noun or "text"


def _quotable(records: Sequence[Record], labels: Sequence[str] = ()) -> QuotedTexts:
    """Every answer that no anchor may hold."""
    rows = (RowText(row.id, text) for row in records for text in row.all_references)
    return QuotedTexts([*rows, *(RowText(label, label) for label in labels)])


def _fits(text: str, *, max_characters: int, answers: QuotedTexts) -> bool:
    return _unfit(text, max_characters, answers) is None


def _unfit(text: str, max_characters: int, answers: QuotedTexts) -> str | None:
    if len(text) > max_characters:
        return f"has {len(text)} characters, and at most {max_characters} are asked for"
    if any(True for _ in answers.quoted_in(text)):
        return "contains a whole answer"
    return None


def _check_room(max_characters: int) -> None:
    if max_characters < MIN_CHARACTERS:
        raise ValueError(
            f"max_characters must be at least {MIN_CHARACTERS}; found {max_characters}"
        )
