import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors import lift
from levertune.anchors.anchor import Anchor
from levertune.anchors.lift import Lifting, remove_instruction, shared_instruction
from levertune.data.records import Message, Record


def record(text, *, system=None, before=()):
    turns = (Message("user", text),)
    if system is not None:
        turns = (Message("system", system), *turns)
    return Record("1", "task", (*before, *turns), "done")


def records(*texts, **settings):
    return [record(text, **settings) for text in texts]


def lift_instruction(rows):
    lifted = lift.lift_instruction(rows)
    assert shared_instruction(rows) == lifted.instruction
    return lifted


def texts(rows):
    return [row.user_text for row in rows]


def reapplied(lifted):
    anchor = Anchor(lifted.instruction, lifted.placement, separator=lifted.separator)
    return [anchor.apply(row).messages for row in lifted.records]


@pytest.mark.parametrize(
    ("rows", "instruction", "separator", "left"),
    [
        (
            ("Give the code.\nMessage: one", "Give the code.\nMessage: two"),
            "Give the code.", "\n", ["Message: one", "Message: two"],
        ),
        (
            ("Give the code. Be quick. One", "Give the code. Be quick. Two"),
            "Give the code. Be quick.", " ", ["One", "Two"],
        ),
        (
            ("Give a code for this message: one", "Give a code for this message: two"),
            "Give a code for this message:", " ", ["one", "two"],
        ),
        (
            ("## Do\nGive the code.\n\n## In\none", "## Do\nGive the code.\n\n## In\ntwo"),
            "## Do\nGive the code.", "\n\n", ["## In\none", "## In\ntwo"],
        ),
        (
            ("Name the class:\nA: x\nB: y\n<in>\none", "Name the class:\nA: x\nB: y\n<in>\ntwo"),
            "Name the class:\nA: x\nB: y", "\n", ["<in>\none", "<in>\ntwo"],
        ),
        (
            ("Format this code.\n    x = 1", "Format this code.\n    y = 2"),
            "Format this code.", "\n", ["    x = 1", "    y = 2"],
        ),
        (
            ("Give the code.\r\n\r\none", "Give the code.\r\ntwo"),
            "Give the code.", "\r\n", ["\r\none", "two"],
        ),
        (("请把下面的句子翻译成英文。你好", "请把下面的句子翻译成英文。再见"),
            "请把下面的句子翻译成英文。", "", ["你好", "再见"]),
    ],
)  # fmt: skip
def test_shared_beginning_is_lifted_at_a_line_or_sentence(rows, instruction, separator, left):
    lifted = lift_instruction(records(*rows))
    assert (lifted.instruction, lifted.placement) == (instruction, "prefix")
    assert (lifted.separator, lifted.share) == (separator, 1.0)
    assert texts(lifted.records) == left
    assert [turns[-1].content for turns in reapplied(lifted)] == list(rows)


@pytest.mark.parametrize(
    "rows",
    [
        ("Translate the word cat", "Translate the word dog"),  # would cut inside a sentence
        ("Give the code.\none", "Give a code.\ntwo"),
        ("Go on.\none", "Go on.\ntwo"),  # two words
        ("Customer message text: one", "Customer message text: two"),  # a label
        ("Give the code.", "Give the code.\ntwo"),  # nothing would be left
        ("Give the code.\n", "Give the code.\n "),
        ("Give the code.\none",),  # one row shares everything with itself
        ("Give the code.\none", "Give the code. two"),  # no common white space
        (),
    ],
)
def test_rows_that_share_no_whole_instruction_stay_as_they_are(rows):
    lifted = lift_instruction(records(*rows))
    assert lifted.instruction is None
    assert lifted.placement is None
    assert list(lifted.records) == records(*rows)


def test_one_row_without_the_instruction_prevents_lifting_and_is_told_by_the_share():
    lifted = lift_instruction(records(*["Give the code.\none"] * 9, "two"))
    assert (lifted.instruction, lifted.share) == (None, 0.9)
    assert lifted.opening == "Give the code."


def test_text_rows_have_no_instruction():
    rows = [Record("1", "general", (), "Give the code. a"), Record("2", "general", (), "b")]
    assert lift_instruction(rows).instruction is None
    assert remove_instruction(rows[0], "Give the code.") is rows[0]


def test_shared_system_turn_is_lifted_whole():
    rows = records("one", "two", system="Answer with the ticket code.")
    lifted = lift_instruction(rows)
    assert (lifted.instruction, lifted.placement) == ("Answer with the ticket code.", "system")
    assert [len(row.prompt) for row in lifted.records] == [1, 1]
    assert reapplied(lifted) == [row.prompt for row in rows]


@pytest.mark.parametrize(
    "system",
    [
        "You are a helpful assistant.",
        "You are a helpful AI assistant named Tom, trained by Example Labs",
        "You are Tom, created by Example Labs. You are a helpful assistant.",
    ],
)
def test_helpful_assistant_is_no_instruction(system):
    assert lift_instruction(records("one", "two", system=system)).instruction is None


def test_assistant_with_a_task_is_an_instruction():
    system = "You are a helpful assistant that translates English into Icelandic."
    assert lift_instruction(records("one", "two", system=system)).instruction == system


