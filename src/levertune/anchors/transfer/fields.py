"""Kinds of task that take fields out of a record, or put a record into another form."""

from __future__ import annotations

import json
from random import Random

from levertune.anchors.transfer.draft import Draft, close, join
from levertune.anchors.transfer.records import RECORD_FORMS, RecordForm

_KEY_STYLES = {
    "in small letters": str.lower,
    "in capitals": str.upper,
    "with a capital first letter": str.capitalize,
    "cut to their first three letters": lambda key: key[:3],
}


def _choose(rng: Random, low: int, high: int) -> tuple[RecordForm, list[str]]:
    form = rng.choice(RECORD_FORMS)
    return form, rng.sample(list(form.fields), rng.randint(low, high))


def make_sentence_to_json(rng: Random) -> Draft:
    """A sentence, answered with some of its facts as JSON."""
    form, fields = _choose(rng, 2, 4)
    style_words, style = rng.choice(list(_KEY_STYLES.items()))
    keys = {field: style(field) for field in fields}
    as_numbers = rng.random() < 0.5 and any(map(form.is_number, fields))
    typed = "numbers without quotation marks" if as_numbers else "every value as a string in quotes"
    listed = join([f'"{key}"' for key in keys.values()])
    anchor = rng.choice(
        (
            f"Give the {form.title} as one line of JSON with the keys {listed} in this order, "
            f"{typed}.",
            f"Read the {form.title} and return a JSON object. Its keys are {listed}, in this "
            f"order; write {typed}.",
            f"From this {form.title} take {join(fields)} and write them as JSON under {listed}, "
            f"with {typed}.",
        )
    )

    def answer(prompt: str) -> str:
        record = form.read(prompt)
        values = {}
        for field, key in keys.items():
            text = record[field]
            is_number = as_numbers and form.is_number(field)
            values[key] = (float(text) if "." in text else int(text)) if is_number else text
        return json.dumps(values)

    rule = (form.title, tuple(fields), style_words, as_numbers)
    return Draft(anchor + close(rng, "the object"), rule, form.say, answer)


def make_sentence_to_line(rng: Random) -> Draft:
    """A sentence, answered with its facts in a row."""
    form, fields = _choose(rng, 3, 5)
    named, mark = rng.choice(
        (("a semicolon", ";"), ("a vertical bar", "|"), ("a comma and a space", ", "),
         ("a slash with spaces around it", " / "), ("a colon", ":"), ("an equals sign", "="))
    )  # fmt: skip
    anchor = rng.choice(
        (
            f"Write the {form.title} as one line: {join(fields)}, separated by {named}.",
            f"Take {join(fields)} from the {form.title}, in this order, with {named} between them.",
            f"Turn each {form.title} into a table row. Its cells are {join(fields)}; between them "
            f"stands {named}.",
        )
    )

    def answer(prompt: str) -> str:
        record = form.read(prompt)
        return mark.join(record[field] for field in fields)

    return Draft(
        anchor + close(rng, "the line"), (form.title, tuple(fields), mark), form.say, answer
    )


def make_picked_field(rng: Random) -> Draft:
    """A sentence, answered with one of its facts."""
    form, [field] = _choose(rng, 1, 1)
    pattern = rng.choice(("{}", "<{}>", "{}!", "-> {}", f"{field}={{}}", "[{}]"))
    shown = "" if pattern == "{}" else f", in the form {pattern.format('...')}"
    anchor = rng.choice(
        (
            f"Give only the {field} of this {form.title}{shown}.",
            f"Find the {field} in the {form.title} and copy it{shown}.",
            f"What is the {field}? Take it from the text of the {form.title}{shown}.",
        )
    )
    return Draft(
        anchor,
        (form.title, field, pattern),
        form.say,
        lambda prompt: pattern.format(form.read(prompt)[field]),
    )


def _card(record: dict[str, str]) -> str:
    return "\n".join(f"{field}: {value}" for field, value in record.items())


def _read_card(prompt: str) -> dict[str, str]:
    lines = (line.partition(":") for line in prompt.splitlines())
    return {field: value.strip() for field, _, value in lines}


def make_card_to_sentence(rng: Random) -> Draft:
    """A card of fields, answered with a fixed sentence that holds some of them."""
    form, fields = _choose(rng, 2, 3)
    opening = rng.choice(("Noted", "Entry", "Today", "Log", "Reminder"))
    link = rng.choice((" and ", ", ", " with ", " / "))
    pattern = f"{opening}: {link.join(f'{field} {{{field}}}' for field in fields)}."
    shown = pattern.replace("{", "<").replace("}", ">")
    anchor = rng.choice(
        (
            f"Write the card of the {form.title} as a sentence of this form: {shown}",
            f"Fill this sentence from the card, with the card's values for the words in angle "
            f"brackets: {shown}",
            f"Say the {form.title} in our standard words, which are: {shown}",
        )
    )

    def answer(prompt: str) -> str:
        return pattern.format(**_read_card(prompt))

    return Draft(
        anchor,
        (form.title, tuple(fields), opening, link),
        lambda row: _card(form.draw(row)),
        answer,
    )


def make_missing_fields(rng: Random) -> Draft:
    """A card with gaps, answered with the fields that have no value."""
    form, fields = _choose(rng, 4, 5)
    complete = rng.choice(("complete", "ok", "none", "all there", "-"))
    mark_words, mark = rng.choice(
        (("a comma", ","), ("a space", " "), ("a plus sign", "+"), ("a slash", "/"))
    )
    anchor = rng.choice(
        (
            f"List the fields of the card that are empty, in the card's order, separated by "
            f"{mark_words}. If none is, write {complete}.",
            f"Which values does the card of the {form.title} lack? Name their fields with "
            f"{mark_words} between them, or write {complete} if nothing is missing.",
            f"Check the {form.title}: name every field without a value, in order, with "
            f"{mark_words} between the names. For a full card write {complete}.",
        )
    )

    def answer(prompt: str) -> str:
        missing = [field for field, value in _read_card(prompt).items() if not value]
        return mark.join(missing) or complete

    def draw(row: Random) -> str:
        record = {field: value for field, value in form.draw(row).items() if field in fields}
        for field in row.sample(fields, row.choice((0, 1, 1, 2, 3))):
            record[field] = ""
        return _card(record).replace(": \n", ":\n").rstrip(" ")

    return Draft(anchor, (form.title, tuple(sorted(fields)), complete, mark), draw, answer)


def make_json_reduced(rng: Random) -> Draft:
    """A JSON object, answered with some of its keys, renamed."""
    form, fields = _choose(rng, 2, 3)
    new = rng.sample(("a", "b", "c", "k1", "k2", "x", "y", "who", "what", "val", "key"), 3)
    keys = dict(zip(fields, new, strict=False))
    listed = join([f'"{field}" as "{key}"' for field, key in keys.items()])
    anchor = rng.choice(
        (
            f"Reduce the object: keep {listed}, in this order, and drop every other key.",
            f"Return a new JSON object with {listed} and nothing else of the old one.",
            f"Rename and select keys. The result holds {listed}, in this order; values stay as "
            "they are.",
        )
    )

    def answer(prompt: str) -> str:
        record = json.loads(prompt)
        return json.dumps({key: record[field] for field, key in keys.items()})

    return Draft(
        anchor,
        (form.title, tuple(keys.items())),
        lambda row: json.dumps(form.draw(row)),
        answer,
    )
