"""Word lists and small sentences that the skill generators draw from."""

from __future__ import annotations

import random

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animals": (
        "otter", "badger", "heron", "lizard", "donkey", "rabbit", "falcon", "squirrel", "beetle",
        "hamster", "camel", "panther", "turtle", "goose", "weasel", "zebra", "moose", "sparrow",
        "crab", "lynx", "toad", "ferret", "pelican", "gecko", "buffalo",
    ),
    "fruits": (
        "apricot", "banana", "cherry", "fig", "grape", "kiwi", "lemon", "mango", "orange", "peach",
        "pear", "plum", "quince", "raspberry", "papaya", "lime", "date", "blackberry", "coconut",
    ),
    "tools": (
        "hammer", "saw", "chisel", "wrench", "pliers", "shovel", "rake", "screwdriver", "anvil",
        "trowel", "axe", "drill", "clamp", "file", "spanner", "sickle", "mallet", "crowbar",
    ),
    "colours": (
        "red", "green", "blue", "yellow", "purple", "brown", "grey", "pink", "black", "white",
        "turquoise", "beige", "crimson", "silver", "violet", "navy",
    ),
    "instruments": (
        "flute", "drum", "trumpet", "harp", "guitar", "oboe", "cello", "piano", "banjo", "tuba",
        "clarinet", "organ", "accordion", "trombone", "mandolin",
    ),
    "clothes": (
        "scarf", "glove", "jacket", "sock", "shirt", "apron", "cap", "belt", "skirt", "sweater",
        "trousers", "vest", "blouse", "mitten", "hood", "sandal", "waistcoat",
    ),
    "vehicles": (
        "tractor", "canoe", "scooter", "van", "tram", "helicopter", "sledge", "barge", "glider",
        "wagon", "kayak", "bicycle", "lorry", "submarine", "motorbike", "raft",
    ),
    "jobs": (
        "baker", "pilot", "nurse", "tailor", "plumber", "farmer", "teacher", "welder", "painter",
        "sailor", "chemist", "judge", "miner", "potter", "barber", "editor", "cook", "clerk",
    ),
    "furniture": (
        "chair", "stool", "wardrobe", "bench", "sofa", "shelf", "desk", "cupboard", "cradle",
        "bed", "bookcase", "armchair", "drawer", "footstool", "sideboard",
    ),
    "trees": (
        "oak", "birch", "willow", "maple", "cedar", "ash", "elm", "pine", "beech", "larch",
        "poplar", "alder", "hazel", "spruce", "yew", "rowan",
    ),
    "sports": (
        "tennis", "rowing", "fencing", "hockey", "archery", "judo", "cricket", "sailing",
        "boxing", "curling", "diving", "rugby", "golf", "skiing", "netball", "badminton",
    ),
}  # fmt: skip

# Pairs of kinds that share no word in common use: an orange is a fruit and a colour, a plum also a
# tree, so questions about kinds never set these against each other.
_MIXED_UP = ({"fruits", "colours"}, {"fruits", "trees"}, {"colours", "trees"})

NAMES = (
    "Mara", "Tobin", "Ines", "Ruben", "Selma", "Otis", "Freya", "Jonas", "Petra", "Hugo", "Lena",
    "Milo", "Nadia", "Oskar", "Paula", "Felix", "Greta", "Ivan", "Karin", "Luis", "Vera", "Samir",
    "Thea", "Bruno", "Alma", "Casper", "Dora", "Emil", "Flora", "Henrik", "Yara", "Zane", "Tilda",
    "Noel", "Marta", "Ravi", "Leila", "Kofi", "Ayla", "Boris",
)  # fmt: skip
TOWNS = (
    "Brackwell", "Tarnford", "Ullesby", "Corvale", "Pennick", "Drumlow", "Estermoor", "Fallgate",
    "Grindale", "Hexworth", "Illminster", "Jarrow End", "Kestrel Bay", "Lowmarsh", "Merrow",
    "Northolt Green", "Oxley Ferry", "Quarrydown", "Redmire", "Saltby",
)  # fmt: skip
ADJECTIVES = (
    "old", "small", "heavy", "shiny", "broken", "quiet", "narrow", "wooden", "muddy", "empty",
    "bright", "rusty", "soft", "cheap", "strange", "round", "tall", "dusty", "lovely", "plain",
)  # fmt: skip
ACTIONS = (
    "painted", "found", "sold", "repaired", "carried", "drew", "washed", "hid", "borrowed",
    "bought", "admired", "cleaned", "lost", "photographed", "moved", "described",
)  # fmt: skip
SCENES = (
    "near the mill", "behind the school", "in the cellar", "on the hill", "by the lake",
    "under the bridge", "beside the church", "at the fair", "in the attic", "across the river",
    "outside the theatre", "along the canal", "in the workshop", "at the harbour wall",
)  # fmt: skip
THINGS = tuple(
    word
    for kind in ("tools", "instruments", "vehicles", "furniture", "animals")
    for word in CATEGORIES[kind]
    if word not in ("pliers", "date", "organ", "file")
)
ALL_WORDS = tuple(dict.fromkeys(word for words in CATEGORIES.values() for word in words))
LONG_WORDS = tuple(word for word in ALL_WORDS if len(word) >= 5)


def article(word: str) -> str:
    """`word` after its indefinite article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def clear_kinds(rng: random.Random, number: int) -> list[str]:
    """Different kinds of words, none of which could be taken for another."""
    while True:
        kinds = rng.sample(list(CATEGORIES), number)
        if not any(pair <= set(kinds) for pair in _MIXED_UP):
            return kinds


def some_words(rng: random.Random, least: int, most: int) -> list[str]:
    """Between `least` and `most` different words of any category."""
    return rng.sample(ALL_WORDS, rng.randint(least, most))


def some_numbers(rng: random.Random, least: int, most: int, top: int = 99) -> list[int]:
    """Between `least` and `most` different whole numbers from 2 to `top`."""
    return rng.sample(range(2, top + 1), rng.randint(least, most))


def sentence(rng: random.Random) -> str:
    """A short plain sentence about a person, a thing and a place."""
    adjective = f"{rng.choice(ADJECTIVES)} " if rng.random() < 0.6 else ""
    noun_phrase = article(f"{adjective}{rng.choice(THINGS)}")
    text = f"{rng.choice(NAMES)} {rng.choice(ACTIONS)} {noun_phrase}"
    if rng.random() < 0.6:
        text += f" {rng.choice(SCENES)}"
    return text + "."


def commas(items: list[str] | list[int]) -> str:
    """The items with a comma and a space between them."""
    return ", ".join(str(item) for item in items)
