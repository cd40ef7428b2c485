"""Kinds of task about lists of named numbers, and about orders that become commands."""

from __future__ import annotations

import re
from random import Random

from levertune.anchors.transfer.draft import Draft, close
from levertune.anchors.transfer.words import NAMES, PLACES, THINGS, draw_words

_MEASURES = (
    "points", "kilos", "laps", "votes", "coins", "pages", "metres", "stamps", "goals", "litres",
)  # fmt: skip
_JOINTS = (
    ("a comma and a space", ", "), ("a greater-than sign with spaces", " > "), ("a slash", "/"),
    ("a hyphen", "-"), ("a space", " "), ("a semicolon", ";"),
)  # fmt: skip


def _draw_scores(row: Random, measure: str) -> str:
    names = row.sample(NAMES, row.randint(3, 5))
    numbers = row.sample(range(2, 60), len(names))
    scores = [f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
    return f"{measure}: {', '.join(scores)}"


def _read_scores(prompt: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"([A-Z]\w+) (\d+)", prompt)}


def make_ranked_list(rng: Random) -> Draft:
    """Names with numbers, answered with the names in order."""
    measure, is_falling = rng.choice(_MEASURES), rng.random() < 0.5
    most = rng.choice((None, None, 2, 3))
    named, mark = rng.choice(_JOINTS)
    way = "most to the fewest" if is_falling else "fewest to the most"
    cut = f" Stop after the first {most}." if most else ""
    anchor = rng.choice(
        (
            f"Rank the people by {measure}, from the {way}, and give their names separated by "
            f"{named}.{cut}",
            f"Write the names only, in order of their {measure} from the {way}, with {named} "
            f"between them.{cut}",
            f"Sort the list from the {way} {measure}. Leave the numbers out and put {named} "
            f"between the names.{cut}",
        )
    )

    def answer(prompt: str) -> str:
        scores = _read_scores(prompt)
        order = sorted(scores, key=lambda name: scores[name], reverse=is_falling)
        return mark.join(order[:most])

    return Draft(
        anchor, (measure, is_falling, most, mark), lambda row: _draw_scores(row, measure), answer
    )


def make_filtered_list(rng: Random) -> Draft:
    """Names with numbers, answered with the names beyond a limit."""
    measure, limit = rng.choice(_MEASURES), rng.choice((10, 15, 20, 25, 30, 40))
    is_above, with_numbers = rng.random() < 0.5, rng.random() < 0.4
    none = rng.choice(("none", "nobody", "-", "empty"))
    named, mark = rng.choice(_JOINTS)
    which = f"at least {limit}" if is_above else f"fewer than {limit}"
    what = "names with their numbers" if with_numbers else "names"
    anchor = rng.choice(
        (
            f"Keep those with {which} {measure}. Write their {what} in the order of the list, "
            f"with {named} between them; if there is no one, write {none}.",
            f"Who has {which} {measure}? List the {what} with {named} between them, or write "
            f"{none} if no one has.",
            f"Give the {what} of all with {which} {measure}, in the order given, separated by "
            f"{named}. Write {none} for an empty result.",
        )
    )

    def answer(prompt: str) -> str:
        kept = [
            f"{name} {number}" if with_numbers else name
            for name, number in _read_scores(prompt).items()
            if (number >= limit) == is_above
        ]
        return mark.join(kept) or none

    rule = (measure, limit, is_above, with_numbers, none, mark)
    return Draft(anchor, rule, lambda row: _draw_scores(row, measure), answer)


def make_extreme_item(rng: Random) -> Draft:
    """Names with numbers, answered with the one at an end."""
    measure = rng.choice(_MEASURES)
    end, choose = rng.choice((("most", max), ("fewest", min)))
    shown, pattern = rng.choice(
        (("the name alone", "{0}"), ("the name and the number in brackets", "{0} ({1})"),
         ("the number, a colon and the name", "{1}: {0}"), ("the name in capitals", "{2}"))
    )  # fmt: skip
    anchor = rng.choice(
        (
            f"Who has the {end} {measure}? Write {shown}.",
            f"Find the person with the {end} {measure} and give {shown}.",
            f"Of all in the list, pick the one with the {end} {measure}. Answer with {shown}.",
        )
    )

    def answer(prompt: str) -> str:
        scores = _read_scores(prompt)
        name = choose(scores, key=lambda key: scores[key])
        return pattern.format(name, scores[name], name.upper())

    return Draft(anchor, (measure, end, pattern), lambda row: _draw_scores(row, measure), answer)


_LISTS = (
    ("have", "need"), ("packed", "planned"), ("old", "new"), ("paid", "invited"), ("left", "right"),
    ("sown", "sprouted"), ("ordered", "arrived"), ("rehearsed", "announced"),
)  # fmt: skip


