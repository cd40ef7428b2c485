"""Skill families on structure: JSON, tables, keys and values, templates."""

from __future__ import annotations

import json
import random

from vocabulary import (
    ADJECTIVES,
    CATEGORIES,
    NAMES,
    THINGS,
    TOWNS,
    article,
    commas,
    some_numbers,
    some_words,
)

Row = tuple[str, str]


def person(rng: random.Random) -> dict[str, object]:
    """Some facts about an invented person, two to four of them, the name first."""
    facts: dict[str, object] = {
        "age": rng.randint(19, 88),
        "town": rng.choice(TOWNS),
        "job": rng.choice(CATEGORIES["jobs"]),
        "pet": rng.choice(CATEGORIES["animals"]),
        "colour": rng.choice(CATEGORIES["colours"]),
        "sport": rng.choice(CATEGORIES["sports"]),
    }
    keys = rng.sample(list(facts), rng.randint(2, 3))
    return {"name": rng.choice(NAMES), **{key: facts[key] for key in keys}}


def as_lines(facts: dict[str, object]) -> str:
    """One `key: value` a line."""
    return "\n".join(f"{key}: {value}" for key, value in facts.items())


def lines_to_json(rng: random.Random) -> Row:
    """Turn `key: value` lines into a JSON object."""
    facts = person(rng)
    ask = rng.choice(
        (
            "Write these facts as one JSON object.\n{f}",
            "Convert to JSON:\n{f}",
            "{f}\nThe same as a JSON object on one line.",
            "Make a JSON object from the lines below; numbers stay numbers.\n{f}",
        )
    )
    return ask.format(f=as_lines(facts)), json.dumps(facts)


def json_to_lines(rng: random.Random) -> Row:
    """Turn a JSON object into `key: value` lines."""
    facts = person(rng)
    ask = rng.choice(
        (
            'Write each entry of this JSON as "key: value" on its own line.\n{f}',
            "{f}\nList the entries line by line, key first, then a colon and the value.",
            "Turn the object into plain lines of the form key: value.\n{f}",
            "Unpack this JSON, one pair a line: {f}",
        )
    )
    return ask.format(f=json.dumps(facts)), as_lines(facts)


def read_json(rng: random.Random) -> Row:
    """Read one value of a JSON object."""
    facts = person(rng)
    key = rng.choice(list(facts))
    ask = rng.choice(
        (
            'What is the value of "{k}"?\n{f}',
            'Look up "{k}" in this object: {f}',
            "{f}\nGive the {k} only.",
            "From the JSON below, read the field {k}.\n{f}",
        )
    )
    return ask.format(k=key, f=json.dumps(facts)), str(facts[key])


def sentence_to_json(rng: random.Random) -> Row:
    """Build a JSON object with the given keys from a sentence."""
    name, thing, town = rng.choice(NAMES), rng.choice(THINGS), rng.choice(TOWNS)
    number = rng.randint(2, 40)
    kind = rng.choice(("seller", "visitor"))
    if kind == "seller":
        text = f"{name} sells a {rng.choice(('used', 'new'))} {thing} in {town}."
        facts: dict[str, object] = {"seller": name, "goods": thing, "place": town}
    else:
        text = f"{name} stayed {number} nights in {town}."
        facts = {"guest": name, "nights": number, "place": town}
    keys = commas(list(facts))
    ask = rng.choice(
        (
            "Fill a JSON object with the keys {k} from this sentence: {t}",
            "{t}\nAs JSON, keys: {k}.",
            "Build JSON ({k}) out of the sentence below.\n{t}",
            "Read the sentence and give a JSON object having {k}.\n{t}",
        )
    )
    return ask.format(k=keys, t=text), json.dumps(facts)


def list_to_json(rng: random.Random) -> Row:
    """Turn a list into a JSON array."""
    items: list = some_words(rng, 2, 5) if rng.random() < 0.6 else some_numbers(rng, 2, 5)
    sign = rng.choice((", ", "; ", " / "))
    shown = sign.join(map(str, items))
    ask = rng.choice(
        (
            "Write this list as a JSON array: {i}",
            "{i}\nNow as a JSON array.",
            "Make an array in JSON out of these items: {i}",
            "Put square brackets and, for text, quotes as in JSON.\n{i}",
        )
    )
    return ask.format(i=shown), json.dumps(items)


def add_json_entry(rng: random.Random) -> Row:
    """Add or change one entry of a JSON object."""
    facts = person(rng)
    changed = dict(facts)
    if rng.random() < 0.5:
        changed["member"] = rng.choice((True, False))
        order = f'Add "member": {json.dumps(changed["member"])}'
    else:
        changed["name"] = rng.choice([name for name in NAMES if name != facts["name"]])
        order = f"Change the name to {changed['name']}"
    ask = rng.choice(
        (
            "{o} in this JSON object: {f}",
            "{f}\n{o} and print the object.",
            "Take the object below. {o}. Show the result.\n{f}",
            "{o} here and keep the rest: {f}",
        )
    )
    return ask.format(o=order, f=json.dumps(facts)), json.dumps(changed)


def _table(rng: random.Random) -> tuple[list[str], list[list[str]]]:
    first = rng.choice(("jobs", "fruits", "trees", "vehicles"))
    header = ["name", first.removesuffix("s"), "points"]
    names = rng.sample(NAMES, 3)
    words = rng.sample(CATEGORIES[first], 3)
    points = rng.sample(range(3, 99), 3)
    return header, [[n, w, str(p)] for n, w, p in zip(names, words, points, strict=True)]


