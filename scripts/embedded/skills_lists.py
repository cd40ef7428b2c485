"""Skill families on lists: sort, reverse, filter, compare, count, find the odd one out."""

from __future__ import annotations

import random

from vocabulary import (
    ALL_WORDS,
    CATEGORIES,
    NAMES,
    clear_kinds,
    commas,
    some_numbers,
    some_words,
)

Row = tuple[str, str]


def sort_words(rng: random.Random) -> Row:
    """Sort words by the alphabet, forwards or backwards."""
    words = some_words(rng, 3, 6)
    order, backwards = rng.choice(
        (("from A to Z", False), ("alphabetically", False), ("from Z to A", True))
    )
    ask = rng.choice(
        (
            "Sort these words {o}: {w}",
            "Put the list in order {o}.\n{w}",
            "{w}\nArrange them {o}.",
            "Order the following words {o}, with commas between them: {w}",
        )
    )
    if order == "alphabetically":
        ask = ask.replace("in order {o}", "in order, {o}")
    return ask.format(o=order, w=commas(words)), commas(sorted(words, reverse=backwards))


def sort_numbers(rng: random.Random) -> Row:
    """Sort numbers up or down."""
    numbers = some_numbers(rng, 3, 6)
    order, backwards = rng.choice(
        (("from smallest to largest", False), ("from largest to smallest", True))
    )
    ask = rng.choice(
        (
            "Sort these numbers {o}: {n}",
            "Write the numbers {o}.\n{n}",
            "{n}\nOrder them {o}.",
            "Line up the following {o}: {n}",
        )
    )
    return ask.format(o=order, n=commas(numbers)), commas(sorted(numbers, reverse=backwards))


def reverse_list(rng: random.Random) -> Row:
    """Write a list backwards."""
    words = some_words(rng, 3, 6)
    ask = rng.choice(
        (
            "Reverse the order of this list: {w}",
            "Write the list backwards, last item first.\n{w}",
            "{w}\nNow the same items in the opposite order.",
            "Turn the sequence round: {w}",
        )
    )
    return ask.format(w=commas(words)), commas(words[::-1])


def remove_repeats(rng: random.Random) -> Row:
    """Keep the first of each repeated item."""
    words = some_words(rng, 3, 5)
    repeated = words + rng.choices(words, k=rng.randint(1, 3))
    rng.shuffle(repeated)
    ask = rng.choice(
        (
            "Remove the repeated items, keep the first of each: {w}",
            "Drop duplicates and keep the order.\n{w}",
            "{w}\nWrite each item only once, in order of first appearance.",
            "List every different word once, as first met: {w}",
        )
    )
    return ask.format(w=commas(repeated)), commas(list(dict.fromkeys(repeated)))


def filter_by_letter(rng: random.Random) -> Row:
    """Keep the words with a given first or last letter."""
    words = some_words(rng, 4, 7)
    word = rng.choice(words)
    side, letter = rng.choice((("start", word[0]), ("end", word[-1])))
    kept = [w for w in words if (w[0] if side == "start" else w[-1]) == letter]
    ask = rng.choice(
        (
            'Keep only the words that {s} with "{l}": {w}',
            "Which of these words {s} with the letter {l}?\n{w}",
            '{w}\nList those that {s} with "{l}", in the same order.',
            "Pick out the words whose spelling {s}s with {l}: {w}",
        )
    )
    return ask.format(s=side, l=letter, w=commas(words)), commas(kept)


