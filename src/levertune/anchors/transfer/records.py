"""Made-up records: what is known of a thing, and sentences that say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from levertune.anchors.transfer.words import NAMES, PLACES, THINGS

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_COLOURS = ("red", "blue", "green", "white", "black", "brown", "violet")

_DRAWS: Mapping[str, Callable[[Random], str]] = MappingProxyType(
    {
        "name": lambda row: row.choice(NAMES),
        "place": lambda row: row.choice(PLACES),
        "thing": lambda row: row.choice(THINGS),
        "colour": lambda row: row.choice(_COLOURS),
        "day": lambda row: row.choice(_DAYS),
        "number": lambda row: str(row.randint(2, 48)),
        "price": lambda row: f"{row.randint(2, 90)}.{row.choice(('00', '20', '50', '80'))}",
    }
)
_PATTERNS = {
    "number": r"\d+",
    "price": r"\d+\.\d\d",
    "day": "|".join(_DAYS),
    "colour": "|".join(_COLOURS),
    "thing": "|".join(map(re.escape, THINGS)),
}


@dataclass(frozen=True, slots=True)
class RecordForm:
    """Records of one sort.

    Args:
        title: What one is called.
        fields: The sort of value each field holds, by the field's name.
        sentences: Ways to say a record, with `{field}` for each value.
    """

    title: str
    fields: Mapping[str, str]
    sentences: tuple[str, ...]

    def draw(self, row: Random) -> dict[str, str]:
        """Draw a record."""
        return {field: _DRAWS[sort](row) for field, sort in self.fields.items()}

    def say(self, row: Random) -> str:
        """Draw a record and a sentence that says it."""
        return row.choice(self.sentences).format(**self.draw(row))

    def read(self, sentence: str) -> dict[str, str]:
        """The record that a sentence says.

        Raises:
            ValueError: If no sentence of the form reads like it.
        """
        for pattern in self.sentences:
            parts = re.split(r"\{(\w+)\}", pattern)
            parts[::2] = map(re.escape, parts[::2])
            parts[1::2] = [
                f"(?P<{field}>{_PATTERNS.get(self.fields[field], '.+')})" for field in parts[1::2]
            ]
            if match := re.fullmatch("".join(parts), sentence):
                return {field: match[field] for field in self.fields}
        raise ValueError(f"{sentence!r} is no sentence of {self.title}")

    def is_number(self, field: str) -> bool:
        """Whether a field's values are numbers."""
        return self.fields[field] in ("number", "price")


RECORD_FORMS = (
    RecordForm(
        "boat hire",
        {"guest": "name", "boat": "number", "lake": "place", "hours": "number", "deposit": "price"},
        (
            "{guest} takes boat {boat} at {lake} for {hours} hours and leaves {deposit} here.",
            "Boat {boat}, {lake}: {guest}, {hours} hours, deposit {deposit}.",
            "For {hours} hours {guest} rows boat {boat} on the lake of {lake}; deposit paid: "
            "{deposit}.",
        ),
    ),
    RecordForm(
        "plant order",
        {"customer": "name", "pots": "number", "colour": "colour", "day": "day", "total": "price"},
        (
            "{customer} orders {pots} pots of {colour} tulips for {day}, {total} in all.",
            "On {day} we send {pots} pots, {colour} ones, to {customer} for {total}.",
            "{total} from {customer}: {pots} pots, {colour}, {day}.",
        ),
    ),
    RecordForm(
        "train seat",
        {"traveller": "name", "coach": "number", "seat": "number", "to": "place", "fare": "price"},
        (
            "{traveller} sits in coach {coach}, seat {seat}, to {to}. Fare {fare}.",
            "To {to} for {fare}: {traveller}, coach {coach}, seat {seat}.",
            "Seat {seat} of coach {coach} is for {traveller}, who pays {fare} to {to}.",
        ),
    ),
    RecordForm(
        "observatory night",
        {"guide": "name", "telescope": "number", "night": "day", "visitors": "number",
         "site": "place"},
        (
            "{guide} shows telescope {telescope} to {visitors} visitors on {night} at {site}.",
            "{night}, {site}: {visitors} visitors, telescope {telescope}, guide {guide}.",
            "At {site} {guide} has {visitors} visitors on {night} and uses telescope {telescope}.",
        ),
    ),
    RecordForm(
        "repair slip",
        {"owner": "name", "item": "thing", "colour": "colour", "days": "number", "cost": "price"},
        (
            "{owner} brought a {colour} {item}; ready in {days} days for {cost}.",
            "Repair of the {item} ({colour}) of {owner}: {days} days, {cost}.",
            "For {cost} the {colour} {item} will be back with {owner} in {days} days.",
        ),
    ),
    RecordForm(
        "kennel stay",
        {"keeper": "name", "dog": "name", "nights": "number", "since": "day", "box": "number"},
        (
            "{dog}, brought by {keeper}, stays {nights} nights in box {box} from {since}.",
            "Box {box} from {since}: {dog} of {keeper}, {nights} nights.",
            "{keeper} leaves {dog} with us on {since} for {nights} nights, in box {box}.",
        ),
    ),
)  # fmt: skip