def _bars(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(" | ".join(row) for row in [header, *rows])


def read_table(rng: random.Random) -> Row:
    """Look up a cell of a small table by name."""
    header, rows = _table(rng)
    row = rng.choice(rows)
    column = rng.choice((1, 2))
    ask = rng.choice(
        (
            "{t}\nWhat stands under {c} for {n}?",
            "Read the table.\n{t}\n{n}, {c}:",
            "Find the {c} of {n} in this table.\n{t}",
            "{t}\nGive the {c} in the row of {n}.",
        )
    )
    return ask.format(t=_bars(header, rows), c=header[column], n=row[0]), row[column]


def table_winner(rng: random.Random) -> Row:
    """Name the row with the most or fewest points."""
    header, rows = _table(rng)
    most = rng.random() < 0.5
    row = (max if most else min)(rows, key=lambda r: int(r[2]))
    ask = rng.choice(
        (
            "{t}\nWho has the {m} points?",
            "Look at the points and give the name with the {m}.\n{t}",
            "{t}\nName of the row with the {m} points:",
            "Whose points are the {m} in this table?\n{t}",
        )
    )
    word = ("most", "highest") if most else ("fewest", "lowest")
    word_used = word[1] if "points are the {m}" in ask else word[0]
    return ask.format(t=_bars(header, rows), m=word_used), row[0]


def csv_column(rng: random.Random) -> Row:
    """Give one column of comma-separated lines."""
    header, rows = _table(rng)
    column = rng.choice((0, 1, 2))
    text = "\n".join(",".join(row) for row in [header, *rows])
    ask = rng.choice(
        (
            "{t}\nList the values of the column {c}.",
            "Take the {c} column out of these lines.\n{t}",
            "Comma-separated data:\n{t}\nAll entries under {c}:",
            "Write the {c} values from top to bottom, with commas.\n{t}",
        )
    )
    return ask.format(t=text, c=header[column]), commas([row[column] for row in rows])


def facts_to_sentence(rng: random.Random) -> Row:
    """Put keys and values into a sentence of a given form."""
    name, town, job = rng.choice(NAMES), rng.choice(TOWNS), rng.choice(CATEGORIES["jobs"])
    facts = f"name = {name}, job = {job}, town = {town}"
    ask, answer = rng.choice(
        (
            ('Write a sentence like "NAME is a JOB from TOWN."\n{f}', "{n} is {a} from {t}."),
            ('Use the form "NAME from TOWN works as a JOB."\n{f}', "{n} from {t} works as {a}."),
            (
                '{f}\nOne sentence please: "In TOWN, NAME is a JOB."',
                "In {t}, {n} is {a}.",
            ),
            (
                'Put the values into "NAME lives in TOWN and is a JOB."\n{f}',
                "{n} lives in {t} and is {a}.",
            ),
        )
    )
    return ask.format(f=facts), answer.format(n=name, t=town, a=article(job))


def sentence_to_facts(rng: random.Random) -> Row:
    """Pull keys and values out of a sentence."""
    name, town, job = rng.choice(NAMES), rng.choice(TOWNS), rng.choice(CATEGORIES["jobs"])
    text = rng.choice(
        (
            f"{name}, {article(job)}, moved to {town}.",
            f"In {town} you can meet the {job} {name}.",
            f"The {job} from {town} is called {name}.",
            f"{name} has been {article(job)} in {town} for years.",
        )
    )
    ask = rng.choice(
        (
            "Write name, job and town as key=value, separated by semicolons: {t}",
            "{t}\nGive it in the form name=...; job=...; town=...",
            "Sum this up as name=, job= and town= with semicolons.\n{t}",
            "Pull out name, job and town (key=value; key=value).\n{t}",
        )
    )
    return ask.format(t=text), f"name={name}; job={job}; town={town}"


def fill_template(rng: random.Random) -> Row:
    """Fill the gaps of a template."""
    name, thing, adjective = rng.choice(NAMES), rng.choice(THINGS), rng.choice(ADJECTIVES)
    town = rng.choice(TOWNS)
    template = rng.choice(
        (
            "Dear <who>, your <what> waits in <where>.",
            "<who> lost a <how> <what> in <where>.",
            "For sale in <where>: one <how> <what>. Ask for <who>.",
            "Was the <how> <what> made by <who>?",
        )
    )
    values = {"who": name, "what": thing, "how": adjective, "where": town}
    used = {key: value for key, value in values.items() if f"<{key}>" in template}
    answer = template
    for key, value in used.items():
        answer = answer.replace(f"<{key}>", value)
    if f"a {adjective}" in answer:
        answer = answer.replace(f"a {adjective}", article(adjective))
    given = commas([f"{key} = {value}" for key, value in used.items()])
    ask = rng.choice(
        (
            "Fill in the template.\n{t}\n{g}",
            "{g}\nPut these values into: {t}",
            "Replace the marks in angle brackets: {t}\n{g}",
            "Template: {t}\nValues: {g}\nWrite the finished text.",
        )
    )
    return ask.format(t=template, g=given), answer


FAMILIES = (
    lines_to_json, json_to_lines, read_json, sentence_to_json, list_to_json, add_json_entry,
    read_table, table_winner, csv_column, facts_to_sentence, sentence_to_facts, fill_template,
)  # fmt: skip
