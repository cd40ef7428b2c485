import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors.lift import lift_instruction
from levertune.anchors.quotes import is_long
from levertune.anchors.template import (
    DEFAULT_CHARACTERS,
    MIN_CHARACTERS,
    describe_rows,
    write_template,
)
from levertune.data.embedded.catalog import embedded_task
from levertune.data.records import Message, Record
from levertune.data.row_texts import normalize_text


def row(prompt, completion, number=1):
    return Record(str(number), "task", (Message("user", prompt),), completion)


def answers(*completions):
    return [row("x", completion) for completion in completions]


def embedded(name, num_rows):
    lines = embedded_task(f"embedded:{name}").train.read_text("utf-8").splitlines()
    rows = map(json.loads, lines[:num_rows])
    return lift_instruction([row(item["prompt"], item["response"]) for item in rows]).records


def test_ticket_codes_are_told_by_their_form_and_not_listed():
    assert describe_rows(embedded("ticket_codes", 200), "label") == (
        "Answer with a code of a capital letter, a digit, a hyphen and two capital letters, "
        "and nothing else."
    )


def test_words_are_named_the_most_frequent_first():
    rows = answers(*["top_up"] * 2, *["refund"] * 5, *["card_lost"] * 3, "pin")
    assert describe_rows(rows, "label") == f"{LISTED}refund, card_lost, top_up, pin."


def test_commands_are_told_by_their_keys_and_values_as_far_as_there_is_room():
    rows = embedded("command_json", 344)
    short = describe_rows(rows, "json")
    assert short.startswith('Answer with a JSON object with the key "do" (one of "warm", "warn"')
    assert ', and where they apply "bay", "deg", "till",' in short
    full = describe_rows(rows, "json", max_characters=1_000)
    assert (
        '"probe" (one of "hum", "wind", "soil", "temp", "tank"), "under" (a whole number)' in full
    )
    assert '"at" (two digits, a colon and two digits)' in full
    assert describe_rows(rows, "json", max_characters=100) == (
        'Answer with a JSON object with the key "do", and further keys where they apply, '
        "and nothing else."
    )


def test_house_notation_is_told_by_what_it_copies_and_its_own_notation():
    assert describe_rows(embedded("house_notation", 330), "text") == (
        "Answer with one sentence of about 10 words made mostly of words of the text, and nothing "
        "else. Its own notation looks like D:05.09, T:13:40, M:5.80p, L:1h30 and Q:10m."
    )


CODE_LINE = "Write the code that the description asks for on one line, and nothing else."
LISTED = "Answer with one of these labels, and nothing else: "
SIXTY_CODES = [f"{chr(65 + n % 26)}{n // 10}{chr(90 - n % 26)}" for n in range(60)]


@pytest.mark.parametrize(
    ("kind", "rows", "text"),
    [
        (
            "label",
            answers("no", "yes", "yes"),
            "Answer with one of these labels, and nothing else: yes, no.",
        ),
        (
            "label",
            answers("a, b", "c"),
            'Answer with one of these labels, and nothing else: "a, b", "c".',
        ),
        ("label", answers("A1", "B2"), f"{LISTED}A1, B2."),  # no longer than their form
        (
            "label",
            answers("A1Z", "B2Y", "C3X", "D4W", "E5V", "F6U", "G7T", "H8S"),
            "Answer with a code of a capital letter, a digit and a capital letter, "
            "and nothing else.",
        ),
        ("label", answers("PER", "LOC", "ORG", "GPE"), f"{LISTED}PER, LOC, ORG, GPE."),
        ("label", answers("1", "2", "3", "4", "5"), f"{LISTED}1, 2, 3, 4, 5."),
        ("label", answers("A12", "B34", "other"), f"{LISTED}A12, B34, other."),
        (
            "label",
            answers(*SIXTY_CODES * 2),
            "Answer with a code of a capital letter, a digit and a "
            "capital letter, such as A0Z, B0Y, C0X, D0W, E0V or F0U, and nothing else.",
        ),
        (
            "label",
            answers(*[f"card_{'lost_' * n}now" for n in range(30)]),
            "Answer with one of 30 labels "
            "(lower-case words joined by underscores), such as card_now, card_lost_now, "
            "card_lost_lost_now, card_lost_lost_lost_now, card_lost_lost_lost_lost_now or "
            "card_lost_lost_lost_lost_lost_now, and nothing else.",
        ),
        ("label", answers("x"), "Answer with the label that fits, and nothing else."),
        (
            "json",
            answers("[1, 2]", "[3]"),
            "Answer with a JSON list of whole numbers, and nothing else.",
        ),
        (
            "json",
            answers('{"a": 1}', '{"a": 2, "b": "x"}'),
            'Answer with a JSON object with the key "a" '
            '(a whole number), and where they apply "b" (text), and nothing else.',
        ),
        ("json", answers("{"), "Answer with JSON, and nothing else."),
        (
            "number",
            answers("3.50", "7.25"),
            "Answer with a number with two decimals, and nothing else.",
        ),
        ("code", answers("f(x) = 1", "g[2]"), CODE_LINE),
        (
            "code",
            answers("def f(x):\n  return 1", "g = 2"),
            "Write the code that the description asks for, and nothing else.",
        ),
        (
            "code",
            answers(*["GO LEFT GO", "LEFT GO GO"] * 4),
            "Answer with a sequence of these words, and nothing else: GO and LEFT.",
        ),
        (
            "code",
            answers("AB-12", "CD-34"),
            "Answer with a code of two capital letters, a hyphen and two digits, and nothing else.",
        ),
        (
            "code",
            answers("1, 2, 3", "4, 5"),
            "Answer with numbers separated by commas, and nothing else.",
        ),
        (
            "text",
            answers("The cat sat.", "A dog ran off."),
            "Answer with one sentence, and nothing else.",
        ),
        ("text", answers("one\ntwo", "three"), "Answer in the form that this task asks for."),
        ("unheard-of", answers("one\ntwo", "three"), "Answer in the form that this task asks for."),
        (
            "text",
            answers("def f(x):\n  return x", "def g(y):\n  return 'Y'"),
            "Write the code that the description asks for, and nothing else.",
        ),
        ("text", [], "Answer in the form that this task asks for."),
        (
            "text",
            [row("Who is it?", "Ann"), row("Who was it?", "Bo Li")],
            "Answer the question with at most two words, and nothing else.",
        ),
        (
            "text",
            [row("Who?", "Ann\nBo"), row("Who was it?", "Bo")],
            "Answer the question, and write nothing else.",
        ),
        (
            "text",
            [row(f"Request: play {w} now", w) for w in ("Abba", "Blur", "Cher")],
            "Answer with one word copied word for word from the request, and nothing else.",
        ),
        (
            "text",
            [row("say hello", "\u03ba\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1")] * 3,
            "Answer with one word, and nothing else. Write in Greek script. Use lower case only.",
        ),
    ],
)
def test_description_follows_from_what_the_rows_show(kind, rows, text):
    assert describe_rows(rows, kind) == text


