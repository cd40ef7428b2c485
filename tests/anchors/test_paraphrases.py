"""What rows differ in is told from one instruction said in several ways."""

import random

import pytest
from benchmarks.evidence.vary_instructions import INSTRUCTIONS

from levertune.anchors.auto import choose_anchor, choose_lifting
from levertune.anchors.lift import Lifting
from levertune.anchors.varied import find_replaced, find_varied
from levertune.data.records import Message, Record

NOUNS = [
    "parcel",
    "letter",
    "card",
    "ticket",
    "garden",
    "engine",
    "window",
    "bottle",
    "ladder",
    "basket",
]
THINGS = [f"{noun} number {n}" for n in range(4) for noun in NOUNS]


def rows(*pairs):
    return [
        Record(str(n), "task", (Message("user", prompt),), completion)
        for n, (prompt, completion) in enumerate(pairs)
    ]


def prompts_of(choice, records):
    return [choice.anchor.apply(choice.lifting.take_from(r)).messages[-1].content for r in records]


@pytest.mark.parametrize("name", list(INSTRUCTIONS))
def test_the_instructions_of_the_evidence_tasks_say_one_thing(name):
    draw = random.Random(3)
    shared = {
        "banking_codes": "Give the ticket code for this bank customer message.",
        "snips_json": 'Parse the request into JSON with "intent" and "slots".',
    }[name]
    asked = (shared, *INSTRUCTIONS[name])
    records = rows(
        *(
            (f"{asked[n % 8]}\nAbout my {thing}?", draw.choice("ABC"))
            for n, thing in enumerate(THINGS)
        )
    )
    found = find_replaced(records)
    assert set(found.instructions) == set(asked)
    assert found.doubt is None


@pytest.mark.parametrize("setting", ["auto", "Do what is asked."])
def test_what_equal_prompts_are_told_apart_by_stays(setting):
    records = rows(
        *(
            (f"Translate this sentence into {language}.\nThe {thing}", f"{language} {thing}")
            for thing in THINGS[:10]
            for language in ("French", "German")
        )
    )
    assert "equal prompts would have different answers" in find_varied(records).doubt
    choice = choose_anchor(setting, records)
    assert choice.lifting == Lifting() == choose_lifting(records)
    for prompt, record in zip(prompts_of(choice, records), records, strict=True):
        assert prompt.endswith(record.user_text)


def test_a_conflict_that_was_there_before_is_no_reason():
    asked = ("Give the code for this message.", "Which code does the message get?")
    records = rows(*((f"{asked[n % 2]}\n{thing}", "A") for n, thing in enumerate(THINGS)))
    records += rows((f"{asked[0]}\nthe tram", "A"), (f"{asked[0]}\nthe tram", "B"))
    assert find_varied(records).doubt is None


@pytest.mark.parametrize(
    "asked",
    [
        ("Is the customer happy?", "Is the customer angry?"),
        ("Write a text about this.", "Write a short text about this."),
        ("Answer in old French, please.", "Answer in Dutch, please."),
        ("请把这句话翻译成法语。", "请把这句话翻译成德语。"),
    ],
)
def test_texts_that_are_one_form_filled_in_stay(asked):
    records = rows(*((f"{asked[n % 2]}\n{thing}", "yes") for n, thing in enumerate(THINGS)))
    assert "alike but for a few words" in find_varied(records).doubt


def test_premises_with_hypotheses_behind_them_stay():
    premises = (
        "A man with a red hat is playing the guitar.",
        "Two children run through a wet field.",
        "An old woman sells fruit at the market.",
        "The band waits for its bus in the rain.",
    )
    records = rows(
        *(
            (f"{premise}\nSomebody has a {noun}.", answer)
            for premise in premises
            for noun, answer in zip(NOUNS, ["yes", "no", "maybe"], strict=False)
        )
    )
    assert "few words in common" in find_varied(records).doubt


def test_passages_stay():
    passages = [
        " ".join(f"The {noun} of this passage is the one seen in {year}." for noun in NOUNS)
        for year in (1801, 1907)
    ]
    records = rows(*((f"{passages[n % 2]}\nWhich {t}?", t) for n, t in enumerate(THINGS)))
    assert "is long for an instruction (110 words)" in find_varied(records).doubt


def test_what_answers_go_with_stays():
    asked = (
        "Put the sentence below into French words.",
        "How would somebody say this sentence with German words?",
    )
    answers = ("le {} est la", "der {} ist das")
    records = rows(
        *((f"{asked[n % 2]}\n{t}", answers[n % 2].format(t)) for n, t in enumerate(THINGS))
    )
    assert find_varied(records).doubt == "the answers go with them"
    # The same answers, dealt out without regard to the text.
    draw = random.Random(1)
    records = rows(
        *((f"{asked[n % 2]}\n{t}", draw.choice(answers).format(t)) for n, t in enumerate(THINGS))
    )
    assert find_varied(records).doubt is None


def test_what_answers_repeat_of_their_own_opening_stays():
    asked = (
        "Ada Byron wrote this message about a parcel.",
        "This is what Tom Miller says in a message regarding his parcel.",
    )
    names = (["byron", "ada"], ["miller", "tom"])
    records = rows(
        *((f"{asked[n % 2]}\n{t}", f"{names[n % 2][n % 4 // 2]}") for n, t in enumerate(THINGS))
    )
    assert find_varied(records).doubt == "the answers go with them"


def test_nine_rows_are_too_few():
    asked = ("Give the code for this message.", "Which code does the message get?")
    records = rows(*((f"{asked[n % 2]}\n{t}", "A") for n, t in enumerate(THINGS)))
    assert find_varied(records[:9]).doubt.startswith("9 rows are too few")
    assert find_varied(records[:10]).doubt is None


def test_the_user_may_have_the_last_word():
    asked = ("Classify the mood of this review.", "What is the mood of this review?")
    records = rows(*((f"{asked[n % 2]}\n{t}", "good") for n, t in enumerate(THINGS)))
    assert find_replaced(records) is None
    assert set(find_replaced(records, "always").instructions) == set(asked)
    choice = choose_anchor("auto", records, varied_rule="always")
    assert prompts_of(choice, records)[1] == f"{asked[0]}\n{THINGS[1]}"
    assert choose_lifting(records, varied_rule="keep") == Lifting()
