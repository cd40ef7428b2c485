import pytest

from levertune.anchors.meta_prompts import FORMS, clean_answer, draw_examples, write_prompt
from levertune.data.records import Message, Record


def row(number, prompt, completion):
    return Record(str(number), "task", (Message("user", prompt),), completion)


def own_text(record):
    return record.user_text


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Give the code.", "Give the code."),
        ('"Give the code."', "Give the code."),
        (
            "Sure! Here is the instruction:\n\n\u201cGive the code.\u201d\n\nHope it helps.",
            "Give the code.",
        ),
        ('The instruction is: "Give  the\ncode."', "Give the code."),
        ('The instruction would be "Give the code."', "Give the code."),
        ("Instruction: Give the code.", "Give the code."),
        ("**Instruction:** Give the code.", "Give the code."),
        ("## Instruction:\nGive the code.", "Give the code."),
        ("Certainly, the instruction for these inputs is: Give the code.", "Give the code."),
        ("<think>Hm.\n\nWell.</think>\nGive the code.", "Give the code."),
        ("Hm, no end of it.</think>Give the code.", "Give the code."),
        ("```text\nGive the code.\n```", "Give the code."),
        ("Give the code.\nInput: x\nOutput: y", "Give the code."),
        ("Give the code.\n\nInput: x", "Give the code."),
        ("Input: x\nOutput: y", ""),
        ("Say 'a' or 'b'", "Say 'a' or 'b'"),
        ("'a' or 'b'", "'a' or 'b'"),
        ("Give half a \ud800 pair.", "Give half a ? pair."),
        ("Here is the instruction:", ""),
        ("  ", ""),
    ],
)
def test_only_the_instruction_is_left_of_an_answer(answer, text):
    assert clean_answer(answer) == text


@pytest.mark.parametrize(
    ("answer", "form", "text"),
    [
        (" Give the code.\nThen more.", "completion", "Give the code."),
        ('Give the code." It was', "worksheet", "Give the code."),
        ('"Give the code.\nMore', "worksheet", "Give the code."),
    ],
)
def test_text_that_goes_on_ends_with_its_line_or_quotation(answer, form, text):
    assert clean_answer(answer, form) == text


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Give the code. It has three let", "Give the code."),
        ("Give the co", ""),
        ("Give the code.", "Give the code."),
    ],
)
def test_unfinished_sentence_of_an_answer_that_was_cut_off_is_left_out(answer, text):
    assert clean_answer(answer, is_finished=False) == text


def test_prompt_shows_the_rows_braces_and_all():
    rows = [row(1, " a {examples} ", '{"b": 1}')]
    for form, frame in FORMS.items():
        prompt = write_prompt(form, rows, own_text)
        assert 'Input: a {examples}\nOutput: {"b": 1}' in prompt
        assert len(prompt) > len(frame)


def test_examples_have_different_answers_as_long_as_there_are_others():
    rows = [row(n, f"p{n}", "red" if n < 20 else f"c{n}") for n in range(23)]
    drawn = draw_examples(rows, own_text, 5, seed=0, max_characters=1_000)
    assert sorted(example.completion for example in drawn) == ["c20", "c21", "c22", "red", "red"]
    assert drawn == draw_examples(rows, own_text, 5, seed=0, max_characters=1_000)
    assert drawn != draw_examples(rows, own_text, 5, seed=1, max_characters=1_000)


def test_rows_that_are_too_long_are_passed_over_but_one_is_always_shown():
    rows = [row(1, "x" * 90, "a"), row(2, "y" * 30, "b"), row(3, "z" * 80, "c")]
    assert draw_examples(rows, own_text, 2, seed=0, max_characters=100) == (rows[1],)
    assert draw_examples(rows[::2], own_text, 2, seed=0, max_characters=100) == (rows[2],)