def test_labels_may_be_given_and_come_in_their_own_order_where_none_is_more_frequent():
    text = describe_rows(answers("b"), "label", ["c", "b", "a"])
    assert text.endswith("nothing else: b, c, a.")


def test_long_labels_are_not_listed_but_never_cut():
    labels = [f"the customer would like to have number {n}" for n in range(3)]
    text = describe_rows(answers(*labels * 2), "label")
    assert text == "Answer with one of 3 labels, and nothing else."


@pytest.mark.parametrize(
    ("languages", "said"),
    [
        (("English", "Icelandic"), "The text is in English. Answer in Icelandic."),
        (("Welsh", "Welsh"), "Text and answer are in Welsh."),
        ((None, "Welsh"), "Answer in Welsh."),
    ],
)
def test_languages_are_named_where_the_caller_knows_them(languages, said):
    text = describe_rows(
        answers("A one.", "B two."),
        "text",
        prompt_language=languages[0],
        answer_language=languages[1],
    )
    assert text == f"Answer with one sentence, and nothing else. {said}"


def test_description_that_would_quote_an_answer_gives_way_to_a_plainer_one():
    quoted = "Answer with one sentence, and nothing else."
    text = describe_rows(answers(quoted, "It was so."), "text")
    assert text == "Answer in the form that this task asks for."
    plainer = "Answer in the form that this task asks for."
    assert describe_rows(answers(quoted, plainer), "text") == "Do the task."


def test_instruction_that_the_rows_share_is_the_candidate():
    rows = [row(f"Give the code for this. {word}", word.upper()) for word in ("one", "two")]
    candidate = write_template(rows, "text")
    assert candidate.text == "Give the code for this."
    assert (candidate.way, candidate.cost.tokens, candidate.cost.requests) == ("template", 0, 0)
    assert candidate.cost.seconds > 0
    assert candidate.notes == ("The instruction that all rows share.",)


def test_shared_instruction_that_is_too_long_is_not_cut():
    rows = [row(f"Give the code {'very ' * 20}well. {word}", word) for word in ("one", "two")]
    candidate = write_template(rows, "label", max_characters=70)
    assert candidate.text.startswith("Answer with one of these labels")
    assert candidate.notes == (
        "Describes the rows: the instruction they share has 119 characters, and at most 70 are "
        "asked for.",
    )


def test_budget_without_room_for_a_sentence_is_refused():
    with pytest.raises(ValueError, match="must be at least 60; found 10"):
        describe_rows([], "text", max_characters=10)
    with pytest.raises(ValueError, match="must be at least 60; found 59"):
        write_template([], "text", max_characters=MIN_CHARACTERS - 1)


PHRASES = (
    "Answer with one sentence, and nothing else.",
    "Write the code that the description asks for, and nothing else.",
    "Answer with JSON, and nothing else.",
    "a, b",
    "A1",
    "B22",
    "1, 2",
    "3.5",
    "- x\n- y",
    '{"a": [1, {"b": null}]}',
    "[1, 2]",
    "{}",
    "[[",
    "\u4eca\u65e5\u306f\u5929\u6c17\u304c\u3044\u3044\u3067\u3059\u306d\u3002",
    "?",
    "Is it so?",
)
TEXTS = st.one_of(st.sampled_from(PHRASES), st.text(max_size=60))
ROWS = st.lists(st.builds(row, st.one_of(TEXTS.filter(bool), st.just("x")), TEXTS), max_size=8)


@settings(max_examples=150)
@given(
    ROWS,
    st.sampled_from(["label", "json", "number", "code", "text", "other"]),
    st.none() | st.lists(TEXTS, max_size=4),
    st.integers(MIN_CHARACTERS, DEFAULT_CHARACTERS),
)
def test_any_rows_give_a_text_within_the_budget_that_quotes_no_answer(rows, kind, labels, most):
    text = write_template(rows, kind, labels, max_characters=most).text
    assert text.strip()
    assert len(text) <= most
    assert text == write_template(rows, kind, labels, max_characters=most).text
    for known in rows:
        if is_long(known.completion):
            assert normalize_text(known.completion) not in normalize_text(text)
