"""Kinds of task whose answer is a label: by topic, by opinion, by threshold, of two parts."""

from __future__ import annotations

import re
from random import Random

from levertune.anchors.transfer.draft import Draft, Rewrite, close, join
from levertune.anchors.transfer.words import (
    DOMAINS,
    NAMES,
    THINGS,
    draw_labels,
    draw_note,
    names,
)

_STYLES: dict[str, Rewrite] = {
    "": str,
    " in capitals": str.upper,
    " with a capital first letter": str.capitalize,
    " in square brackets": "[{}]".format,
    " behind a hash sign": "#{}".format,
    " followed by a full stop": "{}.".format,
}


def make_topic_word(rng: Random) -> Draft:
    """A note, answered with the topic it is about, written in a certain way."""
    domain = rng.choice(list(DOMAINS))
    topics = rng.sample(list(DOMAINS[domain]), rng.choice((3, 4)))
    words, style = rng.choice(list(_STYLES.items()))
    anchor = rng.choice(
        (
            f"Sort the notes of a {domain}: say whether a note is about {join(topics, 'or')}. "
            f"Write the topic as one word{words}.",
            f"Name the topic of this note from a {domain}, which is {join(topics, 'or')}; the word "
            f"stands{words or ' as it is here'}.",
            f"Which of {join(topics)} does the note from the {domain} belong to? "
            f"Reply with that one word{words}.",
        )
    )

    def answer(prompt: str) -> str:
        return style(_topic_of(prompt, domain, topics))

    return Draft(
        anchor + close(rng, "the topic"),
        (domain, tuple(sorted(topics)), words),
        lambda row: draw_note(row, DOMAINS[domain][row.choice(topics)]),
        answer,
    )


def make_topic_code(rng: Random) -> Draft:
    """A note, answered with the made-up code of its topic."""
    domain = rng.choice(list(DOMAINS))
    topics = rng.sample(list(DOMAINS[domain]), rng.choice((3, 4)))
    codes = dict(zip(topics, draw_labels(rng, len(topics)), strict=True))
    listed = [f"{code} for {topic}" for topic, code in codes.items()]
    anchor = rng.choice(
        (
            f"Give each note from the {domain} its code: {join(listed)}.",
            f"The {domain} files its notes by code. Find what the note is about and write "
            f"{join(listed)}.",
            f"Label the note with one code. At this {domain} the codes are {join(listed)}.",
        )
    )
    return Draft(
        anchor + close(rng, "the code"),
        (domain, tuple(sorted(codes.items()))),
        lambda row: draw_note(row, DOMAINS[domain][row.choice(topics)]),
        lambda prompt: codes[_topic_of(prompt, domain, topics)],
    )


def make_mention(rng: Random) -> Draft:
    """Whether a note is about one topic, answered with one of two words."""
    domain = rng.choice(list(DOMAINS))
    topics = list(DOMAINS[domain])
    topic = rng.choice(topics)
    others = [other for other in topics if other != topic]
    pairs = (
        ("yes", "no"), ("keep", "drop"), ("1", "0"), ("T", "F"), ("ours", "theirs"),
        ("+", "-"), ("read", "skip"), ("in", "out"), ("match", "other"), ("true", "false"),
    )  # fmt: skip
    yes, no = rng.choice(pairs)
    anchor = rng.choice(
        (
            f"Does this note from the {domain} concern the {topic}? Write {yes} if it does and "
            f"{no} if it is about anything else.",
            f"Answer {yes} for every {domain} note about the {topic}, and {no} for all others.",
            f"Decide whether the note belongs to the {topic} of the {domain}: {yes} or {no}, where "
            f"{no} means that it is about something else.",
        )
    )

    def draw(row: Random) -> str:
        chosen = topic if row.random() < 0.5 else row.choice(others)
        return draw_note(row, DOMAINS[domain][chosen])

    return Draft(
        anchor,
        (domain, topic, yes, no),
        draw,
        lambda prompt: yes if _topic_of(prompt, domain, topics) == topic else no,
    )


