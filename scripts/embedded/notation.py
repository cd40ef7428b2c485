"""Generate `house_notation`: sentences whose dates, times and amounts are rewritten in-house style.

Dates become `D:2021.03.03` (`D:03.03` without a year), times of day `T:16:30`, quantities
`Q:12kg`, money `M:4.50e` (`e` euros, `p` pounds, `d` dollars), lengths of time `L:1h30`, `L:3d`.
All other words stay as they are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import notation_wordings
from number_words import number_in_words, ordinal

INSTRUCTION = "Rewrite the text in house notation."
WORDINGS = {"train": notation_wordings.TRAIN, "test": notation_wordings.TEST}
ROWS_PER_WORDING = {"train": 11, "test": 14}

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
UNITS = {
    "kilos": "kg", "kilograms": "kg", "grams": "g", "litres": "l", "millilitres": "ml",
    "metres": "m", "centimetres": "cm", "tonnes": "t",
}  # fmt: skip
# The units that suit each kind of quantity.
UNITS_OF = {
    "weight": ("kilos", "kilograms", "grams"),
    "bulk": ("kilos", "tonnes"),
    "length": ("metres", "centimetres"),
    "liquid": ("litres", "millilitres"),
}
CURRENCIES = {"euros": "e", "pounds": "p", "dollars": "d"}
PARTS_OF_DAY = (("in the morning", 5, 11), ("in the afternoon", 12, 17), ("in the evening", 18, 22))


def notation_rows(split: str, seed: int) -> list[dict[str, str]]:
    """Draw the rows of one split, the same number for every sentence wording, shuffled."""
    rng = random.Random(f"house_notation|{split}|{seed}")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for number, wording in enumerate(WORDINGS[split]):
        made = 0
        while made < ROWS_PER_WORDING[split]:
            plain, noted = fill_sentence(wording, rng)
            if plain in seen:
                continue
            seen.add(plain)
            made += 1
            rows.append(
                {
                    "prompt": f"{INSTRUCTION}\nText: {plain}",
                    "response": noted,
                    "pattern": f"notation/{split}-{number:02d}",
                }
            )
    rng.shuffle(rows)
    return rows


def fill_sentence(wording: str, rng: random.Random) -> tuple[str, str]:
    """The sentence with said values, and the same sentence with noted ones."""
    plain = noted = wording
    for slot in re.findall(r"\{(\w+)\}", wording):
        said, written = _DRAW[slot](rng, slot)
        plain = plain.replace(f"{{{slot}}}", said)
        noted = noted.replace(f"{{{slot}}}", written)
    return plain, noted


def _date(rng: random.Random, _: str) -> tuple[str, str]:
    day, month = rng.randint(1, 28), rng.randint(1, 12)
    year = rng.choice((None, rng.randint(1961, 2029), rng.randint(2015, 2029)))
    name = MONTHS[month - 1]
    said = rng.choice(
        (
            f"{day} {name}",
            f"the {ordinal(day)} of {name}",
            f"{name} {ordinal(day)}",
            f"{name} the {ordinal(day)}",
        )
    )
    if year is None:
        return said, f"D:{month:02d}.{day:02d}"
    comma = "," if said.startswith(name) else ""
    return f"{said}{comma} {year}", f"D:{year}.{month:02d}.{day:02d}"


def _time(rng: random.Random, _: str) -> tuple[str, str]:
    part, first, last = rng.choice(PARTS_OF_DAY)
    hour = rng.randint(first, last)
    spoken = number_in_words((hour - 1) % 12 + 1)
    next_spoken = number_in_words(hour % 12 + 1)
    minute = rng.choice((0, 5, 10, 15, 20, 30, 30, 40, 45, 50))
    noted = f"T:{hour:02d}:{minute:02d}"
    if rng.random() < 0.35:
        suffix = "am" if hour < 12 else "pm"
        return f"{(hour - 1) % 12 + 1}:{minute:02d} {suffix}", noted
    said = {
        0: f"{spoken} o'clock",
        15: f"quarter past {spoken}",
        30: f"half past {spoken}",
        45: f"quarter to {next_spoken}",
    }.get(minute)
    if said is None and minute < 30:
        said = f"{number_in_words(minute)} past {spoken}"
    elif said is None:
        said = f"{number_in_words(60 - minute)} to {next_spoken}"
    # The part of the day names the hour meant: "quarter to twelve in the morning" is 11:45.
    return f"{said} {part}", noted


def _quantity(rng: random.Random, kind_of_quantity: str) -> tuple[str, str]:
    unit = rng.choice(UNITS_OF[kind_of_quantity])
    whole = rng.choice((*range(2, 21), 25, 30, 40, 50, 75, 80))
    kind = rng.random()
    if kind < 0.45:
        return f"{number_in_words(whole)} {unit}", f"Q:{whole}{UNITS[unit]}"
    if kind < 0.6:
        return f"{number_in_words(whole)} and a half {unit}", f"Q:{whole}.5{UNITS[unit]}"
    if kind < 0.7:
        return f"half a {unit.removesuffix('s')}", f"Q:0.5{UNITS[unit]}"
    return f"{whole} {unit}", f"Q:{whole}{UNITS[unit]}"


def _money(rng: random.Random, _: str) -> tuple[str, str]:
    currency = rng.choice(list(CURRENCIES))
    whole = rng.choice((*range(2, 21), 24, 35, 48, 60, 75, 90))
    cents = rng.choice((0, 0, 20, 50, 50, 80, 95))
    noted = f"M:{whole}.{cents:02d}{CURRENCIES[currency]}"
    words = rng.random() < 0.6
    amount = number_in_words(whole) if words else str(whole)
    if not cents:
        return f"{amount} {currency}", noted
    if words:
        return f"{amount} {currency} {number_in_words(cents)}", noted
    return f"{whole}.{cents:02d} {currency}", noted


def _minutes(rng: random.Random, _: str) -> tuple[str, str]:
    minutes = rng.choice((5, 10, 15, 20, 25, 30, 35, 40, 50, 55))
    return rng.choice(
        (
            (f"{number_in_words(minutes)} minutes", f"L:0h{minutes:02d}"),
            (f"{minutes} minutes", f"L:0h{minutes:02d}"),
            ("half an hour", "L:0h30"),
            (f"an hour and {number_in_words(minutes)} minutes", f"L:1h{minutes:02d}"),
        )
    )


def _span(rng: random.Random, _: str) -> tuple[str, str]:
    hours, minutes = rng.randint(2, 6), rng.choice((10, 20, 25, 40, 50))
    return rng.choice(
        (
            _minutes(rng, _),
            (f"{number_in_words(hours)} hours", f"L:{hours}h00"),
            (f"{number_in_words(hours)} and a half hours", f"L:{hours}h30"),
            ("an hour and a half", "L:1h30"),
            (f"{hours} hours and {minutes} minutes", f"L:{hours}h{minutes:02d}"),
        )
    )


def _days(rng: random.Random, _: str) -> tuple[str, str]:
    days = rng.randint(2, 19)
    said = number_in_words(days) if rng.random() < 0.6 else str(days)
    return f"{said} days", f"L:{days}d"


_DRAW: dict[str, Callable[[random.Random, str], tuple[str, str]]] = {
    "date": _date,
    "time": _time,
    "money": _money,
    "minutes": _minutes,
    "span": _span,
    "days": _days,
    **dict.fromkeys(UNITS_OF, _quantity),
}
