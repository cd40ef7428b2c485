import string

from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.auto import choose_anchor, choose_lifting
from levertune.anchors.lift import Lifting
from levertune.anchors.varied import find_varied
from levertune.data.records import Message, Record

ASK = (
    "Give the code for this message.",
    "Which code does the message get?",
    "Read the message. Then answer with its code.",
)


def records(*texts):
    return [Record(str(n), "task", (Message("user", text),), "A1") for n, text in enumerate(texts)]


def varied_rows(*, rows=12, gap="\n"):
    return records(*(f"{ASK[n % 3]}{gap}parcel {n} came in" for n in range(rows)))


def test_the_instructions_that_rows_vary_are_found_whole_the_commonest_first():
    rows = [*varied_rows(), *records(f"{ASK[1]}\nfurther")]
    found = find_varied(rows)
    assert found.instructions == (ASK[1], ASK[0], ASK[2])
    assert found.counts == (5, 4, 4)


def test_one_instruction_for_all_rows_is_not_varied():
    assert find_varied(records(*(f"{ASK[0]}\nmessage {n}" for n in range(9)))) is None


def test_rows_that_open_in_their_own_words_have_no_instruction():
    assert find_varied(records(*(f"My parcel number {n} is late. Why?" for n in range(9)))) is None


def test_an_opening_of_two_rows_is_their_own():
    rows = [*varied_rows(), *records(*["I lost the key again.\nCan you help?"] * 2)]
    assert find_varied(rows) is None


def test_a_row_without_an_opening_leaves_all_as_they_are():
    assert find_varied([*varied_rows(), *records("hello")]) is None
    assert find_varied([*varied_rows(), Record("t", "task", (), "plain text")]) is None


def test_labels_before_the_text_are_no_instructions():
    rows = records(*(f"{'Message' if n % 2 else 'Letter'}: number {n}" for n in range(12)))
    assert find_varied(rows) is None


def test_more_instructions_than_twenty_were_written_anew_for_rows():
    texts = [f"Please do job {name} for me.\nrow" for name in string.ascii_lowercase[:21]]
    assert find_varied(records(*texts * 3)) is None
    assert len(find_varied(records(*texts[:20] * 3)).instructions) == 20


def test_the_anchor_replaces_them_and_the_input_is_kept():
    choice = choose_anchor("auto", varied_rows())
    assert choice.anchor.text == ASK[0]
    assert choice.reason == (
        "the commonest instruction of the task rows; it replaces the 3 that the rows vary"
    )
    lifted = choice.lifting.take_from_all(varied_rows())
    assert lifted.num_without == 0
    assert [row.user_text for row in lifted.records] == [f"parcel {n} came in" for n in range(12)]
    prompts = {choice.anchor.apply(row).messages[-1].content for row in lifted.records}
    assert prompts == {f"{ASK[0]}\nparcel {n} came in" for n in range(12)}


def test_a_sentence_of_the_users_replaces_them_too():
    choice = choose_anchor("Sort it now.", varied_rows())
    assert choice.anchor.text == "Sort it now."
    assert choice.reason == "as the recipe has it; it replaces the 3 that the rows vary"
    assert choice.lifting.take_from(varied_rows()[2]).user_text == "parcel 2 came in"


def test_they_stay_where_the_user_keeps_them():
    choice = choose_anchor("Sort it now.", varied_rows(), varied_rule="keep")
    assert choice.lifting == Lifting()
    assert choose_lifting(varied_rows(), varied_rule="keep") == Lifting()
    assert set(choose_lifting(varied_rows()).instructions) == set(ASK)


def test_a_test_row_that_says_it_in_a_new_way_stays_and_is_counted():
    choice = choose_anchor("auto", varied_rows())
    removed = choice.lifting.take_from_all(records("Find its code.\nmessage", f"{ASK[1]}\nmessage"))
    assert [row.user_text for row in removed.records] == ["Find its code.\nmessage", "message"]
    assert removed.num_without == 1


def test_the_longer_of_two_instructions_is_taken_out_first():
    lifting = Lifting(("Give the code.", "Give the code. Codes are short."))
    row = records("Give the code. Codes are short.\nmessage")[0]
    assert lifting.take_from(row).user_text == "message"


@given(
    st.lists(st.integers(0, 2), min_size=9, max_size=40),
    st.sampled_from(["\n", "\n\n", " "]),
)
def test_whatever_the_order_and_the_gap_the_inputs_come_back(order, gap):
    order = [0, 1, 2] * 3 + order
    rows = records(*(f"{ASK[k]}{gap}entry {n} of it" for n, k in enumerate(order)))
    found = find_varied(rows)
    assert set(found.instructions) == set(ASK)
    lifted = Lifting(found.instructions).take_from_all(rows)
    assert [row.user_text for row in lifted.records] == [
        f"entry {n} of it" for n in range(len(order))
    ]