_GRADES = (
    ("awful", "dreadful", "useless", "a disaster", "terrible"),
    ("poor", "disappointing", "weak", "rather dull", "below what I hoped"),
    ("acceptable", "ordinary", "so-so", "neither good nor bad", "passable"),
    ("good", "pleasant", "solid", "well made", "nice"),
    ("brilliant", "superb", "perfect", "a marvel", "outstanding"),
)
_OPINIONS = (
    "The {} was {}.",
    "My verdict on the {}: {}.",
    "We tried the {} for a week and found it {}.",
    "{}? In one word, {}.",
    "After all the talk, the {} turned out {}.",
    "I can only call the {} {}.",
)
_SCALES = (
    ("bad", "middling", "good"), ("down", "level", "up"), ("red", "amber", "green"),
    ("minus", "zero", "plus"), ("C", "B", "A"), ("unhappy", "neutral", "happy"), ("-1", "0", "+1"),
    ("low", "mid", "high"), ("reject", "discuss", "accept"), ("loss", "draw", "win"),
    ("1", "2", "3", "4", "5"), ("v", "vv", "vvv", "vvvv", "vvvvv"), ("E", "D", "C", "B", "A"),
    ("--", "-", "=", "+", "++"), ("worst", "worse", "medium", "better", "best"),
    ("sour", "sweet"), ("thumbs down", "thumbs up"), ("return", "buy"), ("N", "P"), ("no", "yes"),
    ("cold", "warm"), ("against", "for"),
)  # fmt: skip


def make_opinion(rng: Random) -> Draft:
    """An opinion, answered with its place on a scale."""
    scale = rng.choice(_SCALES)
    grades = {2: (0, 1, 3, 4), 3: (0, 1, 2, 3, 4), 5: (0, 1, 2, 3, 4)}[len(scale)]
    place = {2: (0, 0, 0, 1, 1), 3: (0, 0, 1, 2, 2), 5: (0, 1, 2, 3, 4)}[len(scale)]
    meaning = {
        2: "{} if the writer did not like the thing, {} if the writer did",
        3: "{} for dislike, {} for an opinion in between, {} for praise",
        5: "{} for the harshest words, {} for mild dislike, {} for neither, {} for mild praise and "
        "{} for the highest praise",
    }[len(scale)].format(*scale)
    anchor = rng.choice(
        (
            f"Judge the opinion in this sentence: {meaning}.",
            f"What does the writer think of the thing? Write {meaning}.",
            f"Put the remark on our scale, which is {meaning}.",
        )
    )

    def answer(prompt: str) -> str:
        grade = next(g for g, words in enumerate(_GRADES) if any(names(prompt, w) for w in words))
        return scale[place[grade]]

    def draw(row: Random) -> str:
        opinion = row.choice(_GRADES[row.choice(grades)])
        text = row.choice(_OPINIONS).format(row.choice(THINGS), opinion)
        return text[0].upper() + text[1:]

    return Draft(anchor + close(rng, "the grade"), scale, draw, answer)


_WORK = ("repaired", "collected", "painted", "cleaned", "sent back", "counted", "tested")


def make_deadline(rng: Random) -> Draft:
    """A request with a deadline in hours, answered with how urgent it is."""
    labels = rng.choice((("now", "soon", "later"), ("red", "yellow", "white"), ("P1", "P2", "P3"),
                         ("!!!", "!!", "!"), ("rush", "normal", "slow")))  # fmt: skip
    first = rng.choice((2, 3, 4, 6, 8))
    second = first + rng.choice((6, 10, 16, 20, 24))
    anchor = rng.choice(
        (
            f"Say how urgent the request is by its deadline: {labels[0]} for up to {first} hours, "
            f"{labels[1]} for up to {second} hours, {labels[2]} for anything longer.",
            f"Read the number of hours in the request. Write {labels[0]} if it is {first} or less, "
            f"{labels[1]} if it is {second} or less, and else {labels[2]}.",
            f"Mark the request {labels[0]} when it must be done within {first} hours, {labels[1]} "
            f"when within {second}, otherwise {labels[2]}.",
        )
    )

    def answer(prompt: str) -> str:
        [hours] = map(int, re.findall(r"\d+", prompt))
        return labels[0] if hours <= first else labels[1] if hours <= second else labels[2]

    def draw(row: Random) -> str:
        low, high = row.choice(((2, first), (first + 1, second), (second + 1, second + 24)))
        hours, thing = row.randint(low, high), row.choice(THINGS)
        return row.choice(
            (
                f"The {thing} has to be {row.choice(_WORK)} within {hours} h.",
                f"{row.choice(NAMES)} needs the {thing} {row.choice(_WORK)} in {hours} hours.",
            )
        )

    return Draft(anchor + close(rng, "the mark"), (labels, first, second), draw, answer)


