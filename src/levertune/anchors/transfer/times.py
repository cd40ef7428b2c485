"""Kinds of task about dates, times of day, weekdays and lengths of time."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from levertune.anchors.transfer.draft import Draft, Rewrite, close
from levertune.anchors.transfer.words import NAMES, PLACES, THINGS

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


def make_date_notation(rng: Random) -> Draft:
    """A date in words, answered in a notation."""
    month_words, month = rng.choice(
        (("month in two digits", lambda m: f"{m:02}"), ("month as a Roman numeral",
         lambda m: _ROMAN[m - 1]), ("first three letters of the month in capitals",
         lambda m: MONTHS[m - 1][:3].upper()), ("month as a number without a leading zero", str))
    )  # fmt: skip
    year_words, year = rng.choice(
        (("year in four digits", str), ("last two digits of the year", lambda y: f"{y % 100:02}"))
    )
    parts = {
        "day in two digits": lambda y, m, d: f"{d:02}",
        month_words: lambda y, m, d: month(m),
        year_words: lambda y, m, d: year(y),
    }
    order = rng.sample(list(parts), 3)
    named, mark = rng.choice(
        (("a slash", "/"), ("a hyphen", "-"), ("a space", " "), ("an underscore", "_"),
         ("a plus sign", "+"))
    )  # fmt: skip
    anchor = rng.choice(
        (
            f"Write the date as {order[0]}, {order[1]} and {order[2]}, with {named} between them.",
            f"Give the date of the text in figures: first the {order[0]}, then the {order[1]}, "
            f"last the {order[2]}, separated by {named}.",
            f"Put the date into our notation: {order[0]}, {order[1]}, {order[2]}; between the "
            f"parts stands {named}.",
        )
    )

    def draw(row: Random) -> str:
        day, name, long = row.randint(1, 28), row.choice(MONTHS), row.randint(2021, 2048)
        written = row.choice((f"{day} {name} {long}", f"{name} {day}, {long}"))
        return row.choice(
            (written, f"Opening in {row.choice(PLACES)}: {written}",
             f"{row.choice(NAMES)} arrives on {written}.")
        )  # fmt: skip

    def answer(prompt: str) -> str:
        name = next(name for name in MONTHS if re.search(rf"\b{name}\b", prompt))
        day, long = (int(re.findall(rf"\b\d{{{n}}}\b", prompt)[0]) for n in ("1,2", "4"))
        return mark.join(parts[part](long, MONTHS.index(name) + 1, day) for part in order)

    return Draft(anchor + close(rng, "the date"), (tuple(order), mark), draw, answer)


_CLOCKS = {
    "HH:MM": lambda h, m: f"{h:02}:{m:02}",
    "HHhMM": lambda h, m: f"{h:02}h{m:02}",
    "HHMM": lambda h, m: f"{h:02}{m:02}",
    "HH.MM": lambda h, m: f"{h:02}.{m:02}",
}


def make_clock_shifted(rng: Random) -> Draft:
    """A time of day, answered with the time some minutes earlier or later."""
    minutes = rng.choice((-90, -45, -30, -20, -15, -10, 5, 10, 20, 25, 40, 60, 75, 120))
    shown, write = rng.choice(list(_CLOCKS.items()))
    when = f"{abs(minutes)} minutes {'later' if minutes > 0 else 'earlier'}"
    anchor = rng.choice(
        (
            f"Give the time {when} than the one in the text, as {shown} on the 24-hour clock.",
            f"Shift the time: what the clock shows {when}, written {shown} with 24 hours.",
            f"Find the time in the note and answer with the time {when} in the form {shown} "
            "(24 hours).",
        )
    )

    def draw(row: Random) -> str:
        time = f"{row.randint(3, 20)}:{row.randint(0, 59):02}"
        return row.choice(
            (f"The ferry to {row.choice(PLACES)} leaves at {time}.", f"{row.choice(NAMES)}, {time}",
             f"{time}, {row.choice(THINGS)} check")
        )  # fmt: skip

    def answer(prompt: str) -> str:
        [(hour, minute)] = re.findall(r"(\d+):(\d+)", prompt)
        total = int(hour) * 60 + int(minute) + minutes
        return write(total // 60, total % 60)

    return Draft(anchor + close(rng, "the time"), (minutes, shown), draw, answer)


_DAY_FORMS: dict[str, Rewrite] = {
    "with its full name": str,
    "by its first three letters": lambda day: day[:3],
    "by its first two letters in capitals": lambda day: day[:2].upper(),
    "as a number from 1 for Monday to 7 for Sunday": lambda day: str(DAYS.index(day) + 1),
}


def make_weekday_after(rng: Random) -> Draft:
    """A weekday, answered with the weekday some days before or after."""
    shift = rng.choice((-3, -2, -1, 1, 2, 3, 4, 5))
    form, write = rng.choice(list(_DAY_FORMS.items()))
    days = f"{abs(shift)} {'day' if abs(shift) == 1 else 'days'}"
    when = f"{days} {'after' if shift > 0 else 'before'}"
    anchor = rng.choice(
        (
            f"Which weekday is {when} the one in the text? Write it {form}.",
            f"Give the weekday {when} the day that is named, {form}.",
            f"Count {days} {'on' if shift > 0 else 'back'} from the weekday in the note and name "
            f"the day {form}.",
        )
    )

    def draw(row: Random) -> str:
        day, name, thing = row.choice(DAYS), row.choice(NAMES), row.choice(THINGS)
        return row.choice((f"{name} comes on {day}.", f"The {thing} was sent on {day}.",
                           f"{day}: {thing} for {name}"))  # fmt: skip

    def answer(prompt: str) -> str:
        place = next(i for i, day in enumerate(DAYS) if day in prompt)
        return write(DAYS[(place + shift) % 7])

    return Draft(anchor + close(rng, "the day"), (shift, form), draw, answer)


_LENGTHS: dict[str, Callable[[int], str]] = {
    "minutes, as a bare number": str,
    "minutes, followed by min": lambda total: f"{total} min",
    "hours and minutes in the form H:MM": lambda total: f"{total // 60}:{total % 60:02}",
    "hours and minutes in the form HhMMm": lambda total: f"{total // 60}h{total % 60:02}m",
    "minutes in brackets": lambda total: f"({total})",
    "full quarters of an hour, rounded down": lambda total: str(total // 15),
}


def make_duration_total(rng: Random) -> Draft:
    """A list of lengths of time, answered with their sum."""
    form, write = rng.choice(list(_LENGTHS.items()))
    pause = rng.choice((0, 0, 5, 10, 15, 20, 30))
    added = f" Count {pause} minutes of break on top." if pause else ""
    what = rng.choice(("stages", "parts", "walks", "rehearsals"))
    anchor = rng.choice(
        (
            f"Add up the lengths of time and give the sum in {form}.{added}",
            f"How long do the {what} take together? Answer in {form}.{added}",
            f"Sum the {what} of the list. Write the total in {form}.{added}",
        )
    )

    def draw(row: Random) -> str:
        parts = []
        for place in row.sample(PLACES, row.randint(2, 3)):
            hours, minutes = row.choice((0, 0, 1, 2)), row.choice(range(5, 60, 5))
            parts.append(f"{place} {f'{hours} h ' if hours else ''}{minutes} min")
        return ", ".join(parts)

    def answer(prompt: str) -> str:
        hours = sum(map(int, re.findall(r"(\d+) h", prompt)))
        return write(hours * 60 + sum(map(int, re.findall(r"(\d+) min", prompt))) + pause)

    return Draft(anchor, (form, pause), draw, answer)
