import pytest

from levertune.anchors.asking import Answer, AskError, UnusableAnswerError
from levertune.anchors.rewrite import MAX_TOKENS, NUM_EXAMPLES, rewrite_anchor
from levertune.data.records import Message, Record

ROWS = [Record(str(n), "task", (Message("user", f"thing {n}"),), f"colour {n}") for n in range(9)]


def own_text(record):
    return record.user_text


class Model:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, prompt, *, seed, max_tokens):
        self.asked.append((prompt, seed, max_tokens))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(answer)


def rewrite(ask, *, rows=ROWS, guard=lambda text: None, **options):
    return rewrite_anchor(
        "Say the {examples}.", rows, own_text, ask, seed=7, guard=guard, **options
    )


def test_the_model_sees_the_anchor_and_the_worst_rows():
    model = Model("Name the colour of it.")
    assert rewrite(model) == "Name the colour of it."
    [(prompt, seed, max_tokens)] = model.asked
    assert (seed, max_tokens) == (7, MAX_TOKENS)
    assert "\n\nSay the {examples}.\n\n" in prompt
    shown = [n for n in range(9) if f"Input: thing {n}\nOutput: colour {n}\n" in prompt]
    assert shown == list(range(NUM_EXAMPLES))


def test_long_rows_are_passed_over_whole():
    long = Record("long", "task", (Message("user", "word " * 500),), "x")
    model = Model("Name the colour of it.")
    rewrite(model, rows=[long, *ROWS])
    assert "word word" not in model.asked[0][0]
    assert rewrite(Model(), rows=[long]) is None


@pytest.mark.parametrize(
    "better",
    [
        "请给出这条消息里的颜色。",
        "このメッセージの色を答えてください。",
        "จงบอกสีของสิ่งของต่อไปนี้",
        "이 물건의 색을 말해 주세요.",
    ],
)
def test_an_instruction_is_long_enough_in_scripts_without_spaces_too(better):
    assert rewrite(Model(better)) == better


@pytest.mark.parametrize(
    "useless", ["", "是的。", "ใช่", "Yes.", "say the examples", "Sure! It is secret."]
)
def test_a_useless_answer_is_asked_for_once_more_as_a_text_to_go_on_with(useless):
    def guard(text):
        return "is secret" if "secret" in text else None

    assert rewrite(Model(useless), guard=guard) is None
    goes_on = Model('Name the colour of the thing." And so on')
    found = rewrite(Model(useless), guard=guard, continue_text=goes_on)
    assert found == "Name the colour of the thing."
    assert goes_on.asked[0][0].endswith('The new, clearer instruction of this worksheet is: "')
    assert rewrite(Model(useless), guard=guard, continue_text=Model(useless)) is None


def test_an_answer_that_is_no_text_counts_for_none_and_a_model_that_cannot_be_asked_is_told():
    assert rewrite(Model(UnusableAnswerError("too long"))) is None
    with pytest.raises(AskError, match="no connection"):
        rewrite(Model(AskError("no connection")))
