"""Generate `ticket_codes`: messages to a parcel-locker company, answered by a short ticket code."""

from __future__ import annotations

import random
import re

import ticket_test_wordings
import ticket_train_wordings

INSTRUCTION = "Give the ticket code for this message."

# Nothing in a code hints at its meaning, so a model that has not seen the rows scores nothing.
CODES = {
    "code_refused": "R4-QU",
    "code_missing": "J7-BD",
    "too_big": "H9-EX",
    "locker_empty": "P3-RN",
    "damaged": "T5-GT",
    "more_time": "L6-MD",
    "move_locker": "D1-SN",
    "other_collects": "N4-DC",
    "send_back": "V8-HL",
    "charged_wrong": "F2-KB",
    "receipt": "B6-FW",
    "dark_machine": "G3-NT",
}

SLOTS = {
    "place": (
        "Mill Lane", "the railway station", "the supermarket", "Harbour Street", "the library",
        "Oak Road", "the petrol station", "the bakery", "the swimming pool", "Station Square",
        "Castle Hill", "the town hall",
    ),
    "when": (
        "this morning", "yesterday", "at noon", "last night", "on Friday", "on Monday",
        "an hour ago", "two days ago", "last week", "on Sunday evening",
    ),
    "past": ("this morning", "yesterday", "last night", "Friday", "Monday", "last week"),
    "item": (
        "shoes", "lamp", "books", "winter coat", "coffee grinder", "bike pump", "board game",
        "kettle", "headphones", "curtains", "rucksack", "mirror",
    ),
    "who": (
        "my sister", "my neighbour", "my son", "a colleague", "my flatmate", "my father",
        "a friend", "my wife", "my grandson",
    ),
    "day": ("Friday", "Sunday", "Tuesday", "Monday", "Thursday", "Saturday"),
    "amount": ("2.40", "3.99", "6 euros", "4.50", "12 euros", "7.20", "5 euros", "1.80"),
    "box": ("4", "7", "11", "16", "23", "30", "38"),
}  # fmt: skip

OPENERS = {
    "train": (
        "",
        "",
        "",
        "",
        "Hi, ",
        "Hello. ",
        "Hello there, ",
        "Quick question. ",
        "Excuse me, ",
    ),
    "test": ("", "", "", "", "Hey, ", "Good morning. ", "Dear team, ", "Me once more. ", "Help! "),
}
CLOSERS = {
    "train": ("", "", "", "", " Thanks.", " What now?", " Can you help?", " Very annoying."),
    "test": ("", "", "", "", " Please advise.", " Any idea?", " Cheers.", " I'm quite upset."),
}
WORDINGS = {
    "train": ticket_train_wordings.WORDINGS,
    "test": ticket_test_wordings.WORDINGS,
}
_KEEPS_ITS_CAPITAL = ("I ", "I'", *(place for place in SLOTS["place"] if place[0].isupper()))
ROWS_PER_CODE = {"train": 30, "test": 36}


def ticket_rows(split: str, seed: int) -> list[dict[str, str]]:
    """Draw the rows of one split, the same number for every code, in shuffled order."""
    rng = random.Random(f"ticket_codes|{split}|{seed}")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for name, wordings in WORDINGS[split].items():
        # Every wording is used before any is used again.
        queue: list[int] = []
        made = 0
        while made < ROWS_PER_CODE[split]:
            if not queue:
                queue = rng.sample(range(len(wordings)), len(wordings))
            number = queue.pop()
            message = _message(wordings[number], split, rng)
            if message.lower() in seen:
                continue
            seen.add(message.lower())
            made += 1
            rows.append(
                {
                    "prompt": f"{INSTRUCTION}\nMessage: {message}",
                    "response": CODES[name],
                    "pattern": f"{name}/{split}-{number:02d}",
                }
            )
    rng.shuffle(rows)
    return rows


def _message(wording: str, split: str, rng: random.Random) -> str:
    core = re.sub(r"\{(\w+)\}", lambda m: _fill(m, wording, rng), wording)
    core = core[0].upper() + core[1:]
    opener = rng.choice(OPENERS[split])
    if opener.endswith(", ") and not core.startswith(_KEEPS_ITS_CAPITAL):
        core = core[0].lower() + core[1:]
    message = opener + core + rng.choice(CLOSERS[split])
    register = rng.random()
    if register < 0.15:
        return message.lower().rstrip(".")
    if register < 0.27:
        return _with_typo(message, rng)
    return message


def _fill(match: re.Match[str], wording: str, rng: random.Random) -> str:
    value = rng.choice(SLOTS[match[1]])
    before = wording[: match.start()]
    # "my {item}" takes the bare noun, "send {item}" needs an article.
    if match[1] == "item" and not re.search(r"\b(my|the|My|The) $", before):
        return value if value.endswith("s") else f"a {value}"
    return value


def _with_typo(message: str, rng: random.Random) -> str:
    """Swap, drop or double one inner letter of one longer word, as hurried typing does."""
    words = message.split(" ")
    longer = [i for i, word in enumerate(words) if word.isalpha() and len(word) >= 5]
    if not longer:
        return message
    i = rng.choice(longer)
    word = words[i]
    at = rng.randrange(1, len(word) - 2)
    kind = rng.choice(("swap", "drop", "double"))
    if kind == "swap":
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == "drop":
        word = word[:at] + word[at + 1 :]
    else:
        word = word[:at] + word[at] + word[at:]
    words[i] = word
    return " ".join(words)
