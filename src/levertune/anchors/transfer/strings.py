"""Kinds of task that rewrite a few words by a rule about letters, words or marks."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from levertune.anchors.transfer.draft import Draft, close, join
from levertune.anchors.transfer.words import NAMES, draw_words

_JOINTS = {
    "an underscore": "_", "a hyphen": "-", "a full stop": ".", "a slash": "/", "nothing": "",
    "a plus sign": "+", "two colons": "::", "a vertical bar": "|",
}  # fmt: skip
_CASES = {
    "in small letters": str.lower,
    "in capitals": str.upper,
    "each with a capital first letter": str.capitalize,
}
_BRACKETS = ("()", "[]", "{}", "<>", "**", "__", "~~", "##")


def _phrase(row: Random, low: int = 3, high: int = 5) -> str:
    return " ".join(draw_words(row, low, high))


def make_joined_words(rng: Random) -> Draft:
    """Words joined by a sign, in a case, perhaps behind a prefix."""
    joint_words, joint = rng.choice(list(_JOINTS.items()))
    case_words, case = rng.choice(list(_CASES.items()))
    prefix = rng.choice(("", "", "id=", "@", "v1:", "x-", "~"))
    behind = f", and put {prefix!r} in front of the whole" if prefix else ""
    anchor = rng.choice(
        (
            f"Make one name of these words: write them {case_words}, joined by {joint_words}"
            f"{behind}.",
            f"Join the words with {joint_words} between them, {case_words}{behind}.",
            f"Turn the phrase into an identifier. Its words stand {case_words} with {joint_words} "
            f"between them{behind}.",
        )
    )
    return Draft(
        anchor + close(rng, "the name"),
        (joint, case_words, prefix),
        _phrase,
        lambda prompt: prefix + joint.join(map(case, prompt.split())),
    )


def make_marked_word(rng: Random) -> Draft:
    """A phrase with one of its words between marks."""
    which = {
        "the first word": lambda words: 0,
        "the second word": lambda words: 1,
        "the last word": lambda words: len(words) - 1,
        "the longest word (the first of several)": lambda words: max(
            range(len(words)), key=lambda i: len(words[i])
        ),
        "the shortest word (the first of several)": lambda words: min(
            range(len(words)), key=lambda i: len(words[i])
        ),
        "the word that comes first in the alphabet": lambda words: words.index(min(words)),
    }
    named, find = rng.choice(list(which.items()))
    marks = rng.choice(_BRACKETS)
    opening, closing = marks[0], marks[1]
    anchor = rng.choice(
        (
            f"Copy the phrase and put {named} between {opening} and {closing}.",
            f"Repeat the words as they are, but write {opening} before and {closing} behind "
            f"{named}.",
            f"Mark {named} of the phrase: {opening} in front of it, {closing} after it. Change no "
            "other word.",
        )
    )

    def answer(prompt: str) -> str:
        words = prompt.split()
        place = find(words)
        words[place] = f"{opening}{words[place]}{closing}"
        return " ".join(words)

    return Draft(anchor, (named, opening + closing), _phrase, answer)


def make_dropped_words(rng: Random) -> Draft:
    """A phrase without those of its words that a rule names."""
    form, number = rng.randrange(4), rng.choice((4, 5, 6))
    letters = "".join(sorted(rng.sample("abcdefghlmoprstw", 4)))
    named = (
        f"words of fewer than {number} letters",
        f"words of more than {number} letters",
        f"words that begin with {join(list(letters), 'or')}",
        f"words that have {join(list(letters[:2]), 'or')} in them",
    )[form]

    def is_dropped(word: str) -> bool:
        return (
            len(word) < number,
            len(word) > number,
            word[0] in letters,
            bool(set(word) & set(letters[:2])),
        )[form]

    anchor = rng.choice(
        (
            f"Leave out all {named} and keep the others in their order.",
            f"Copy the list of words without {named}.",
            f"Strike the {named}; what is left stays as it is, with single spaces.",
        )
    )

    def answer(prompt: str) -> str:
        return " ".join(word for word in prompt.split() if not is_dropped(word))

    def draw(row: Random) -> str:
        while True:
            phrase = _phrase(row, 4, 7)
            if answer(phrase) not in ("", phrase):
                return phrase

    return Draft(anchor + close(rng, "the words"), (named,), draw, answer)


def make_swapped_letters(rng: Random) -> Draft:
    """Some letters replaced by signs."""
    letters = rng.sample("aeiorslnt", rng.choice((2, 3)))
    signs = rng.sample("3479@$%&*+=!", len(letters))
    table = dict(zip(letters, signs, strict=True))
    cipher = str.maketrans("".join(letters), "".join(signs))
    listed = join([f"{letter} becomes {sign}" for letter, sign in table.items()])
    anchor = rng.choice(
        (
            f"Write the words in our cipher: {listed}; every other letter stays.",
            f"Replace letters and change nothing else: {listed}.",
            f"Spell the phrase with signs for some letters. In it {listed}.",
        )
    )
    return Draft(
        anchor,
        tuple(sorted(table.items())),
        lambda row: _phrase(row, 2, 4),
        lambda prompt: prompt.translate(cipher),
    )


def make_initials(rng: Random) -> Draft:
    """The first or last letters of words."""
    mark = rng.choice(("", ".", "-", " ", "/"))
    end, place = rng.choice((("first", 0), ("last", -1)))
    case_words, case = rng.choice((("capitals", str.upper), ("small letters", str.lower)))
    is_reversed = rng.random() < 0.4
    order = "from the last word to the first" if is_reversed else "in the order of the words"
    between = f"with {mark!r} between them" if mark.strip() else (
        "with a space between them" if mark else "without anything between them"
    )  # fmt: skip
    anchor = rng.choice(
        (
            f"Give the {end} letter of each word in {case_words}, {order}, {between}.",
            f"Shorten the phrase to the {end} letters of its words: {case_words}, {order}, "
            f"{between}.",
            f"Make an abbreviation. Take each word's {end} letter {order} and write them in "
            f"{case_words} {between}.",
        )
    )

    def answer(prompt: str) -> str:
        found = [case(word[place]) for word in prompt.split()]
        return mark.join(found[::-1] if is_reversed else found)

    return Draft(anchor, (mark, end, case_words, is_reversed), lambda r: _phrase(r, 3, 6), answer)


def make_word_order(rng: Random) -> Draft:
    """The same words in another order, with a sign between them."""
    orders: dict[str, Callable[[list[str]], list[str]]] = {
        "in reverse order": lambda words: words[::-1],
        "in the order of the alphabet": sorted,
        "from Z to A": lambda words: sorted(words, reverse=True),
        "from the shortest to the longest (of equal length in the order given)": lambda words: (
            sorted(words, key=len)
        ),
        "with the first word moved to the end": lambda words: words[1:] + words[:1],
        "with the last word moved to the front": lambda words: words[-1:] + words[:-1],
    }
    named, arrange = rng.choice(list(orders.items()))
    joint_words, joint = rng.choice(
        (("a comma and a space", ", "), ("a slash", "/"), ("an arrow (->)", "->"), ("a space", " "),
         ("a semicolon", ";"))
    )  # fmt: skip
    anchor = rng.choice(
        (
            f"Write these words {named}, separated by {joint_words}.",
            f"Put the words into another order: {named}. Between them stands {joint_words}.",
            f"Rearrange the list {named} and separate the words by {joint_words}.",
        )
    )
    return Draft(
        anchor, (named, joint), _phrase, lambda prompt: joint.join(arrange(prompt.split()))
    )


def make_masked_number(rng: Random) -> Draft:
    """A number with all but some of its digits hidden."""
    sign, kept = rng.choice("*x#?_."), rng.choice((1, 2, 3, 4))
    end = rng.choice(("first", "last"))
    what = rng.choice(("member", "meter", "account", "licence", "badge"))
    digits = f"{kept} digits" if kept > 1 else "digit"
    anchor = rng.choice(
        (
            f"Hide the {what} number: keep the {end} {digits} and write {sign} for each of the "
            "other digits. The rest of the text stays.",
            f"Repeat the text with {sign} in the place of every digit of the {what} number except "
            f"the {end} {digits}.",
            f"Mask each {what} number with {sign}, one for a digit; only the {end} {digits} may be "
            "seen.",
        )
    )

    def mask(match: re.Match[str]) -> str:
        text = match[0]
        hidden = sign * (len(text) - kept)
        return text[:kept] + hidden if end == "first" else hidden + text[-kept:]

    def draw(row: Random) -> str:
        number = "".join(row.choice("0123456789") for _ in range(row.randint(6, 9)))
        name = row.choice(NAMES)
        return row.choice((f"{name}, {what} number {number}", f"{what} {number} ({name})",
                           f"{name} called about {what} {number}."))  # fmt: skip

    return Draft(anchor, (sign, kept, end, what), draw, lambda prompt: re.sub(r"\d+", mask, prompt))


def make_affixed_words(rng: Random) -> Draft:
    """Words that each get a beginning or an ending."""
    affix = rng.choice(("ka", "zu", "mo", "ri", "pel", "ton", "ix", "um"))
    where = rng.choice(("front", "end"))
    which = rng.choice(("every word", "every word of more than five letters", "the last word"))
    place = "before" if where == "front" else "after"
    anchor = rng.choice(
        (
            f"Write {affix!r} {place} {which} without a space; all else stays as it is.",
            f"Speak our secret language: {which} has {affix!r} added at its {where}.",
            f"Copy the words and attach {affix!r} to the {where} of {which}.",
        )
    )

    def answer(prompt: str) -> str:
        words = prompt.split()
        for i, word in enumerate(words):
            is_meant = (
                which == "every word"
                or (which == "the last word" and i == len(words) - 1)
                or (which.startswith("every word of") and len(word) > 5)
            )
            if is_meant:
                words[i] = affix + word if where == "front" else word + affix
        return " ".join(words)

    return Draft(anchor, (affix, where, which), _phrase, answer)


def make_letter_count(rng: Random) -> Draft:
    """How often something stands in a phrase."""
    letter = rng.choice("aeilnorst")
    counted = {
        f"the letter {letter}": lambda text: text.count(letter),
        "vowels (a, e, i, o, u)": lambda text: sum(text.count(v) for v in "aeiou"),
        "letters": lambda text: sum(map(str.isalpha, text)),
        "words": lambda text: len(text.split()),
        "words of more than four letters": lambda text: sum(len(w) > 4 for w in text.split()),
    }
    named, count = rng.choice(list(counted.items()))
    form = rng.choice(("{}", "n={}", "({})", "{} in all", "count: {}", "{}x"))
    shown = f", written as {form.format('N')} where N is the number" if form != "{}" else ""
    anchor = rng.choice(
        (
            f"Count {named} in the phrase and give the number{shown}.",
            f"How many times do {named} occur here? Answer with the number{shown}."
            if not named.startswith("the letter")
            else f"How many times does {named} occur here? Answer with the number{shown}.",
            f"Give the number of {named} in the text{shown}."
            if not named.startswith("the letter")
            else f"Give the number of times that {named} stands in the text{shown}.",
        )
    )
    return Draft(anchor, (named, form), _phrase, lambda prompt: form.format(count(prompt)))
