"""Skill families on words and sentences: copy, count, spell, change case, pick, replace."""

from __future__ import annotations

import random

from vocabulary import (
    ACTIONS,
    ADJECTIVES,
    ALL_WORDS,
    CATEGORIES,
    LONG_WORDS,
    NAMES,
    SCENES,
    THINGS,
    TOWNS,
    article,
    sentence,
    some_words,
)

Row = tuple[str, str]


def copy_quoted(rng: random.Random) -> Row:
    """Copy the quoted sentence exactly."""
    text = sentence(rng)
    ask = rng.choice(
        (
            "Copy the sentence in quotes exactly.\n{q}",
            "Write out this line again without any change: {q}",
            "Repeat the quoted words as they stand.\n{q}",
            "{q}\nType the same sentence once more, without the quotes.",
            "Echo what stands between the quotation marks: {q}",
        )
    )
    return ask.format(q=f'"{text}"'), text


def count_words(rng: random.Random) -> Row:
    """Count the words of a line."""
    words = some_words(rng, 3, 9)
    ask = rng.choice(
        (
            "How many words are in this line?\n{t}",
            "Count the words: {t}",
            "{t}\nSay how many words there are. Digits only.",
            "Give the number of words in the following line as a figure.\n{t}",
        )
    )
    return ask.format(t=" ".join(words)), str(len(words))


def count_letter(rng: random.Random) -> Row:
    """Count one letter in a word."""
    word = rng.choice(LONG_WORDS)
    letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("aeioust")
    ask = rng.choice(
        (
            'How often does the letter "{l}" occur in "{w}"?',
            'Count the letter {l} in the word "{w}".',
            'In "{w}", how many times do you see "{l}"?',
            "Word: {w}\nLetter: {l}\nNumber of times:",
        )
    )
    return ask.format(w=word, l=letter), str(word.count(letter))


def spell_out(rng: random.Random) -> Row:
    """Spell a word with hyphens or spaces between the letters."""
    word = rng.choice(ALL_WORDS)
    sign, name = rng.choice((("-", "hyphens"), (" ", "spaces"), ("/", "slashes")))
    ask = rng.choice(
        (
            'Spell "{w}" with {n} between the letters.',
            "Write the letters of the word {w} one by one, with {n} between them.",
            "Put {n} between all letters of this word: {w}",
            'Take "{w}" apart into letters, separated by {n}.',
        )
    )
    return ask.format(w=word, n=name), sign.join(word)


def join_letters(rng: random.Random) -> Row:
    """Join spelled letters to a word."""
    word = rng.choice(ALL_WORDS)
    letters = rng.choice((" ", "-", ", ")).join(word)
    ask = rng.choice(
        (
            "Which word do these letters make, in this order? {l}",
            "Join the letters to one word: {l}",
            "{l}\nWrite it as a single word.",
            "Read the letters together and write the word.\n{l}",
        )
    )
    return ask.format(l=letters), word


def change_case(rng: random.Random) -> Row:
    """Write a phrase in capitals, in small letters or with initial capitals."""
    text = sentence(rng).rstrip(".")
    kind = rng.choice(("upper", "lower", "title"))
    asks = {
        "upper": (
            "Write this in capital letters: {t}",
            "Turn every letter into a capital.\n{t}",
            "Make the line all upper case: {t}",
            "{t}\nThe same, in capitals please.",
        ),
        "lower": (
            "Write this in small letters only: {t}",
            "Turn every letter into a small one.\n{t}",
            "Make the line all lower case: {t}",
            "{t}\nThe same, without any capital.",
        ),
        "title": (
            "Start every word with a capital letter: {t}",
            "Give each word a capital at its beginning.\n{t}",
            "Write the line as a headline, each word with a capital: {t}",
            "{t}\nCapitalise the first letter of all words.",
        ),
    }
    shown = text.lower() if kind != "lower" else text.upper()
    answers = {"upper": text.upper(), "lower": text.lower(), "title": text.lower().title()}
    return rng.choice(asks[kind]).format(t=shown), answers[kind]


def acronym(rng: random.Random) -> Row:
    """Make an acronym of the first letters."""
    words = [word.title() for word in some_words(rng, 3, 5)]
    name = " ".join(words)
    ask = rng.choice(
        (
            "Make an acronym from the first letters of: {n}",
            'What is the short form of "{n}" if you take the initials?',
            "{n}\nWrite the initial letters as one abbreviation.",
            "Abbreviate the name {n} by its initials.",
        )
    )
    return ask.format(n=name), "".join(word[0] for word in words)


def pick_word(rng: random.Random) -> Row:
    """Give the first, last or a numbered word of a sentence."""
    text = sentence(rng)
    words = text.rstrip(".").split()
    place, index = rng.choice(
        (("first", 0), ("last", -1), ("second", 1), ("third", 2), ("last but one", -2))
    )
    ask = rng.choice(
        (
            "What is the {p} word of this sentence?\n{t}",
            "Give only the {p} word: {t}",
            "{t}\nName the {p} word.",
            "Write down the {p} word of the line below.\n{t}",
        )
    )
    return ask.format(p=place, t=text), words[index]


