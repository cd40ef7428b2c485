"""Skill families on rules given in the prompt: classify, look up, translate, compute, decide."""

from __future__ import annotations

import random

from number_words import number_in_words
from vocabulary import (
    ALL_WORDS,
    CATEGORIES,
    NAMES,
    THINGS,
    TOWNS,
    clear_kinds,
    commas,
    sentence,
    some_numbers,
    some_words,
)

Row = tuple[str, str]

# Made-up words for glossaries and labels; none of them is a word of a shipped task.
MADE_UP = (
    "zib", "lor", "tamu", "quel", "narr", "fosk", "brin", "uvo", "dapp", "selk", "mirro", "gant",
    "polu", "ressa", "hink", "jolt", "wemba", "cresk", "olti", "varn", "sipp", "yonto",
)  # fmt: skip
LABELS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "zeta")


def classify_by_kind(rng: random.Random) -> Row:
    """Give the label that a rule assigns to the kind of a word."""
    kinds = clear_kinds(rng, 3)
    labels = rng.sample(LABELS, 3)
    kind = rng.randrange(3)
    word = rng.choice(CATEGORIES[kinds[kind]])
    rule = commas([f"{k} are {label}" for k, label in zip(kinds, labels, strict=True)])
    ask = rng.choice(
        (
            "Rule: {r}. Which label does {w} get?",
            "{r}.\nLabel the word {w}.",
            "If {r}, what is {w}?",
            "Classes: {r}.\nWord: {w}\nClass:",
        )
    )
    return ask.format(r=rule, w=word), labels[kind]


def classify_by_size(rng: random.Random) -> Row:
    """Give the label that limits assign to a number."""
    low = rng.randint(10, 40)
    high = low + rng.randint(10, 50)
    labels = rng.choice(
        (("small", "medium", "large"), ("cold", "mild", "hot"), ("light", "normal", "heavy"))
    )
    number = rng.choice((low - 8, low - 3, low + 3, high - 3, high + 3, high + 20))
    rule = (
        f"below {low} is {labels[0]}, {low} to {high} is {labels[1]}, above {high} is {labels[2]}"
    )
    ask = rng.choice(
        (
            "Rule: {r}. What is {n}?",
            "{n}\nName its class: {r}.",
            "Use this scale: {r}. Value: {n}. Answer with one word.",
            "On a scale where {r}, how is {n} called?",
        )
    )
    answer = labels[0] if number < low else labels[1] if number <= high else labels[2]
    return ask.format(r=rule, n=number), answer


def look_up_key(rng: random.Random) -> Row:
    """Look a word up in a list of pairs."""
    keys = rng.sample(ALL_WORDS, 4)
    values = [str(n) for n in rng.sample(range(100, 999), 4)]
    if rng.random() < 0.5:
        values = rng.sample(MADE_UP, 4)
    i = rng.randrange(4)
    pairs = commas([f"{k} = {v}" for k, v in zip(keys, values, strict=True)])
    ask = rng.choice(
        (
            "{p}\nWhat is {k}?",
            "Use the key {p}. Which value has {k}?",
            "Look up {k}: {p}",
            "In this list, which entry belongs to {k}?\n{p}",
        )
    )
    return ask.format(p=pairs, k=keys[i]), values[i]


def look_up_backwards(rng: random.Random) -> Row:
    """Find the word that has a given value."""
    names = rng.sample(NAMES, 4)
    values = rng.sample(range(100, 999), 4)
    i = rng.randrange(4)
    pairs = commas([f"{n}: {v}" for n, v in zip(names, values, strict=True)])
    ask = rng.choice(
        (
            "{p}\nWho has the number {v}?",
            "Room list: {p}. Who is in room {v}?",
            "Whose entry is {v}? {p}",
            "Find the name that goes with {v}.\n{p}",
        )
    )
    return ask.format(p=pairs, v=values[i]), names[i]


