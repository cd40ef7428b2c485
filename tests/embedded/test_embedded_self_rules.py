"""Each rule on self-written rows drops what it is for and keeps a plain row."""

import pytest
import self_rules
from self_choice import MAX_PROMPT_JACCARD, NearCopies, choose
from self_rules import reason_against

GOOD = (
    "What is the main purpose of a solar panel? Keep it short.",
    "A solar panel turns light from the sun into electricity for homes.",
)
OPENERS = ("What is", "What is the main purpose of", "Tell me one fact about")


def candidate(prompt, response, **more):
    return {"prompt": prompt, "response": response, "response_finished": True, **more}


def test_a_plain_row_is_kept():
    assert reason_against(*GOOD) is None


@pytest.mark.parametrize(
    ("prompt", "answer", "reason"),
    [
        ("What is the main purpose of a solar panel", GOOD[1], "unfinished"),
        (GOOD[0], "A solar panel turns light from the sun into", "unfinished"),
        ("Why do bees?", "Bees visit flowers because they need nectar.", "wrong_length"),
        (GOOD[0], "Solar panel power.", "wrong_length"),
        (GOOD[0], "A solar panel turns sunlight into electric power \u2192 cheap.", "not_ascii"),
        ("What is the user asking about a solar panel?", GOOD[1], "not_a_plain_request"),
        ("What is the main purpose of this article on panels?", GOOD[1], "not_a_plain_request"),
        ("What is a solar panel? Why is it flat and blue?", GOOD[1], "not_a_plain_request"),
        (GOOD[0], "I'm here to help you with any solar panel.", "assistant_talk"),
        (GOOD[0], "As an AI, solar panel questions are hard to answer.", "assistant_talk"),
        (GOOD[0], "A solar panel makes power.\nA: It turns light into heat.", "assistant_talk"),
        (GOOD[0], "A solar panel makes power and power for a solar roof.", "repeats_itself"),
        (
            GOOD[0],
            "A solar panel turns light into heat, and a house needs a solar panel turns light on.",
            "repeats_itself",
        ),
        (GOOD[0], "The main purpose of the solar panel is a solar purpose.", "repeats_itself"),
        (
            "What can wind energy do for a town? Be brief.",
            "For a town, wind energy can lower the bills of every home that buys wind energy.",
            "repeats_itself",
        ),
        (GOOD[0], "The main purpose is a panel that is solar.", "says_nothing_new"),
        (GOOD[0], "Cooking rice slowly in salted water gives the best taste.", "off_topic"),
        (
            "What is the difference between the small garden of rain and a garden of small rain?",
            "The garden gets small drops of rain while roots drink slowly underground.",
            "compares_a_thing_with_itself",
        ),
        (
            "Which season is best for a summer picnic?",
            "Summer picnics need sunshine, good food and cheerful company.",
            "answers_another_question",
        ),
        (
            "Name three animals that live in the wild forest.",
            "Wild forest creatures often hide during bright daylight.",
            "answers_another_question",
        ),
        (
            "Where would you find a cheap used bicycle?",
            "Used bicycles sell quickly, cheap ones fastest.",
            "answers_another_question",
        ),
        (
            "Suggest a short title for a story about a brave cook.",
            "The brave cook leaves home, crosses seven mountains, defeats every dragon there, "
            "then returns much wiser",
            "answers_another_question",
        ),
    ],
)
def test_a_faulty_row_is_dropped_for_its_fault(prompt, answer, reason):
    assert reason_against(prompt, answer) == reason


def test_every_rule_has_a_faulty_example_here():
    marks = test_a_faulty_row_is_dropped_for_its_fault.pytestmark
    named = {case[2] for case in marks[0].args[1]}
    assert named == {rule.__name__ for rule in self_rules.RULES}


@pytest.mark.parametrize(
    ("one", "two"),
    [("magnet", "magnets"), ("story", "stories"), ("cook", "cooking")],
)
def test_forms_of_one_word_share_a_stem(one, two):
    assert self_rules.stem(one) == self_rules.stem(two)


def test_near_copies_are_found_at_the_limit_and_not_below():
    seen = NearCopies(0.5)
    seen.add(["a", "b", "c"])
    assert seen.has(["a", "b", "d"])
    assert not seen.has(["a", "d", "e"])
    assert not seen.has([])


def test_the_first_of_near_copies_is_kept_and_the_rest_counted():
    first = candidate(*GOOD)
    copy = candidate(
        GOOD[0].replace("Keep it short", "Be brief"),
        "Solar panels harvest sunlight and feed wires.",
    )
    choice = choose([first, copy], openers=OPENERS, task_texts=[])
    assert [row["prompt"] for row in choice.general] == [GOOD[0]]
    assert choice.dropped == {"near_copy": 1}
    assert choice.general[0]["family"] == "self_what_is_the_main_purpose_of"
    assert choice.general[0]["id"] == "self-0000"


def test_rows_on_held_topics_go_to_retention_only():
    held = candidate(
        "Tell me one fact about penguins in the wild.",
        "Wild penguins huddle together against freezing polar storms.",
    )
    leak = candidate(
        "Tell me one fact about birds in the wild.",
        "Wild birds range from tiny wrens to tall emperor penguins.",
    )
    choice = choose([held, leak], openers=OPENERS, task_texts=[])
    assert choice.general == []
    assert [row["id"] for row in choice.retention] == ["self-held-0000"]
    assert choice.dropped == {"held_topic_in_the_answer_only": 1}


def test_unfinished_answers_and_quotes_of_tasks_are_dropped():
    open_end = candidate(*GOOD) | {"response_finished": False}
    quote = candidate(*GOOD)
    choice = choose(
        [open_end, quote], openers=OPENERS, task_texts=["so light from the sun into electricity"]
    )
    assert choice.general == []
    assert choice.dropped == {"never_ended": 1, "quotes_a_task": 1}


def test_the_limit_for_prompts_is_the_one_promised():
    assert MAX_PROMPT_JACCARD == 0.7
