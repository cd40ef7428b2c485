"""The pattern that short strings share, in words: `a capital letter, a digit and a hyphen`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

_MAX_PARTS = 6
_MAX_CHARACTERS = 40

_NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SIGNS = {
    "-": "hyphen",
    "_": "underscore",
    ".": "dot",
    ":": "colon",
    "/": "slash",
    "#": "hash sign",
    " ": "space",
    ",": "comma",
    "+": "plus sign",
    "%": "percent sign",
    "@": "at sign",
    "*": "star",
    "=": "equals sign",
}
_WORD_SHAPES = (
    (re.compile(r"[a-z]+(?:_[a-z]+)*"), "_", "lower-case words joined by underscores"),
    (re.compile(r"[A-Z]+(?:_[A-Z]+)*"), "_", "capitalised words joined by underscores"),
    (re.compile(r"[a-z]+(?:-[a-z]+)*"), "-", "lower-case words joined by hyphens"),
    (re.compile(r"[a-z]+(?:\.[a-z]+)*"), ".", "lower-case words joined by dots"),
)
_CAMEL_CASE = re.compile(r"(?:[A-Z][a-z]+){1,}")


def describe_pattern(texts: Sequence[str]) -> str | None:
    """What strings have in common, character by character, told by classes of characters.

    Characters are generalised to capital letters, lower-case letters and digits; where that is too
    narrow to letters and digits, and at last to `letters or digits`. Words alone have no pattern.

    Args:
        texts: The strings, at least two different ones for a pattern to be seen.

    Returns:
        `three letters and two digits`, or None if there is no such pattern or nobody would
        understand it.
    """
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < 2 or any(not text or len(text) > _MAX_CHARACTERS for text in distinct):
        return None
    has_digits = any(char.isdecimal() for text in distinct for char in text)
    for class_of in (_cased_class, _letter_class, *[_joint_class] * has_digits):
        runs = [_runs(text, class_of) for text in distinct]
        classes = [tuple(name for name, _ in run) for run in runs]
        if len(set(classes)) > 1 or len(classes[0]) > _MAX_PARTS:
            continue
        lengths = [
            (min(run[i][1] for run in runs), max(run[i][1] for run in runs))
            for i in range(len(classes[0]))
        ]
        if _tells_something(classes[0], lengths):
            return join_words([_part(*part) for part in zip(classes[0], lengths, strict=True)])
    return None


def describe_words(texts: Sequence[str]) -> str | None:
    """How names made of words are written: joined by underscores, hyphens, dots or capitals.

    Args:
        texts: The names.

    Returns:
        `lower-case words joined by underscores`, or None if they follow no such shape.
    """
    if not texts:
        return None
    for shape, joint, words in _WORD_SHAPES:
        if any(joint in text for text in texts) and all(map(shape.fullmatch, texts)):
            return words
    humps = [len(re.findall(r"[A-Z]", text)) for text in texts if _CAMEL_CASE.fullmatch(text)]
    if len(humps) == len(texts) and 2 * sum(count > 1 for count in humps) >= len(texts):
        return "capitalised words written together"
    return None


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Words as a list in a sentence: `a, b and c`.

    Args:
        words: The words, at least one.
        last: What stands before the last of them.
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def number_word(number: int) -> str:
    """A count in a sentence: a word up to ten, else digits."""
    return _NUMERALS[number] if 0 <= number < len(_NUMERALS) else str(number)


def _cased_class(char: str) -> str:
    if char.isdecimal():
        return "digit"
    if char.isalpha():
        return "capital letter" if char.isupper() else "lower-case letter"
    return char


def _letter_class(char: str) -> str:
    return "letter" if char.isalpha() else _cased_class(char)


def _joint_class(char: str) -> str:
    return "letter or digit" if char.isalpha() or char.isdecimal() else char


def _runs(text: str, class_of: Callable[[str], str]) -> list[tuple[str, int]]:
    return [(name, sum(1 for _ in run)) for name, run in groupby(text, class_of)]


def _tells_something(classes: Sequence[str], lengths: Sequence[tuple[int, int]]) -> bool:
    """Whether a pattern is more than `some letters`, and every part of it can be said."""
    if any(len(name) == 1 and name not in _SIGNS for name in classes):
        return False
    if "letter or digit" in classes:  # seen in any text: it must have one length
        return all(low == high for low, high in lengths) and sum(map(max, lengths)) > 1
    if "digit" in classes:
        return True
    # Without digits, capitals alone look like a code and not like words.
    is_code = not {"letter", "lower-case letter"} & set(classes)
    return is_code and all(low == high for low, high in lengths)


def _part(name: str, length: tuple[int, int]) -> str:
    low, high = length
    name = _SIGNS.get(name, name)
    many = "letters or digits" if name == "letter or digit" else f"{name}s"
    if low == high == 1:
        article = "an" if name[0] in "aeiou" else "a"
        return f"{article} {name}"
    if low == high:
        return f"{number_word(low)} {many}"
    return f"{number_word(low)} to {number_word(high)} {many}" if high <= 2 * low + 2 else many
