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
        # A thought that the limit cut off.
        ("<think>\nOkay, so I need a code. Give the code.", ""),
        ("<think>Hm.</think><thinking>Well. Give the code.", ""),
        ("Think between <think> and the code.", "Think between <think> and the code."),
        # A greeting ends at its first mark, and no label is one.
        (
            "Sure, classify the ticket, then give the code alone.",
            "classify the ticket, then give the code alone.",
        ),
        ("Okay, I can help with that. Give the code.", "Give the code."),
        ("Of course, I'd be happy to do that! Give the code.", "Give the code."),
        ("Okay so here is the instruction: Give the code.", "Give the code."),
        ("Sure thing! Give the code.", "Give the code."),
        ("Great or poor: say which the ticket is.", "Great or poor: say which the ticket is."),
        ("OK, BAD or NONE: say which fits.", "OK, BAD or NONE: say which fits."),
        # Lines that say what input and output are, and lines that are an example.
        (
            "Task: coding.\nInput: a message.\nOutput: one code of three characters.",
            "Task: coding. Input: a message. Output: one code of three characters.",
        ),
        (
            "Input: a message.\nOutput: one code of three characters.",
            "Input: a message. Output: one code of three characters.",
        ),
        (
            "Give it.\nOutput format: one code of three characters.",
            "Give it. Output format: one code of three characters.",
        ),
        (
            "Code it.\nInput: a message.\nOutput: one code.\nInput: my box\nOutput: P07",
            "Code it. Input: a message. Output: one code.",
        ),
        ("Give the code.\nExamples: P07, P08", "Give the code."),
        ("Give the code.\n**Input:** x\n**Output:** y", "Give the code."),
        ("Give the code.\nInput 1: x\nOutput 1: y", "Give the code."),
        ("Give the keys.\nInput: a box\nOutput:\n{}", "Give the keys."),
        ("Output: Give the code.", "Give the code."),
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


@pytest.mark.parametrize(
    ("output", "shown", "is_kept"),
    [
        ("JSON with the keys box and day.", "P07", True),
        ("P08", "P07", False),
        ("p07", "P07", False),
        ("one box", "one box", False),
        ("a headline", "Rain floods the valley again", True),
        ("A storm floods the coast again", "A man bites dog", False),
    ],
)
def test_an_example_is_known_by_the_rows_shown(output, shown, is_kept):
    answer = f"Read the message.\nInput: a message\nOutput: {output}"
    whole = f"Read the message. Input: a message Output: {output}"
    rows = [("where is my box", shown)]
    assert clean_answer(answer, shown=rows) == (whole if is_kept else "Read the message.")


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
