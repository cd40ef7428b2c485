"""The form that the answers of a task share, in words: how long, in what layout, what is copied."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from statistics import median

from levertune.anchors.patterns import describe_pattern, join_words, number_word
from levertune.anchors.pieces import (
    QUESTION_MARKS,
    SCRIPT_MARKS,
    SENTENCE_MARKS,
    count_words,
    piece_spans,
)
from levertune.data.row_texts import bare_text, normalize_text

# Some rows of any file are odd; what nearly all show is a property of the task.
NEARLY_ALL = 0.95

_MIN_ROWS = 3
_LONG_WORDS = 8
_MAX_FIXED = 6
_MAX_VOCABULARY = 16
_MIN_SEEN_PER_WORD = 4
_MIN_OPENING_WORDS = 3
_MAX_OPENING = 60
_COPIED_SHARE = 0.6
_KEPT_SHARE = 0.5
_MAX_NEW = 5
_MIN_SHARE_OF_NEW = 0.8
_MIN_COPIED_WORDS = 3

# A line as programs have them, whatever the language.
_PROGRAM = re.compile(
    r"^[^\S\n]*(?:(?:async )?def \w+\(|class \w+.*[:{]$|import [\w.]+;?$|from [\w.]+ import "
    r"|#include\b|(?:export )?(?:function|fn|func) \w+|(?:const|let|var) \w+ ?="
    r"|(?:public|private|static) \w+|SELECT .+ FROM |[^;\n]*[=(][^;\n]*;$|[^\n]*\) ?\{$)",
    re.MULTILINE,
)

_QUOTE_MARKS = "\"'\u2019\u201d)]"
_NUMBER = r"[-+]?\d+(?:[.,]\d+)*%?"
_WHOLE = re.compile(r"[-+]?\d+(?:,\d{3})*")
_DECIMAL = re.compile(r"[-+]?\d+(?:,\d{3})*\.(\d+)")
_NUMBER_ITEM = re.compile(r"[-+]?\d+(?:\.\d+)?%?")
# Letters and signs before the first digit tell one kind of notation from another.
_NOTATION = re.compile(r"((?:[^\W\d]{1,8}[^\w\s.,;!?'\"]|[^\w\s.,;!?'\"(]))(?=\w)\S*\w")
_BULLETS = (
    (re.compile(r"[-*\u2022] \S.*"), "bulleted"),
    (re.compile(r"\d+[.)] \S.*"), "numbered"),
)
_SEPARATORS = ((",", "commas"), (";", "semicolons"), ("|", "vertical bars"), (" ", "spaces"))


def describe_form(answers: Sequence[str]) -> str | None:
    """What the answers are, as it stands after `Answer with`.

    Args:
        answers: The answers, stripped.

    Returns:
        `one word`, `numbers separated by commas`, `one sentence of about 20 words`, …, or None if
        they share no form.
    """
    if not answers or not all(answers):
        return None
    listed = _describe_list(answers)
    if listed:
        return listed
    lines = [text.count("\n") + 1 for text in answers]
    if max(lines) > 1:
        if min(lines) == max(lines):
            return f"{number_word(lines[0])} lines"
        return "several lines" if min(lines) > 1 else None
    words = [count_words(text) for text in answers]
    if max(words) == 1:
        return _one_item(answers)
    if _nearly_all(answers, _is_sentence):
        asks = _nearly_all(answers, lambda text: text[-1] in QUESTION_MARKS)
        return f"one {'question' if asks else 'sentence'}{_length(words)}"
    sentences = [_count_sentences(text) for text in answers]
    if min(sentences) > 1:
        count = number_word(sentences[0]) if min(sentences) == max(sentences) else "several"
        return f"{count} sentences{_length(words)}"
    if min(words) == max(words) <= _MAX_FIXED:
        return f"{number_word(words[0])} words"
    if max(words) <= _MAX_FIXED:
        return f"at most {number_word(max(words))} words"
    return f"one line{_length(words)}"


def describe_number(answers: Sequence[str]) -> str:
    """What kind of number the answers are.

    Args:
        answers: The answers, stripped.
    """
    if answers and all(map(_WHOLE.fullmatch, answers)):
        return "a whole number"
    decimals = {len(match[1]) if (match := _DECIMAL.fullmatch(text)) else 0 for text in answers}
    if len(decimals) == 1 and (count := decimals.pop()):
        return f"a number with {number_word(count)} decimal{'s' * (count > 1)}"
    if answers and all(text.endswith("%") for text in answers):
        return "a number followed by a percent sign"
    return "a number"


def are_programs(answers: Sequence[str]) -> bool:
    """Whether nearly all answers hold a line as only programs have it.

    Args:
        answers: The answers, stripped.
    """
    return bool(answers) and _nearly_all(answers, lambda text: bool(_PROGRAM.search(text)))


def describe_vocabulary(answers: Sequence[str]) -> str | None:
    """The few words that all answers are made of, where each comes back often and none is prose.

    Args:
        answers: The answers, stripped.
    """
    counts: dict[str, int] = {}
    for text in answers:
        for word in text.split():
            counts[word] = counts.get(word, 0) + 1
        if len(counts) > _MAX_VOCABULARY:
            return None
    total = sum(counts.values())
    if len(counts) < 2 or total < _MIN_SEEN_PER_WORD * len(counts) or total < 2 * len(answers):
        return None
    return join_words(sorted(counts, key=lambda word: -counts[word]))


def describe_style(answers: Sequence[str]) -> list[str]:
    """What is to be kept to besides the form: an opening, the case, a final mark.

    Args:
        answers: The answers, stripped.

    Returns:
        Instructions, a sentence each, the most useful first.
    """
    if len(answers) < _MIN_ROWS or not all(answers):
        return []
    said = []
    opening = _shared_opening(answers)
    if opening:
        said.append(f'Begin with "{opening}".')
    cased = [text for text in answers if text.lower() != text.upper()]
    if not opening and len(cased) >= NEARLY_ALL * len(answers):
        if _nearly_all(cased, str.islower):
            said.append("Use lower case only.")
        elif _nearly_all(cased, str.isupper):
            said.append("Use capital letters only.")
    wordy = median(count_words(text) for text in answers) >= _LONG_WORDS / 2
    if wordy and max(text.count("\n") for text in answers) == 0:
        ends = sum(text.rstrip(_QUOTE_MARKS)[-1:] in tuple(SENTENCE_MARKS) for text in answers)
        if ends <= (1 - NEARLY_ALL) * len(answers):
            said.append("Put no mark at the end.")
    return said


def describe_copying(answers: Sequence[str], prompts: Sequence[str]) -> str | None:
    """How the answers' words relate to those of the prompts, as it stands after their form.

    Args:
        answers: The answers, stripped.
        prompts: The prompt of each.

    Returns:
        `copied word for word from`, `that keeps most words of`, `made mostly of words of`, each to
        be followed by what the prompt is called; None if they are words of their own.
    """
    pairs = list(zip(answers, prompts, strict=True))
    if len(pairs) < _MIN_ROWS:
        return None
    copied = sum(_bare(answer) in _bare(prompt) for answer, prompt in pairs)
    if copied >= NEARLY_ALL * len(pairs):
        return "copied word for word from"
    words = [(set(_words(a)), set(_words(p))) for a, p in pairs]
    words = [(answer, prompt) for answer, prompt in words if answer and prompt]
    if not words or median(len(answer) for answer, _ in words) < _MIN_COPIED_WORDS:
        return None
    if median(len(a & p) / len(a) for a, p in words) < _COPIED_SHARE:
        return None
    if median(len(a & p) / len(p) for a, p in words) >= _KEPT_SHARE:
        return "that keeps most words of"
    return "made mostly of words of"


def describe_new_words(answers: Sequence[str], prompts: Sequence[str]) -> str | None:
    """Examples of the notation that answers add to the words they copy, if nearly all add some.

    Args:
        answers: The answers, stripped.
        prompts: The prompt of each.

    Returns:
        `M:5.80p, D:05.09 and T:13:40`, one of each kind, or None.
    """
    kinds: dict[str, list[str]] = {}
    num_with = num_words = 0
    for answer, prompt in zip(answers, prompts, strict=True):
        known = set(_words(prompt))
        new = [word for word in answer.split() if bare_text(normalize_text(word)) not in known]
        formal = [
            (match[1], word.rstrip(".,;!?")) for word in new if (match := _NOTATION.match(word))
        ]
        num_with += bool(formal)
        num_words += len(formal)
        for opening, word in formal:
            kinds.setdefault(opening, []).append(word)
    most = sorted(kinds.values(), key=lambda words: -len(words))[:_MAX_NEW]
    covered = sum(map(len, most))
    if not num_with or num_with < NEARLY_ALL * len(answers) or len(answers) < _MIN_ROWS:
        return None
    if covered < _MIN_SHARE_OF_NEW * num_words or covered < _MIN_SEEN_PER_WORD * len(most):
        return None
    return join_words([words[0] for words in most])


def _describe_list(answers: Sequence[str]) -> str | None:
    for shape, name in _BULLETS:
        if all(all(map(shape.fullmatch, text.splitlines())) for text in answers) and any(
            "\n" in text for text in answers
        ):
            return f"a {name} list, one item a line"
    if any("\n" in text for text in answers):
        every_line = [line for text in answers for line in text.splitlines()]
        if all(map(_NUMBER_ITEM.fullmatch, every_line)):
            return "numbers, one a line"
        return None
    for mark, name in _SEPARATORS:
        parts = [[part.strip() for part in text.split(mark)] for text in answers]
        if 2 * sum(len(items) > 1 for items in parts) <= len(parts):
            continue
        if all(_NUMBER_ITEM.fullmatch(item) for items in parts for item in items):
            lengths = {len(items) for items in parts}
            count = f"{number_word(lengths.pop())} " if len(lengths) == 1 else ""
            return f"{count}numbers separated by {name}"
        if mark == " " or any(text[-1] in SENTENCE_MARKS for text in answers):
            continue
        if all(0 < len(item.split()) <= _MIN_COPIED_WORDS for items in parts for item in items):
            return f"items separated by {name}"
    return None


def _one_item(answers: Sequence[str]) -> str:
    if all(map(_NUMBER_ITEM.fullmatch, answers)):
        return describe_number(answers)
    pattern = describe_pattern(answers)
    if pattern:
        return f"a code of {pattern}"
    spaced = all(" " not in text for text in answers)
    is_word = all(text.strip(SENTENCE_MARKS).replace("-", "").isalpha() for text in answers)
    return "one word" if spaced and is_word else "one short item"


def _is_sentence(text: str) -> bool:
    return text.rstrip(_QUOTE_MARKS)[-1:] in tuple(SENTENCE_MARKS) and _count_sentences(text) == 1


def _count_sentences(text: str) -> int:
    return sum(text[end - 1] not in ":\uff1a" for _, end in piece_spans(text))


def _length(words: Sequence[int]) -> str:
    middle = median(words)
    if middle < _LONG_WORDS or len(words) < _MIN_ROWS:
        return ""
    step = 1 if middle < 15 else 5 if middle < 50 else 10 if middle < 200 else 50
    return f" of about {max(step, round(middle / step) * step)} words"


def _shared_opening(answers: Sequence[str]) -> str:
    """The words that open every answer, up to the last white space, if any are worth saying."""
    common = os.path.commonprefix(list(answers))
    if len(set(answers)) < _MIN_ROWS or '"' in common or "\n" in common:
        return ""
    cut = max((i for i, char in enumerate(common) if char.isspace()), default=-1)
    opening = common[: cut + 1].rstrip()
    if ": " in opening:  # what follows a lead-in is already the answer
        opening = opening[: opening.rindex(": ") + 1]
    lasting = count_words(opening) >= _MIN_OPENING_WORDS or opening.endswith(":")
    return opening if lasting and len(opening) <= _MAX_OPENING else ""


def _nearly_all(texts: Sequence[str], test: Callable[[str], bool]) -> bool:
    return sum(map(test, texts)) >= NEARLY_ALL * len(texts)


def _words(text: str) -> list[str]:
    return bare_text(normalize_text(text)).split()


def _bare(text: str) -> str:
    return bare_text(normalize_text(text)).strip(f".,;:!? {SCRIPT_MARKS}")