def replace_word(rng: random.Random) -> Row:
    """Replace one word of a sentence by another."""
    old, new = rng.sample(THINGS, 2)
    text = f"{rng.choice(NAMES)} {rng.choice(ACTIONS)} the {old} {rng.choice(SCENES)}."
    ask = rng.choice(
        (
            'Replace "{o}" with "{n}" in this sentence: {t}',
            "Write the sentence again with {n} in place of {o}.\n{t}",
            'Swap the word "{o}" for "{n}".\n{t}',
            "{t}\nExchange {o} for {n} and leave the rest alone.",
        )
    )
    return ask.format(o=old, n=new, t=text), text.replace(old, new)


def drop_word(rng: random.Random) -> Row:
    """Remove the adjective a request names."""
    adjective = rng.choice(ADJECTIVES)
    parts = (rng.choice(NAMES), rng.choice(ACTIONS), "the", adjective, rng.choice(THINGS))
    text = " ".join(parts) + f" {rng.choice(SCENES)}."
    ask = rng.choice(
        (
            'Delete the word "{a}" from this sentence: {t}',
            "Leave out {a} and write the rest.\n{t}",
            '{t}\nGive the sentence without "{a}".',
            "Strike the word {a} from the line below.\n{t}",
        )
    )
    return ask.format(a=adjective, t=text), text.replace(f"{adjective} ", "", 1)


def unscramble(rng: random.Random) -> Row:
    """Put mixed letters in order; the kind of word is given."""
    kind = rng.choice([k for k in CATEGORIES if k not in ("clothes", "furniture")])
    word = rng.choice([w for w in CATEGORIES[kind] if 3 < len(w) < 8])
    letters = list(word)
    while "".join(letters) == word:
        rng.shuffle(letters)
    ask = rng.choice(
        (
            'The letters "{l}" are mixed up. Which word from the list is it? {c}',
            'Unscramble "{l}". One of these: {c}',
            "Which of these words has the letters {l}? {c}",
            "{c}\nWhich one do you get from the letters {l}?",
        )
    )
    choices = [word, *rng.sample([w for w in CATEGORIES[kind] if sorted(w) != sorted(word)], 3)]
    rng.shuffle(choices)
    return ask.format(l="".join(letters), c=", ".join(choices)), word


def extract_detail(rng: random.Random) -> Row:
    """Find the person, the town or the number in a sentence."""
    name, town, thing = rng.choice(NAMES), rng.choice(TOWNS), rng.choice(THINGS)
    number = rng.randint(21, 980)
    text = rng.choice(
        (
            f"In {town}, {name} won {article(thing)} with lot number {number}.",
            f"{name} from {town} showed {article(thing)} to {number} visitors.",
            f"{article(thing).capitalize()} with the number {number} was left by {name} in {town}.",
            f"{name} drove {number} miles to {town} to see {article(thing)}.",
        )
    )
    wanted, answer = rng.choice((("person", name), ("town", town), ("number", str(number))))
    ask = rng.choice(
        (
            "Find the {w} in this sentence: {t}",
            "{t}\nWhich {w} is mentioned?",
            "Extract only the {w}.\n{t}",
            "{t}\nFrom this, give just the {w}.",
        )
    )
    return ask.format(w=wanted, t=text), answer


def rewrite_by_rule(rng: random.Random) -> Row:
    """Rewrite a plain sentence by a given rule of form."""
    name, thing, scene = rng.choice(NAMES), rng.choice(THINGS), rng.choice(SCENES)
    kind = rng.choice(("negate", "place_first", "future"))
    verb, past = rng.choice(
        (("paint", "painted"), ("find", "found"), ("sell", "sold"), ("wash", "washed"))
    )
    text = f"{name} {past} the {thing} {scene}."
    asks = {
        "negate": (
            'Make this sentence negative with "did not": {t}',
            'Say the opposite, using "did not".\n{t}',
            '{t}\nTurn it into a "did not" sentence.',
            'Deny the statement; use the words "did not".\n{t}',
        ),
        "place_first": (
            "Move the place to the front of the sentence: {t}",
            "Begin the sentence with where it happened.\n{t}",
            "{t}\nWrite it so that the place comes first.",
            "Put the location before everything else: {t}",
        ),
        "future": (
            'Put the sentence into the future with "will": {t}',
            'Write this as something to come, using "will".\n{t}',
            "{t}\nNow with will instead of the past.",
            'Change the past tense to "will": {t}',
        ),
    }
    answers = {
        "negate": f"{name} did not {verb} the {thing} {scene}.",
        "place_first": f"{scene[0].upper()}{scene[1:]}, {name} {past} the {thing}.",
        "future": f"{name} will {verb} the {thing} {scene}.",
    }
    return rng.choice(asks[kind]).format(t=text), answers[kind]


FAMILIES = (
    copy_quoted, count_words, count_letter, spell_out, join_letters, change_case, acronym,
    pick_word, replace_word, drop_word, unscramble, extract_detail, rewrite_by_rule,
)  # fmt: skip