def translate_by_glossary(rng: random.Random) -> Row:
    """Translate a phrase word by word with an invented glossary."""
    words = rng.sample(ALL_WORDS, 4)
    foreign = rng.sample(MADE_UP, 4)
    glossary = dict(zip(words, foreign, strict=True))
    phrase = rng.sample(words, rng.randint(2, 4))
    backwards = rng.random() < 0.3
    shown = " ".join(glossary[w] for w in phrase) if backwards else " ".join(phrase)
    answer = " ".join(phrase) if backwards else " ".join(glossary[w] for w in phrase)
    pairs = commas([f"{w} = {f}" for w, f in glossary.items()])
    ask = rng.choice(
        (
            "Glossary: {g}. Translate: {p}",
            "Translate word by word with this glossary.\n{g}\n{p}",
            "{g}\nSay in the other language: {p}",
            "With {g}, what does one write for: {p}",
        )
    )
    return ask.format(g=pairs, p=shown), answer


def encode_by_table(rng: random.Random) -> Row:
    """Replace every item by the sign a table gives."""
    words = rng.sample(ALL_WORDS, 3)
    signs = rng.sample(("+", "#", "*", "=", "%", "&", "@"), 3)
    table = dict(zip(words, signs, strict=True))
    items = rng.choices(words, k=rng.randint(3, 5))
    pairs = commas([f"{w} is {s}" for w, s in table.items()])
    ask = rng.choice(
        (
            "Signs: {t}. Write in signs: {i}",
            "Replace each word by its sign ({t}).\n{i}",
            "{t}\nEncode this with the signs: {i}",
            "Table: {t}\nTurn into signs, spaces between: {i}",
        )
    )
    return ask.format(t=pairs, i=" ".join(items)), " ".join(table[w] for w in items)


def sums_in_words(rng: random.Random) -> Row:
    """Add or subtract numbers written in words."""
    a, b = rng.randint(2, 40), rng.randint(2, 30)
    plus = rng.random() < 0.6
    if not plus and b > a:
        a, b = b, a
    result = a + b if plus else a - b
    sign = "plus" if plus else "minus"
    in_digits = rng.random() < 0.4
    how = "in digits" if in_digits else "in words"
    ask = rng.choice(
        (
            "What is {a} {s} {b}? Answer {h}.",
            "Work out {a} {s} {b} and write the result {h}.",
            "{a} {s} {b} makes how much? Give it {h}.",
            "Calculate: {a} {s} {b}. Result {h}:",
        )
    )
    text = ask.format(a=number_in_words(a), b=number_in_words(b), s=sign, h=how)
    return text[0].upper() + text[1:], str(result) if in_digits else number_in_words(result)


def story_sum(rng: random.Random) -> Row:
    """Solve a one-step word problem."""
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(("shells", "stamps", "coins", "pencils", "buttons", "badges", "cards"))
    a, b = rng.randint(6, 40), rng.randint(2, 20)
    b = min(b, a - 1)
    story, result = rng.choice(
        (
            (f"{name} has {a} {thing} and finds {b} more.", a + b),
            (f"{name} has {a} {thing} and gives {b} to {other}.", a - b),
            (f"{name} owned {a} {thing}, then {other} brought {b}.", a + b),
            (f"Of {name}'s {a} {thing}, {b} were lost.", a - b),
        )
    )
    ask = rng.choice(
        (
            "{s} How many {t} does {n} have now?",
            "{s}\nWrite the number of {t} that {n} has at the end.",
            "{s} Number of {t} now:",
            "How many {t} has {n} in the end? {s}",
        )
    )
    return ask.format(s=story, t=thing, n=name), str(result)


def number_to_words(rng: random.Random) -> Row:
    """Write a number in words, or the other way round."""
    number = rng.randint(11, 999)
    if rng.random() < 0.6:
        ask = rng.choice(
            (
                "Write {n} in words.",
                "How do you spell the number {n}?",
                "Put {n} into letters instead of digits.",
                "The number {n}, written out:",
            )
        )
        return ask.format(n=number), number_in_words(number)
    ask = rng.choice(
        (
            "Write in digits: {w}",
            "Which figure is {w}?",
            "{w}\nThe same in figures, please.",
            "Change the words to digits: {w}",
        )
    )
    return ask.format(w=number_in_words(number)), str(number)