_SCALED = (
    ("temperature", "degrees", 0, 40), ("water level", "cm", 20, 300), ("wind", "km/h", 0, 120),
    ("load", "kg", 5, 500), ("battery charge", "%", 0, 100), ("noise", "dB", 20, 110),
    ("queue", "people", 0, 60), ("pressure", "bar", 1, 30),
)  # fmt: skip


def make_bucket(rng: Random) -> Draft:
    """A measured value, answered with the range it falls into."""
    quantity, unit, lowest, highest = rng.choice(_SCALED)
    labels = rng.choice((("low", "fine", "high"), ("L", "M", "H"), ("blue", "green", "orange"),
                         ("under", "within", "over"), ("wait", "go", "stop")))  # fmt: skip
    span = highest - lowest
    first = lowest + span * rng.choice((2, 3, 4)) // 10
    second = lowest + span * rng.choice((6, 7, 8)) // 10
    anchor = rng.choice(
        (
            f"Class the {quantity} that is given: {labels[0]} below {first} {unit}, {labels[1]} "
            f"from {first} to {second} {unit}, {labels[2]} above {second} {unit}.",
            f"Write {labels[1]} if the {quantity} lies between {first} and {second} {unit}, both "
            f"included, {labels[0]} if it is less and {labels[2]} if it is more.",
            f"Turn the reading into one word. The {quantity} counts as {labels[0]} under {first} "
            f"{unit}, as {labels[2]} over {second} {unit}, and as {labels[1]} in between.",
        )
    )

    def answer(prompt: str) -> str:
        value = int(re.findall(r"\d+", prompt)[-1])
        return labels[0] if value < first else labels[1] if value <= second else labels[2]

    def draw(row: Random) -> str:
        low, high = row.choice(((lowest, first - 1), (first, second), (second + 1, highest)))
        value, place = row.randint(low, high), row.choice(("north", "south", "east", "west"))
        return row.choice(
            (
                f"{place} side, {quantity}: {value} {unit}",
                f"The {quantity} at the {place} post is {value} {unit}.",
                f"{row.choice(NAMES)} reads a {quantity} of {value} {unit}.",
            )
        )

    return Draft(anchor + close(rng, "the class"), (quantity, labels, first, second), draw, answer)


_COLOURS = ("red", "blue", "green", "white", "black")
_SIZES = ("small", "medium", "large")


def make_two_part_code(rng: Random) -> Draft:
    """A thing of some size and colour, answered with a code made of both."""
    letters = dict(zip(_COLOURS, rng.sample("BDFGJKMPRSTW", 5), strict=True))
    digits = dict(zip(_SIZES, rng.sample("123456789", 3), strict=True))
    mark, is_colour_first = rng.choice(("", "-", ":", "/")), rng.random() < 0.5
    colours = join([f"{letter} for {colour}" for colour, letter in letters.items()])
    sizes = join([f"{digit} for {size}" for size, digit in digits.items()])
    order = ("colour", "size") if is_colour_first else ("size", "colour")
    mark_words = f"with {mark!r} between them" if mark else "with nothing between them"
    anchor = rng.choice(
        (
            f"Write the stock code of the thing: its {order[0]}, then its {order[1]}, "
            f"{mark_words}. Colours are {colours}; sizes are {sizes}.",
            f"Code the thing by size ({sizes}) and colour ({colours}). The {order[0]} comes first, "
            f"the {order[1]} second, {mark_words}.",
            f"A code has two parts, {order[0]} and {order[1]}, {mark_words}. Use {colours}, and "
            f"{sizes}.",
        )
    )

    def answer(prompt: str) -> str:
        colour = next(letter for word, letter in letters.items() if names(prompt, word))
        size = next(digit for word, digit in digits.items() if names(prompt, word))
        return mark.join((colour, size) if is_colour_first else (size, colour))

    def draw(row: Random) -> str:
        size, colour, thing = row.choice(_SIZES), row.choice(_COLOURS), row.choice(THINGS)
        return row.choice((f"a {size} {colour} {thing}", f"{thing}, {colour}, {size}",
                           f"the {colour} {thing}, size {size}"))  # fmt: skip

    rule = (tuple(letters.items()), tuple(digits.items()), mark, is_colour_first)
    return Draft(anchor + close(rng, "the code"), rule, draw, answer)


def _topic_of(prompt: str, domain: str, topics: list[str]) -> str:
    return next(
        topic for topic in topics if any(names(prompt, thing) for thing in DOMAINS[domain][topic])
    )
