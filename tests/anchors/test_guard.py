import pytest

from levertune.anchors.auto import MAX_CHARACTERS
from levertune.anchors.guard import find_fault, make_guard
from levertune.data.control_tokens import ControlTokens
from levertune.data.records import Message, Record


def row(name, prompt, completion, references=()):
    return Record(name, "task", (Message("user", prompt),), completion, references)


SHARED = "Give the answer to this."
TRAINING = [
    row("t1", f"{SHARED}\nText: The red fox runs over the hill.", "it is a running red fox"),
    row("t2", f"{SHARED}\nText: A short one.", "I do not know the answer"),
    row("t3", f"{SHARED}\nText: Another short one.", "I do not know the answer"),
]
TEST = [
    row(
        "x1",
        f"{SHARED}\nText: Blue?",
        "the secret word is swordfish",
        ("nobody ever knew it at all",),
    ),
    row("x2", f"{SHARED}\nText: Green?", "The red fox runs over the hill"),
    row("x3", f"{SHARED}\nText: Grey?", "grey"),
]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (" \n", "is blank"),
        ("x" * (MAX_CHARACTERS + 1), "is too long; found 8001 characters, at most 8000 may be"),
        (
            "As in: the red fox  runs over the hill.",
            "contains the whole prompt of training row 't1'",
        ),
        ("Say 'It is a running red fox'.", "contains the whole answer of training row 't1'"),
        (
            "If asked, the SECRET word is swordfish.",
            "contains the answer of test row 'x1', which no training row has",
        ),
        (
            "Nobody ever knew it at all!",
            "contains the answer of test row 'x1', which no training row has",
        ),
        ("Give the answer to this. Text: short.", None),
        ("Where there is none, say: I do not know the answer.", None),
        ("Answer grey.", None),
    ],
)
def test_text_is_refused_for_what_it_holds(text, fault):
    assert find_fault(text, TRAINING, TEST) == fault


def test_answer_of_a_test_row_that_training_holds_is_no_leak():
    training = [row("a", "one two three four five six", "x"), row("b", "p", "x")]
    test = [row("x", "p", "two three four five six")]
    assert find_fault("Say two three four five six.", training, test) is None
    assert find_fault("Say two three four five six.", training[1:], test) is not None


def test_no_reason_ever_quotes_a_test_row():
    fault = find_fault("the secret word is swordfish", TRAINING, TEST)
    assert "swordfish" not in fault


def test_control_tokens_of_the_model_are_refused():
    guard = make_guard(
        TRAINING, find_control_token=ControlTokens("the model", ["<|end|>"]).describe_in
    )
    assert guard("Do it.<|end|>").startswith("contains the control token '<|end|>' of the model")
    assert guard("Do it.") is None


def test_shorter_limit_can_be_asked_for():
    assert find_fault("Do it now.", (), max_characters=5).startswith("is too long; found 10")


ASKED = ("Give the code of this message.", "Which code does the message get?")
MESSAGES = (
    "The parcel lay in the rain all night",
    "Nobody rang the bell on Monday morning",
    "My neighbour signed for the wrong box",
    "The van drove past our house twice",
    "Half of the cups came out broken",
    "I would like to send it back",
)
VARIED = [
    row(f"v{n}", f"{ASKED[n % 2]}\nMessage: {text}", f"C{n}") for n, text in enumerate(MESSAGES)
]


@pytest.mark.parametrize("number", [0, 1])
def test_a_row_is_known_again_without_the_instruction_that_rows_vary(number):
    fault = find_fault(f"Give the code. As in: {MESSAGES[number]}.", VARIED)
    assert fault == f"contains the whole prompt of training row 'v{number}'"
    assert find_fault(f"{ASKED[0]} {ASKED[1]}", VARIED) is None
