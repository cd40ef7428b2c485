"""Words and sentences that made-up tasks are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

THINGS = (
    "lantern", "kettle", "ladder", "saddle", "ribbon", "barrel", "candle", "anchor chain",
    "wagon", "mirror", "pillow", "hammock", "trumpet", "bucket", "compass", "blanket",
    "teapot", "sled", "basket", "drum", "kite", "helmet", "shovel", "clock",
    "bench", "curtain", "violin", "tent", "bottle", "stove", "rope", "chest",
)  # fmt: skip

WORDS = (
    "amber", "brisk", "cedar", "dune", "ember", "fable", "glade", "harbour", "island", "jolly",
    "kernel", "lofty", "meadow", "noble", "orchid", "pebble", "quiet", "river", "silver", "timber",
    "umbrella", "velvet", "willow", "yonder", "zephyr", "acorn", "bramble", "copper", "drift",
    "elm", "fern", "granite", "hazel", "ivory", "juniper", "kestrel", "lichen", "maple", "nimble",
    "old", "pine", "quartz", "rowan", "saffron", "tide", "upper", "valley", "wren", "yellow",
    "fox", "owl", "sky", "bay", "oak",
)  # fmt: skip

NAMES = (
    "Ada", "Bela", "Cosmo", "Dora", "Emil", "Fenna", "Goran", "Hilde", "Ivo", "Jutta", "Kari",
    "Lasse", "Mina", "Nils", "Orla", "Petra", "Quentin", "Rosa", "Sven", "Tilda", "Ulf", "Vera",
    "Wanda", "Yara", "Zeno",
)  # fmt: skip

PLACES = (
    "Aldmoor", "Brackwick", "Carrow", "Dunmere", "Eskholm", "Farholt", "Grimsay", "Hollinford",
    "Inverlow", "Kestwick", "Longmarsh", "Merrowby", "Northlea", "Oxcombe", "Pelham Sound",
    "Ravenny", "Saltry", "Thornby", "Ullsworth", "Wexcombe",
)  # fmt: skip

DOMAINS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "theatre": {
            "lights": ("spotlight", "dimmer", "gel filter", "follow spot", "floodlight"),
            "costumes": ("cloak", "corset", "wig", "waistcoat", "feathered hat"),
            "sound": ("microphone", "loudspeaker", "mixing desk", "thunder sheet", "headset"),
            "scenery": ("backdrop", "trapdoor", "painted flat", "paper moon", "staircase"),
            "seats": ("balcony row", "usher", "aisle chair", "box in the circle", "cushion"),
        },
        "bakery": {
            "dough": ("flour sack", "yeast", "sourdough jar", "kneading bowl", "batter"),
            "oven": ("baking stone", "thermostat", "oven door", "steam valve", "hot tray"),
            "shop": ("till", "display shelf", "paper bag", "price card", "front counter"),
            "cakes": ("marzipan", "icing", "sponge layer", "piping nozzle", "gingerbread"),
        },
        "harbour": {
            "ropes": ("mooring line", "bollard", "splice", "hawser", "fender knot"),
            "engines": ("propeller", "fuel pump", "gearbox", "cooling water", "exhaust pipe"),
            "sails": ("mainsail", "jib", "spinnaker", "batten", "reefing hook"),
            "charts": ("tide table", "sounding", "buoy list", "pilot book", "compass rose"),
            "catch": ("herring", "lobster pot", "ice crate", "fish scale", "landing net"),
        },
        "mountain hut": {
            "beds": ("bunk", "mattress", "sleeping bag liner", "pillowcase", "dormitory"),
            "meals": ("soup", "breakfast", "dumplings", "packed lunch", "tea water"),
            "paths": ("scree", "footbridge", "waymark", "snowfield", "fixed cable"),
            "weather": ("thunderstorm", "fog bank", "wind gust", "avalanche report", "frost"),
        },
        "music school": {
            "strings": ("cello", "viola", "bow hair", "rosin", "double bass"),
            "brass": ("tuba", "trombone", "cornet", "valve oil", "mouthpiece"),
            "rooms": ("practice cabin", "rehearsal hall", "broken radiator", "room key", "stage"),
            "fees": ("invoice", "discount", "term payment", "refund", "scholarship"),
            "lessons": ("Thursday class", "exam piece", "duet hour", "trial lesson", "recital"),
        },
        "farm": {
            "animals": ("heifer", "goat", "duckling", "ram", "piglet"),
            "machines": ("tractor", "baler", "plough", "milking machine", "trailer"),
            "crops": ("barley", "turnips", "rye", "clover", "sugar beet"),
            "buildings": ("barn roof", "silo", "henhouse", "stable gate", "cowshed"),
        },
        "cycling club": {
            "repairs": ("puncture", "bent spoke", "worn chain", "loose brake", "squeaking pedal"),
            "routes": ("coast road", "gravel loop", "steep pass", "detour", "canal path"),
            "races": ("time trial", "sprint", "start number", "relay", "finish line"),
            "clothes": ("jersey", "rain cape", "gloves", "padded shorts", "cap"),
        },
        "observatory": {
            "dome": ("shutter", "dome motor", "rail", "slit", "rubber seal"),
            "optics": ("mirror coating", "eyepiece", "lens", "finder scope", "filter wheel"),
            "targets": ("nebula", "comet", "double star", "asteroid", "ringed planet"),
            "visitors": ("school group", "guided tour", "ticket desk", "parking", "open evening"),
            "data": ("exposure log", "star catalogue", "dark frame", "hard disk", "spectrum"),
        },
        "print shop": {
            "paper": ("cardstock", "ream", "vellum", "envelope", "paper jam"),
            "ink": ("magenta", "toner", "ink roller", "varnish", "black cartridge"),
            "binding": ("staple", "spine", "thread", "glue pot", "folding machine"),
            "orders": ("poster order", "wedding card", "proof copy", "reprint", "quotation"),
        },
        "swimming pool": {
            "water": ("chlorine", "pool heater", "algae", "pump house", "foam"),
            "lockers": ("padlock", "lost token", "changing cabin", "hairdryer", "coat hook"),
            "courses": ("diving badge", "toddler group", "crawl class", "aqua gym", "swim test"),
            "kiosk": ("ice cream", "chips", "vending machine", "lemonade", "coffee"),
        },
    }
)
"""Places of work: for each what is done there, and what only that is about."""

_NOTES = (
    "Somebody asked about the {} again.",
    "Please see to the {} before noon.",
    "The {} is not where we left it.",
    "New on Monday: the {}.",
    "{}, third time this month.",
    "We have a question about the {}.",
    "Can you tell me more about the {}?",
    "I wrote to you last week because of the {}.",
    "Nothing but trouble with the {} today.",
    "Thanks for the quick help with the {}!",
    "The {} came up at the meeting.",
    "Note for tomorrow: {}.",
    "Who looks after the {} while Hilde is away?",
    "I would like to know what the {} costs us.",
    "{} - all fine now.",
    "Is the {} still being looked at?",
)


def draw_note(rng: Random, things: tuple[str, ...]) -> str:
    """A note that names one of some things.

    Args:
        rng: Draws the note.
        things: The things.
    """
    note = rng.choice(_NOTES).format(rng.choice(things))
    return note[0].upper() + note[1:]


def names(text: str, thing: str) -> bool:
    """Whether a text names a thing, as words of their own.

    Args:
        text: The text.
        thing: The thing.
    """
    return re.search(rf"\b{re.escape(thing)}\b", text, re.IGNORECASE) is not None


def draw_words(rng: Random, low: int, high: int) -> list[str]:
    """Different words.

    Args:
        rng: Draws them.
        low: Fewest words.
        high: Most words.
    """
    return rng.sample(WORDS, rng.randint(low, high))


def draw_labels(rng: Random, num: int) -> list[str]:
    """Labels that look alike and say nothing.

    Args:
        rng: Draws them.
        num: How many.
    """
    form = rng.randrange(6)
    numbers = rng.sample(range(10, 99), num)
    letters = rng.sample("ABCDEFGHKLMNPQRSTUVWXYZ", num)
    if form == 0:
        return [f"#{number}" for number in numbers]
    if form == 1:
        return [f"{letters[i].lower()}/{numbers[i]}" for i in range(num)]
    if form == 2:
        return [f"{letter}{letter}" for letter in letters]
    if form == 3:
        return [f"<{number}>" for number in numbers]
    if form == 4:
        start = rng.choice("KQVZ")
        return [f"{start}.{number}" for number in numbers]
    return rng.sample(("alfa", "bravo", "delta", "echo", "golf", "kilo", "lima", "oscar"), num)