def filter_numbers(rng: random.Random) -> Row:
    """Keep the numbers above or below a limit."""
    numbers = some_numbers(rng, 4, 7)
    limit = sorted(numbers)[len(numbers) // 2]
    if rng.random() < 0.5:
        limit, words = limit - 1, ("greater than", "above")
        kept = [n for n in numbers if n > limit]
    else:
        words = ("less than", "below")
        kept = [n for n in numbers if n < limit]
    ask = rng.choice(
        (
            "Keep only the numbers {w} {x}: {n}",
            "Which of these numbers are {w} {x}?\n{n}",
            "{n}\nList those {w} {x}, in the same order.",
            "From the following, write the ones {w} {x}: {n}",
        )
    )
    return ask.format(w=rng.choice(words), x=limit, n=commas(numbers)), commas(kept)


def odd_one_out(rng: random.Random) -> Row:
    """Name the word of another kind."""
    kind, other = clear_kinds(rng, 2)
    odd = rng.choice(CATEGORIES[other])
    words = [*rng.sample(CATEGORIES[kind], 3), odd]
    rng.shuffle(words)
    ask = rng.choice(
        (
            "Which word does not belong with the others? {w}",
            "Find the odd one out: {w}",
            "{w}\nThree of these are of one kind. Which is not?",
            "One item is of a different kind. Name it.\n{w}",
        )
    )
    return ask.format(w=commas(words)), odd


def nth_item(rng: random.Random) -> Row:
    """Give the item at a place of a list."""
    words = some_words(rng, 4, 7)
    index = rng.randrange(len(words))
    place = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")[index]
    ask = rng.choice(
        (
            "Name the {p} item of this list: {w}",
            "{w}\nWhich item is the {p}?",
            "What stands in {p} place?\n{w}",
            "Give me the {p} entry only: {w}",
        )
    )
    return ask.format(p=place, w=commas(words)), words[index]


def extreme_word(rng: random.Random) -> Row:
    """Find the longest or shortest word; its length is unique in the list."""
    longest = rng.random() < 0.5
    while True:
        words = some_words(rng, 3, 5)
        best = (max if longest else min)(len(w) for w in words)
        found = [w for w in words if len(w) == best]
        if len(found) == 1:
            break
    ask = rng.choice(
        (
            "Which of these words is the {k}? {w}",
            "Find the {k} word: {w}",
            "{w}\nWhich word is {k}, counting letters?",
            "Write only the {k} word of the list.\n{w}",
        )
    )
    return ask.format(k="longest" if longest else "shortest", w=commas(words)), found[0]


def extreme_number(rng: random.Random) -> Row:
    """Find the largest or smallest number."""
    numbers = some_numbers(rng, 3, 7, top=999)
    kind = rng.choice(("largest", "smallest", "highest", "lowest"))
    answer = max(numbers) if kind in ("largest", "highest") else min(numbers)
    ask = rng.choice(
        (
            "Which number is the {k}? {n}",
            "Give the {k} of these numbers: {n}",
            "{n}\nWrite the {k} one.",
            "Look at the figures and name the {k}.\n{n}",
        )
    )
    return ask.format(k=kind, n=commas(numbers)), str(answer)


def count_items(rng: random.Random) -> Row:
    """Count how often a word stands in a list."""
    words = some_words(rng, 2, 3)
    items = rng.choices(words, k=rng.randint(4, 8))
    word = rng.choice(words)
    ask = rng.choice(
        (
            'How many times is "{x}" in the list? {w}',
            "{w}\nCount the entries that say {x}.",
            'Tell me the number of "{x}" items: {w}',
            'Tally "{x}" in this list and give the figure.\n{w}',
        )
    )
    return ask.format(x=word, w=commas(items)), str(items.count(word))


def compare_two(rng: random.Random) -> Row:
    """Answer yes or no about who has more."""
    one, two = rng.sample(NAMES, 2)
    a, b = rng.sample(range(3, 60), 2)
    thing = rng.choice(("coins", "stamps", "marbles", "books", "badges", "shells", "cards"))
    more = rng.random() < 0.5
    word = "more" if more else "fewer"
    ask = rng.choice(
        (
            "{one} has {a} {t}, {two} has {b}. Does {one} have {m} {t} than {two}? Yes or no.",
            "{one}: {a} {t}. {two}: {b} {t}.\nIs it true that {one} has {m}? Answer yes or no.",
            "Yes or no: {one} owns {m} {t} than {two}, if {one} owns {a} and {two} {b}.",
            "With {a} {t} for {one} and {b} for {two}, has {one} got {m}? Say yes or no.",
        )
    )
    answer = "Yes" if (a > b) == more else "No"
    return ask.format(one=one, two=two, a=a, b=b, t=thing, m=word), answer


def in_both_lists(rng: random.Random) -> Row:
    """Name the item that two lists share."""
    words = rng.sample(ALL_WORDS, 7)
    shared, left, right = words[0], words[1:4], words[4:7]
    left.insert(rng.randrange(4), shared)
    right.insert(rng.randrange(4), shared)
    ask = rng.choice(
        (
            "Which word is in both lists?\nA: {a}\nB: {b}",
            "List one: {a}\nList two: {b}\nName the item they share.",
            "Find the common entry of ({a}) and ({b}).",
            "A = {a}\nB = {b}\nWhat do A and B have in common?",
        )
    )
    return ask.format(a=commas(left), b=commas(right)), shared


FAMILIES = (
    sort_words, sort_numbers, reverse_list, remove_repeats, filter_by_letter, filter_numbers,
    odd_one_out, nth_item, extreme_word, extreme_number, count_items, compare_two, in_both_lists,
)  # fmt: skip
