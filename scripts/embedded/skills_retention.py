"""Skill families of the retention probe: never part of `embedded-skills`."""

from __future__ import annotations

import random
import string

Row = tuple[str, str]

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
COMPASS = ("north", "east", "south", "west")
OPPOSITES = (
    ("hot", "cold"), ("up", "down"), ("early", "late"), ("full", "empty"), ("open", "closed"),
    ("loud", "quiet"), ("fast", "slow"), ("wet", "dry"), ("long", "short"), ("high", "low"),
    ("young", "old"), ("near", "far"), ("thick", "thin"), ("sweet", "sour"), ("rich", "poor"),
    ("left", "right"), ("begin", "end"), ("push", "pull"), ("day", "night"), ("love", "hate"),
)  # fmt: skip


def neighbour_letter(rng: random.Random) -> Row:
    """The letter before or after another."""
    index = rng.randint(1, 24)
    side = rng.choice(("before", "after"))
    answer = string.ascii_lowercase[index + (1 if side == "after" else -1)]
    ask = rng.choice(
        (
            "Which letter comes right {s} {l} in the alphabet?",
            "Name the letter directly {s} {l}.",
            "In the alphabet, what do we find just {s} {l}?",
            "Alphabet: the neighbour {s} {l} is",
        )
    )
    return ask.format(s=side, l=string.ascii_lowercase[index]), answer


def neighbour_month(rng: random.Random) -> Row:
    """The month some places away from another."""
    index, distance = rng.randrange(12), rng.choice((1, 2, 3))
    later = rng.random() < 0.6
    answer = MONTHS[(index + (distance if later else -distance)) % 12]
    side = f"{distance} month{'s' if distance > 1 else ''} {'after' if later else 'before'}"
    ask = rng.choice(
        (
            "Which month is {s} {m}?",
            "It is {m}. What month lies {s} it?",
            "Say the month that stands {s} {m}.",
            "Calendar question: {s} {m} comes",
        )
    )
    return ask.format(s=side, m=MONTHS[index]), answer


def compass_turn(rng: random.Random) -> Row:
    """The direction after one or two quarter turns."""
    index, turns = rng.randrange(4), rng.choice((1, 2))
    right = rng.random() < 0.5
    answer = COMPASS[(index + (turns if right else -turns)) % 4]
    turn = f"turn {'right' if right else 'left'}" + (" twice" if turns == 2 else "")
    ask = rng.choice(
        (
            "You face {d} and {t}. Where do you look now?",
            "Facing {d}, a walker makes a {t}. New direction?",
            "Start: {d}. Then {t}. Which way do you face?",
            "A robot that looks {d} has to {t}. Name its direction.",
        )
    )
    if "makes a {t}" in ask:
        ask = ask.replace("a walker makes a {t}", "a walker decides to {t}")
    return ask.format(d=COMPASS[index], t=turn), answer


def next_number(rng: random.Random) -> Row:
    """The next number of an arithmetic row."""
    start, step = rng.randint(1, 30), rng.choice((2, 3, 4, 5, 10))
    row = [start + step * i for i in range(5)]
    ask = rng.choice(
        (
            "What number comes next? {r}",
            "Continue the row by one number: {r}",
            "{r}, and then?",
            "Find the pattern and give the following number: {r}",
        )
    )
    return ask.format(r=", ".join(map(str, row[:4]))), str(row[4])


def opposite_word(rng: random.Random) -> Row:
    """The opposite of a common word."""
    pair = rng.choice(OPPOSITES)
    word, answer = pair if rng.random() < 0.5 else pair[::-1]
    ask = rng.choice(
        (
            'What is the opposite of "{w}"?',
            "Give the antonym of {w}.",
            "{w} is the contrary of which word?",
            "Opposites: {w} and",
        )
    )
    text = ask.format(w=word)
    return text[0].upper() + text[1:], answer


def balanced_brackets(rng: random.Random) -> Row:
    """Whether every bracket is closed."""
    text = ""
    depth = 0
    for _ in range(rng.choice((4, 6, 8))):
        text += (sign := rng.choice("()") if depth else "(")
        depth += 1 if sign == "(" else -1
    if rng.random() < 0.6:
        text += ")" * depth
        depth = 0
    ask = rng.choice(
        (
            "Is every bracket closed? {b} Answer yes or no.",
            "{b}\nDo the brackets match, yes or no?",
            "Say yes if the brackets balance, no if not: {b}",
            "Brackets: {b}\nBalanced?",
        )
    )
    return ask.format(b=text), "no" if depth else "yes"


FAMILIES = (
    neighbour_letter, neighbour_month, compass_turn, next_number, opposite_word, balanced_brackets,
)  # fmt: skip