def make_list_difference(rng: Random) -> Draft:
    """Two lists, answered with what one has and the other lacks, or with what both have."""
    first, second = rng.choice(_LISTS)
    form = rng.randrange(3)
    none = rng.choice(("nothing", "none", "0", "-"))
    named, mark = rng.choice(_JOINTS)
    which = (
        f"under {second} but not under {first}",
        f"under {first} but not under {second}",
        f"under both {first} and {second}",
    )[form]
    anchor = rng.choice(
        (
            f"List what stands {which}, separated by {named}; if there is nothing, write {none}.",
            f"Compare the two lists and write the words {which}, with {named} between them, or "
            f"{none}.",
            f"Which words stand {which}? Give them in the order of the list with {named} between "
            f"them. If no word does, write {none}.",
        )
    )

    def draw(row: Random) -> str:
        words = draw_words(row, 4, 6)
        lists = [row.sample(words, row.randint(2, 4)) for _ in range(2)]
        return f"{first}: {', '.join(lists[0])}\n{second}: {', '.join(lists[1])}"

    def answer(prompt: str) -> str:
        one, other = (line.partition(": ")[2].split(", ") for line in prompt.splitlines())
        found = (
            [word for word in other if word not in one],
            [word for word in one if word not in other],
            [word for word in one if word in other],
        )[form]
        return mark.join(found) or none

    return Draft(anchor, (first, form, none, mark), draw, answer)


_DEVICES = ("blind", "lamp", "valve", "fan", "door", "pump", "mixer", "gate")
_SYNTAX = (
    "{device}.{number} := {value}", "SET {device}{number} {value}", "{device}[{number}]={value};",
    "{number}>{device}>{value}", "({device} {number} {value})", "{device}/{number}/{value}",
    "!{device} #{number} @{value}", "{value}->{device}{number}",
)  # fmt: skip


def make_device_command(rng: Random) -> Draft:
    """A wish in words, answered with a command."""
    pattern, devices = rng.choice(_SYNTAX), tuple(sorted(rng.sample(_DEVICES, 3)))
    case_words, case = rng.choice((("small letters", str.lower), ("capitals", str.upper)))
    shown = pattern.format(device="DEVICE", number="NUMBER", value="VALUE")
    listed = ", ".join(devices)
    anchor = rng.choice(
        (
            f"Turn the wish into a command of the form {shown}. DEVICE is one of {listed} and "
            f"stands in {case_words}.",
            f"Write the command {shown} for this request, with the device ({listed}) in "
            f"{case_words}, its number and the value to set.",
            f"Our controller reads {shown}. Say the request to it; name the device, one of "
            f"{listed}, in {case_words}.",
        )
    )

    def draw(row: Random) -> str:
        device, number, value = row.choice(devices), row.randint(1, 9), row.randint(0, 100)
        return row.choice(
            (
                f"Set {device} {number} to {value}.",
                f"Please put {device} {number} at {value}.",
                f"{row.choice(NAMES)} wants {device} {number} at {value}",
                f"{device} {number} should go to {value} now",
            )
        )

    def answer(prompt: str) -> str:
        [(device, number, value)] = re.findall(
            rf"({'|'.join(devices)}) (\d+)(?: to| at| should go to) (\d+)", prompt
        )
        return pattern.format(device=case(device), number=number, value=value)

    rule = (pattern, devices, case_words)
    return Draft(anchor + close(rng, "the command"), rule, draw, answer)


_HEADINGS = ("north", "east", "south", "west")


def make_moves(rng: Random) -> Draft:
    """A way in words, answered in shorthand."""
    signs = rng.choice(
        (("N", "E", "S", "W"), ("^", ">", "v", "<"), ("u", "r", "d", "l"), ("1", "2", "3", "4"))
    )
    named, mark = rng.choice(_JOINTS[:1] + _JOINTS[2:])
    is_counted = rng.random() < 0.5
    table = dict(zip(_HEADINGS, signs, strict=True))
    listed = ", ".join(f"{heading} {sign}" for heading, sign in table.items())
    each = (
        "the sign followed by x and the number of steps"
        if is_counted
        else "the sign once for every step"
    )
    anchor = rng.choice(
        (
            f"Write the way in signs ({listed}). For each leg give {each}, and put {named} between "
            "the legs.",
            f"Shorten the directions: {listed}. Each leg becomes {each}; between legs stands "
            f"{named}.",
            f"Note down the walk with {named} between its legs, each of them {each}. The signs are "
            f"{listed}.",
        )
    )

    def draw(row: Random) -> str:
        legs = [
            f"{row.randint(2, 6)} steps {row.choice(_HEADINGS)}" for _ in range(row.randint(2, 3))
        ]
        opening = row.choice(("", f"From {row.choice(PLACES)} ", f"With the {row.choice(THINGS)} "))
        return opening + ", then ".join(legs)

    def answer(prompt: str) -> str:
        legs = re.findall(r"(\d+) steps (\w+)", prompt)
        return mark.join(
            f"{table[heading]}x{count}" if is_counted else table[heading] * int(count)
            for count, heading in legs
        )

    return Draft(anchor, (signs, mark, is_counted), draw, answer)
