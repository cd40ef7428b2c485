"""Generate `command_json`: plain requests to a greenhouse, answered by one in-house command."""

from __future__ import annotations

import json
import random
import re

import command_wordings

# The value as it is said, and as it is written in the command where the two differ.
SLOTS: dict[str, dict[str, object]] = {
    "bay": {
        "north bay": "N", "south bay": "S", "fern house": "fern", "seedling tables": "seed",
        "orchid room": "orch", "long bench": "long", "palm corner": "palm", "herb beds": "herb",
    },
    "flap": {"roof": "roof", "east": "E", "west": "W", "gable": "gable"},
    "crop": {
        "tomatoes": "tom", "peppers": "pep", "cucumbers": "cuc", "lettuces": "let",
        "strawberries": "str", "aubergines": "aub", "melons": "mel",
    },
    "mix": {"bloom mix": "bloom", "root tonic": "root", "leaf mix": "leaf", "seaweed": "weed"},
    "probe": {
        "the humidity": "hum", "the air temperature": "temp", "the tank level": "tank",
        "the wind speed": "wind", "the soil moisture": "soil",
    },
    "tell": {
        "foreman": "fore", "night guard": "guard", "head gardener": "head", "owner": "boss",
        "whole team": "all",
    },
    "at": {
        "6:30 am": "06:30", "7 am": "07:00", "8:15 am": "08:15", "noon": "12:00", "2 pm": "14:00",
        "4:45 pm": "16:45", "7:20 pm": "19:20", "10 pm": "22:00", "midnight": "00:00",
    },
    "till": {
        "9 am": "09:00", "11:30 am": "11:30", "1 pm": "13:00", "3:15 pm": "15:15",
        "5 pm": "17:00", "6:40 pm": "18:40", "sunset": "dusk", "dawn": "dawn",
    },
    "min": {
        "5": 5, "eight": 8, "ten": 10, "12": 12, "fifteen": 15, "20": 20, "25": 25, "forty": 40,
    },
    "litres": {"six": 6, "9": 9, "14": 14, "30": 30, "fifty": 50, "75": 75, "120": 120},
    "pct": {"15": 15, "twenty": 20, "35": 35, "40": 40, "fifty": 50, "65": 65, "80": 80, "90": 90},
    "deg": {"14": 14, "sixteen": 16, "18": 18, "19": 19, "21": 21, "23": 23, "26": 26},
    "ml": {"40": 40, "sixty": 60, "85": 85, "ninety": 90, "150": 150, "220": 220, "300": 300},
    "sec": {"four": 4, "7": 7, "ten": 10, "18": 18, "thirty": 30, "45": 45},
    "gap": {"10": 10, "fifteen": 15, "25": 25, "thirty": 30, "50": 50, "ninety": 90},
    "days": {"two": 2, "3": 3, "four": 4, "five": 5, "6": 6, "9": 9},
    "over": {"28": 28, "thirty": 30, "55": 55, "70": 70, "88": 88},
    "under": {"six": 6, "11": 11, "17": 17, "twenty": 20, "33": 33},
    "kg": {"3": 3, "five": 5, "8": 8, "twelve": 12, "16": 16, "27": 27, "41": 41},
}  # fmt: skip
WORDINGS = {"train": command_wordings.TRAIN, "test": command_wordings.TEST}
PARTS = {"train": command_wordings.TRAIN_PARTS, "test": command_wordings.TEST_PARTS}
ROWS_PER_COMMAND = {"train": 43, "test": 53}
PART_SHARE = 0.45


def command_rows(split: str, seed: int) -> list[dict[str, str]]:
    """Draw the rows of one split, the same number for every command, in shuffled order."""
    rng = random.Random(f"command_json|{split}|{seed}")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for command, wordings in WORDINGS[split].items():
        made = 0
        while made < ROWS_PER_COMMAND[split]:
            number = made % len(wordings)
            prompt, arguments = _request(command, number, split, rng)
            if prompt.lower() in seen:
                continue
            seen.add(prompt.lower())
            made += 1
            rows.append(
                {
                    "prompt": prompt,
                    "response": json.dumps({"do": command, **arguments}),
                    "pattern": f"{command}/{split}-{number:02d}",
                }
            )
    rng.shuffle(rows)
    return rows


def _request(
    command: str, number: int, split: str, rng: random.Random
) -> tuple[str, dict[str, object]]:
    text, arguments = WORDINGS[split][command][number]
    end = "."
    if text.endswith("?"):
        text, end = text[:-1], "?"
    arguments = dict(arguments)
    if rng.random() < PART_SHARE:
        part, added = rng.choice(PARTS[split][command])
        text += part
        arguments.update(added)

    def fill(match: re.Match[str]) -> str:
        said = rng.choice(list(SLOTS[match[1]]))
        arguments[match[1]] = SLOTS[match[1]][said]
        return said

    text = re.sub(r"\{(\w+)\}", fill, text)
    text = text[0].upper() + text[1:] + end
    # One order of arguments for all rows: the same request has one right answer, to the letter.
    ordered = {name: arguments[name] for name in ARGUMENT_ORDER if name in arguments}
    return text, ordered


ARGUMENT_ORDER = (
    "bay", "flap", "crop", "mix", "probe", "min", "litres", "pct", "deg", "ml", "sec", "kg",
    "over", "under", "tell", "at", "till", "gap", "days", "span", "grade",
)  # fmt: skip