def test_system_turn_that_one_row_lacks_stays():
    rows = [record("one", system="Answer with the code."), record("two")]
    assert lift_instruction(rows).records == tuple(rows)


@pytest.mark.parametrize(
    ("rows", "instruction", "separator", "left"),
    [
        (("one\nGive the code.", "two\nGive the code."), "Give the code.", "\n", ["one", "two"]),
        (
            ("Is it? Give the code.", "It is! Give the code."),
            "Give the code.", " ", ["Is it?", "It is!"],
        ),
        (
            ("a b\n\nGive the code. Be quick.", "c d\n\nGive the code. Be quick."),
            "Give the code. Be quick.", "\n\n", ["a b", "c d"],
        ),
    ],
)  # fmt: skip
def test_shared_end_is_lifted_at_a_line_or_sentence(rows, instruction, separator, left):
    lifted = lift_instruction(records(*rows))
    assert (lifted.instruction, lifted.placement) == (instruction, "suffix")
    assert (lifted.separator, texts(lifted.records)) == (separator, left)
    assert [turns[-1].content for turns in reapplied(lifted)] == list(rows)


def test_label_behind_a_shared_end_stays_with_the_row():
    lifted = lift_instruction(records("one\nGive the code.\nCode:", "two\nGive the code.\nCode:"))
    assert lifted.instruction == "Give the code."
    assert texts(lifted.records) == ["one\nCode:", "two\nCode:"]


@pytest.mark.parametrize(
    "rows",
    [
        ("one gives the code.", "two gives the code."),  # inside a sentence
        ("one\nCode:", "two\nCode:"),
        ("one\n---\nCode now", "two\n---\nCode now"),  # two words
        ("Give the code.", "\nGive the code."),  # nothing would be left
    ],
)
def test_end_that_is_no_whole_instruction_stays(rows):
    lifted = lift_instruction(records(*rows))
    assert list(lifted.records) == records(*rows)


def test_instruction_with_the_most_words_is_lifted_and_the_beginning_if_they_tie():
    system = "You sort the messages of bank customers."
    rows = records("Give the code.\none", "Give the code.\ntwo", system=system)
    assert lift_instruction(rows).instruction == system
    rows = records("Give the code.\none\nThink of it.", "Give the code.\ntwo\nThink of it.")
    lifted = lift_instruction(rows)
    assert lifted.instruction == "Give the code."
    assert texts(lifted.records) == ["one\nThink of it.", "two\nThink of it."]


def test_earlier_turns_are_left_alone():
    before = (Message("user", "Give the code.\nx"), Message("assistant", "y"))
    lifted = lift_instruction(records("Give the code.\none", "Give the code.\ntwo", before=before))
    assert all(row.prompt[:2] == before for row in lifted.records)
    assert texts(lifted.records) == ["one", "two"]


WORDS = st.text(alphabet="abÞ.:!?-<>\n\t 。#", min_size=0, max_size=25)


@settings(max_examples=400)
@given(
    st.sampled_from(["Give the code.", "Give the code:", "Sort it. Give the code now!", ""]),
    st.sampled_from(["\n", "\n\n", " ", "\r\n", "\n \n", ""]),
    st.lists(WORDS, min_size=2, max_size=5),
    st.sampled_from(["", "\nAnswer in one word.", " Answer in one word.", "\nBe brief now.\nA:"]),
)
def test_putting_the_instruction_back_gives_the_original_text(instruction, gap, bodies, end):
    rows = records(*(f"{instruction}{gap}{body}{end}" for body in bodies))
    lifted = lift_instruction(rows)
    if lifted.instruction is None:
        assert lifted.records == tuple(rows)
        return
    assert all(text.strip() for text in texts(lifted.records))
    found, original = (
        [turns[-1].content for turns in rows]
        for rows in (reapplied(lifted), [row.prompt for row in rows])
    )
    if lifted.placement == "prefix":
        assert found == original
    elif end != "\nBe brief now.\nA:":
        assert found == [text.rstrip() for text in original]
    removed = Lifting((lifted.instruction,), lifted.separator).take_from_all(rows)
    assert removed.num_without == 0


def test_test_rows_without_the_instruction_are_left_alone_and_counted():
    rows = records(
        "Give the code.\none", "Give the code.", "two", "Give the codes.\nthree", "Give the code.x"
    )
    removed = Lifting(("Give the code.",)).take_from_all(rows)
    assert texts(removed.records) == ["one", *texts(rows)[1:]]
    assert removed.num_without == 4
    assert removed.records[2] is rows[2]


def test_instruction_is_found_wherever_it_may_stand():
    for row in (
        record("Give the code.\n\n  one"),
        record("  one\n\nGive the code."),
        record("  one\nGive the code.\nCode:"),
        record("  one", system="Give the code.\n"),
    ):
        without = remove_instruction(row, "Give the code.")
        assert without.user_text in ("  one", "  one\nCode:")
        assert "Give" not in "".join(message.content for message in without.prompt)


def test_instruction_inside_the_text_is_the_rows_own():
    row = record("She said: Give the code. And left.")
    assert remove_instruction(row, "Give the code.") is row
    assert remove_instruction(row, " ") is row
