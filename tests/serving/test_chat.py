import pytest

from levertune.data.records import Message
from levertune.errors import DataError, ModelError
from levertune.serving import chat as chat_module
from levertune.serving.chat import chat


class FakeAssistant:
    """Answers with the number of the question; keeps what it was asked."""

    def __init__(self, card):
        self.card = card
        self.asked = []

    def answer(self, turns, **options):
        from levertune.errors import DataError

        self.asked.append((list(turns), options))
        if turns[-1].content == "bad":
            raise DataError("prompt row '1': contains a control token.")
        return "" if turns[-1].content == "silence" else f"answer {len(self.asked)}"


@pytest.fixture
def talk(card, monkeypatch):
    """Runs a talk with the lines given; gives what was shown and the assistant."""

    def run(*lines, end=EOFError, **options):
        assistant = FakeAssistant(card)
        monkeypatch.setattr(
            chat_module.Assistant, "load", classmethod(lambda cls, folder, **options: assistant)
        )
        left, shown = list(lines), []

        def read(prompt):
            assert prompt == "you> "
            if not left:
                raise end
            return left.pop(0)

        chat("runs/x", read=read, write=shown.append, **options)
        return "".join(shown), assistant

    return run


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_each_answer_sees_all_turns_before_it(talk, end):
    shown, assistant = talk("one", "two", end=end)
    assert assistant.asked[1][0] == [
        Message("user", "one"),
        Message("assistant", "answer 1"),
        Message("user", "two"),
    ]
    assert shown.endswith("answer 1\nanswer 2\n")


def test_an_empty_line_ends_the_talk(talk):
    _, assistant = talk("one", "  ", "two")
    assert len(assistant.asked) == 1


def test_the_talk_says_whom_it_is_with_and_the_options_reach_it(talk):
    shown, assistant = talk("one", use_anchor=False, max_new_tokens=3)
    assert shown.startswith("tell on tiny-llama; anchor: left out, 'Say the colour.' (prefix)\n")
    assert assistant.asked[0][1] == {"use_anchor": False, "max_new_tokens": 3}
    assert talk()[0].startswith("tell on tiny-llama; anchor: 'Say the colour.' (prefix)\n")


def test_a_turn_that_fails_is_said_and_forgotten(talk):
    shown, assistant = talk("bad", "silence", "two")
    assert "contains a control token.\n" in shown
    assert "your turn is forgotten" in shown
    assert assistant.asked[2][0] == [Message("user", "two")]


def test_control_characters_of_an_answer_do_not_reach_the_terminal(talk, monkeypatch):
    monkeypatch.setattr(FakeAssistant, "answer", lambda *args, **options: "a\x1b[31mb\u00a0c")
    assert "a\ufffd[31mb\u00a0c\n" in talk("one")[0]


def test_a_real_adapter_answers(make_adapter, tmp_path, monkeypatch, capsys):
    lines = iter(["red blue", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    chat(make_adapter(tmp_path / "best"), max_new_tokens=3)
    assert len(capsys.readouterr().out.splitlines()) >= 3


def test_bytes_that_are_no_text_are_one_line_and_the_talk_goes_on_where_it_can(
    make_adapter, tmp_path, monkeypatch, capsys
):
    folder = make_adapter(tmp_path / "best")
    lines = iter(["red \udcff", "red blue", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    chat(folder, max_new_tokens=3)
    assert "prompt, turn 1: field 'content' holds half a character" in capsys.readouterr().out
    # What `input` reads from, where it is no terminal.
    monkeypatch.setattr("builtins.input", lambda prompt: b"\xff\xfe hi".decode("utf-8"))
    with pytest.raises(DataError, match="^chat: the input is not utf-8 text; found byte 0xff"):
        chat(folder, max_new_tokens=3)


def test_a_folder_without_adapter_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        chat(tmp_path / "none")
