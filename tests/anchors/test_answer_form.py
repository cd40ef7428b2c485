import time

import pytest

from levertune.anchors.answer_form import (
    are_programs,
    describe_copying,
    describe_form,
    describe_new_words,
    describe_number,
    describe_style,
    describe_vocabulary,
)


@pytest.mark.parametrize(
    ("answers", "form"),
    [
        (["red", "blue", "well-known"], "one word"),
        (["3", "14"], "a whole number"),
        (["A1", "B2"], "a code of a capital letter and a digit"),
        (["x#", "y+"], "one short item"),
        (["1, 2, 3", "4, 5"], "numbers separated by commas"),
        (["1 2 3", "4 5 6"], "three numbers separated by spaces"),
        (["1\n2", "3\n4\n5"], "numbers, one a line"),
        (["red, dark blue", "green, white, grey"], "items separated by commas"),
        (["- one\n- two", "- three"], "a bulleted list, one item a line"),
        (["1. one\n2. two", "1. three"], "a numbered list, one item a line"),
        (["a\nb\nc", "d\ne\nf"], "three lines"),
        (["a\nb\nc", "d\ne"], "several lines"),
        (["a\nb\nc", "d"], None),
        (["Where is it?", "Who came in first?"], "one question"),
        (["The cat sat.", "A dog ran off."], "one sentence"),
        (["It sat. It ran.", "It ran. It sat."], "two sentences"),
        (["It sat. It ran.", "It ran. It sat. It ate."], "several sentences"),
        (["red house", "big dog"], "two words"),
        (["red house", "big old dog"], "at most three words"),
        (["one two three four five six seven", "one two"], "one line"),
        (
            ["word " * 20 + "end", "word " * 23 + "end", "word " * 21 + "end"],
            "one line of about 20 words",
        ),
        (["", "a"], None),
        ([], None),
    ],
)
def test_form_is_told_by_length_and_layout(answers, form):
    assert describe_form([text.strip() for text in answers]) == form


@pytest.mark.parametrize(
    ("answers", "number"),
    [
        (["1", "-2", "1,000"], "a whole number"),
        (["1.50", "2.25"], "a number with two decimals"),
        (["1.5", "2.2"], "a number with one decimal"),
        (["1.5", "2"], "a number"),
        (["5%", "7.5%"], "a number followed by a percent sign"),
        ([], "a number"),
    ],
)
def test_numbers_are_told_by_their_digits(answers, number):
    assert describe_number(answers) == number


def test_programs_are_known_by_their_lines():
    assert are_programs(["def f(x):\n    return x", "import os\nos.remove('x')"])
    assert are_programs(["int x = 3;", "SELECT a FROM b"])
    assert are_programs(["if (x) {\n  go()\n}"])
    assert not are_programs(["Let us go.", "The class is full; go.", "- milk;\n- eggs;"])
    assert not are_programs([])


def test_few_words_that_come_back_are_a_vocabulary():
    answers = ["GO LEFT", "GO RIGHT GO", "LEFT GO LEFT", "GO RIGHT", "RIGHT LEFT GO"]
    assert describe_vocabulary(answers) == "GO, LEFT and RIGHT"
    assert describe_vocabulary(["GO LEFT"]) is None
    assert describe_vocabulary([f"w{n} GO" for n in range(40)]) is None
    assert describe_vocabulary(["GO", "GO", "LEFT", "LEFT"] * 4) is None


@pytest.mark.parametrize(
    ("answers", "style"),
    [
        (
            ["Sure, here: one.", "Sure, here: two.", "Sure, here: three."],
            ['Begin with "Sure, here:".'],
        ),
        (
            ["it went well again", "nothing at all happened", "so it goes on"],
            ["Use lower case only.", "Put no mark at the end."],
        ),
        (
            ["Here it is: a b.", "Here it is: a c.", "Here it is: a d."],
            ['Begin with "Here it is:".'],
        ),
        (["YES", "NO", "NEVER"], ["Use capital letters only."]),
        (["The one", "The two", "The three"], []),
        (["yes", "no"], []),
        (["It went well.", "Nothing happened here.", "So it goes."], []),
    ],
)
def test_style_is_told_by_opening_case_and_final_mark(answers, style):
    assert describe_style(answers) == style


def test_what_answers_copy_is_told():
    prompts = [
        f"Text: The {word} fox ran home over the hill today." for word in ("red", "old", "big")
    ]
    words = [prompt.split()[2] for prompt in prompts]
    assert (
        describe_copying([f"{word} fox" for word in words], prompts) == "copied word for word from"
    )
    kept = [prompt.removeprefix("Text: ").replace("today", "now") for prompt in prompts]
    assert describe_copying(kept, prompts) == "that keeps most words of"
    made = [f"The {word} fox fled." for word in words]
    assert describe_copying(
        made, [f"{prompt} {'and more ' * 3} so on it went." for prompt in prompts]
    ) == ("made mostly of words of")
    assert describe_copying(["nothing of it here at all"] * 3, prompts) is None
    assert describe_copying(["fox"], prompts[:1]) is None


def test_notation_of_its_own_is_shown_one_of_each_kind():
    prompts = [f"It starts at {n} in the morning and costs {n} pounds" for n in range(1, 9)]
    answers = [f"It starts at T:0{n}:00 and costs M:{n}p." for n in range(1, 9)]
    assert describe_new_words(answers, prompts) == "T:01:00 and M:1p"
    assert describe_new_words(["It starts now."] * 8, prompts) is None


def test_blank_lines_by_the_thousand_are_passed_over_at_once():
    start = time.perf_counter()
    assert not are_programs([f"a{chr(10) * 20_000}b"])
    assert time.perf_counter() - start < 1
