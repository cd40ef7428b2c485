"""Kinds of task that compute with numbers or write them in another way."""

from __future__ import annotations

import re
from random import Random

from levertune.anchors.transfer.draft import Draft, close
from levertune.anchors.transfer.words import NAMES, PLACES, THINGS

_UNITS = ("pip", "dram", "lod", "skep", "firkin", "ell", "tun", "span", "mote", "stave", "gill")


def _plural(word: str) -> str:
    return f"{word}s"


def make_invented_units(rng: Random) -> Draft:
    """An amount in one unit, answered in another."""
    large, small = rng.sample(_UNITS, 2)
    factor = rng.choice((3, 4, 5, 6, 7, 8, 12, 15, 20, 25))
    pattern = rng.choice(("{}", "{} {}", "{}{}", "= {} {}", "{} ({})"))
    shown = pattern.format("N", _plural(small))
    form = "as a bare number" if pattern == "{}" else f"in the form {shown}"
    anchor = rng.choice(
        (
            f"One {large} is {factor} {_plural(small)}. Say how many {_plural(small)} the amount "
            f"is, {form}.",
            f"Convert {_plural(large)} into {_plural(small)}, {factor} to the {large}, and answer "
            f"{form}.",
            f"Multiply the number of {_plural(large)} by {factor} to have {_plural(small)}. Write "
            f"the result {form}.",
        )
    )

    def draw(row: Random) -> str:
        amount, thing, place = row.randint(2, 60), row.choice(THINGS), row.choice(PLACES)
        return row.choice(
            (
                f"{amount} {_plural(large)}",
                f"The {thing} weighs {amount} {_plural(large)}.",
                f"{place} sends {amount} {_plural(large)}.",
            )
        )

    def answer(prompt: str) -> str:
        [amount] = map(int, re.findall(r"\d+", prompt))
        return pattern.format(amount * factor, _plural(small))

    return Draft(anchor, (large, small, factor, pattern), draw, answer)


def make_order_total(rng: Random) -> Draft:
    """An order of two goods, answered with its price."""
    currency = rng.choice(("EUR", "CHF", "SEK", "crowns", "marks", "$"))
    fee = rng.choice((0, 0, 2, 3, 5, 10))
    pattern = rng.choice(("{} {}", "{1}{0}", "total {} {}", "{}"))
    shown = pattern.format("N", currency)
    added = f", and add {fee} for delivery" if fee else ""
    anchor = rng.choice(
        (
            f"Work out what the order costs: number times price for each thing, summed{added}. "
            f"Write it as {shown}.",
            f"Add up the order{added}. The answer has the form {shown}, N being the sum.",
            f"Give the price of the whole order as {shown}: each number times its price, "
            f"together{added}.",
        )
    )

    def draw(row: Random) -> str:
        first, second = row.sample(THINGS, 2)
        a, b, p, q = row.randint(1, 9), row.randint(1, 9), row.randint(2, 20), row.randint(2, 20)
        return row.choice(
            (
                f"{a} x {first} at {p}, {b} x {second} at {q}",
                f"{row.choice(NAMES)}: {a} x {first} at {p} and {b} x {second} at {q}",
            )
        )

    def answer(prompt: str) -> str:
        pairs = re.findall(r"(\d+) x \D+ at (\d+)", prompt)
        return pattern.format(sum(int(a) * int(p) for a, p in pairs) + fee, currency)

    return Draft(anchor + close(rng, "the price"), (currency, fee, pattern), draw, answer)


def make_number_written(rng: Random) -> Draft:
    """A long number, answered with its digits grouped, padded or rounded."""
    marks = {"a comma": ",", "a space": " ", "an apostrophe": "'", "a full stop": ".", "_": "_"}
    named, mark = rng.choice(list(marks.items()))
    size = rng.choice((2, 3, 4))
    unit = rng.choice(("", "", "km", "votes", "g"))
    behind = f" and {unit} behind a space" if unit else ""
    anchor = rng.choice(
        (
            f"Write the number in groups of {size} digits, counted from the right, with {named} "
            f"between the groups{behind}.",
            f"Set {named} after every {size} digits of the number, counting from its end{behind}.",
            f"Group the digits by {size} from the right with {named}{behind}.",
        )
    )

    def draw(row: Random) -> str:
        number = row.randint(10_000, 99_999_999)
        return row.choice((f"{number}", f"{row.choice(PLACES)} counted {number}", f"no. {number}"))

    def answer(prompt: str) -> str:
        [digits] = re.findall(r"\d+", prompt)
        first = len(digits) % size
        groups = [digits[:first]] if first else []
        groups += [digits[i : i + size] for i in range(first, len(digits), size)]
        return mark.join(groups) + (f" {unit}" if unit else "")

    return Draft(anchor + close(rng, "the number"), (mark, size, unit), draw, answer)


def make_number_rule(rng: Random) -> Draft:
    """A number in a sentence, answered with what a small formula makes of it."""
    factor, added = rng.choice((2, 3, 4, 5, 10)), rng.choice((-3, -1, 1, 2, 5, 7, 10))
    order = rng.random() < 0.5
    change = f"{'add' if added > 0 else 'take away'} {abs(added)}"
    steps = (
        f"multiply it by {factor}, then {change}"
        if order
        else f"first {change}, then multiply by {factor}"
    )
    anchor = rng.choice(
        (
            f"Take the number from the sentence, {steps}, and write the result.",
            f"Find the number that the text gives. With it: {steps}. Answer with the result.",
            f"Compute with the number in the sentence: {steps}.",
        )
    )

    def draw(row: Random) -> str:
        thing, number = row.choice(THINGS), row.randint(4, 60)
        return row.choice(
            (
                f"There are {number} of them in the {thing}.",
                f"{row.choice(NAMES)} paid {number} for the {thing}.",
                f"The {thing} is {number} years old.",
            )
        )

    def answer(prompt: str) -> str:
        [number] = map(int, re.findall(r"\d+", prompt))
        return str(number * factor + added if order else (number + added) * factor)

    return Draft(anchor + close(rng, "the number"), (factor, added, order), draw, answer)
