import re

from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.edits import draw_edits
from levertune.anchors.quotes import spoken

TEXT = "Read the message. Give its code, and nothing else at all: red, green. Use capital letters."


def test_each_edit_drops_one_thing_or_swaps_two():
    assert set(draw_edits(TEXT, seed=0)) == {
        "Give its code, and nothing else at all: red, green. Use capital letters.",
        "Read the message. Use capital letters.",
        "Read the message. Give its code, and nothing else at all: red, green.",
        "Read the message. Nothing else at all: red, green. Use capital letters.",
        "Read the message. Give its code: red, green. Use capital letters.",
        "Give its code, and nothing else at all: red, green. Read the message. Use capital "
        "letters.",
        "Read the message. Use capital letters. Give its code, and nothing else at all: red, "
        "green.",
    }


def test_what_a_colon_leads_to_and_the_items_of_a_list_stay_together():
    text = "Answer with one of these labels: red, green, blue."
    assert draw_edits(text, seed=0) == []


def test_a_sentence_on_the_answer_is_added_unless_the_anchor_says_it():
    answer = "Read the message. Write one word only."
    assert draw_edits("Read the message.", answer, seed=0) == [
        "Read the message. Write one word only."
    ]
    assert draw_edits("read the message", "Read the message.", seed=0) == []


def test_lines_and_layout_stay_where_they_are():
    text = "## Task\nName the animal.\nWrite one word."
    assert set(draw_edits(text, seed=0)) == {
        "## Task\nWrite one word.",
        "## Task\nName the animal.",
        "## Task\nWrite one word.\nName the animal.",
    }


def test_the_seed_alone_orders_them():
    assert draw_edits(TEXT, seed=3) == draw_edits(TEXT, seed=3)
    assert len({tuple(draw_edits(TEXT, seed=seed)) for seed in range(9)}) > 3


@given(st.text(st.sampled_from("ab ,.;:()\n!"), max_size=60), st.text("xy .", max_size=20))
def test_no_edit_is_blank_twice_there_or_the_anchor_itself(text, answer):
    edits = draw_edits(text, answer, seed=1)
    keys = [spoken(edit) for edit in edits]
    assert len(set(keys)) == len(keys)
    assert spoken(text) not in keys
    assert all(keys)
    allowed = set(re.findall(r"\w+", f"{text} {answer}".casefold()))
    assert all(set(key.split()) <= allowed for key in keys)