def true_or_false(rng: random.Random) -> Row:
    """Decide whether a claim says the same as a fact; a false one has another name or thing."""
    text = sentence(rng)
    name = text.split()[0]
    thing = next(word for word in text.rstrip(".").split() if word in THINGS)
    kind = rng.choice(("same", "same", "name", "thing"))
    claim = text
    if kind == "name":
        claim = text.replace(name, rng.choice([n for n in NAMES if n != name]), 1)
    elif kind == "thing":
        # A thing with the same kind of first letter keeps the article in front of it right.
        others = [t for t in THINGS if t != thing and (t[0] in "aeiou") == (thing[0] in "aeiou")]
        claim = text.replace(thing, rng.choice(others), 1)
    ask = rng.choice(
        (
            "Fact: {f}\nClaim: {c}\nIs the claim true or false?",
            "{f}\nTrue or false: {c}",
            "Given: {f} Then this is true or false? {c}",
            "Check the second line against the first; say true or false.\n{f}\n{c}",
        )
    )
    return ask.format(f=text, c=claim), "true" if kind == "same" else "false"


def if_then_rule(rng: random.Random) -> Row:
    """Apply a rule with a condition to a word or number."""
    if rng.random() < 0.5:
        limit, number = rng.randint(20, 60), rng.randint(5, 90)
        yes, no = rng.sample(MADE_UP, 2)
        rule = f'If the number is over {limit}, say "{yes}", otherwise "{no}".'
        subject, answer = str(number), yes if number > limit else no
    else:
        letter = rng.choice("aeiorst")
        word = rng.choice(ALL_WORDS)
        yes, no = rng.sample(MADE_UP, 2)
        rule = f'If the word contains the letter {letter}, say "{yes}", otherwise "{no}".'
        subject, answer = word, yes if letter in word else no
    ask = rng.choice(
        (
            "{r}\n{s}",
            "{r} The case: {s}",
            "Follow the rule. {r}\nInput: {s}",
            "Input: {s}\n{r}",
        )
    )
    return ask.format(r=rule, s=subject), answer


def swap_format(rng: random.Random) -> Row:
    """Change the signs between items or between name and town."""
    if rng.random() < 0.5:
        items = some_words(rng, 3, 5) if rng.random() < 0.6 else some_numbers(rng, 3, 5)
        (one, one_name), (two, two_name) = rng.sample(
            [(", ", "commas"), (" | ", "bars"), ("; ", "semicolons"), (" > ", "arrows")], 2
        )
        shown, answer = one.join(map(str, items)), two.join(map(str, items))
        ask = rng.choice(
            (
                "Use {b} instead of {a}: {s}",
                "{s}\nExchange the {a} for {b}.",
                "Separate these items by {b}, not by {a}.\n{s}",
                "Change all {a} to {b}: {s}",
            )
        )
        return ask.format(a=one_name, b=two_name, s=shown), answer
    name, town = rng.choice(NAMES), rng.choice(TOWNS)
    ask = rng.choice(
        (
            'Rewrite "{n} ({t})" in the form TOWN: NAME.',
            "{n} ({t})\nWrite town, colon, name.",
            "Turn {n} ({t}) round so that the town comes first, then a colon and the name.",
            "From NAME (TOWN) to TOWN: NAME. {n} ({t})",
        )
    )
    return ask.format(n=name, t=town), f"{town}: {name}"


FAMILIES = (
    classify_by_kind, classify_by_size, look_up_key, look_up_backwards, translate_by_glossary,
    encode_by_table, sums_in_words, story_sum, number_to_words, true_or_false, if_then_rule,
    swap_format,
)  # fmt: skip
