import pytest
from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.pieces import count_words, is_layout, piece_spans


def pieces(text, **settings):
    return [text[start:end] for start, end in piece_spans(text, **settings)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two. Three?\nFour", ["One two.", "Three?", "Four"]),
        ("One\r\n\r\n  Two  \nThree\n", ["One", "Two", "Three"]),
        ('He said "go." Then', ['He said "go."', "Then"]),
        ("Use e.g. tea or 1. milk by J. Doe", ["Use e.g. tea or 1. milk by J. Doe"]),
        ("Version 1.5 of a.b", ["Version 1.5 of a.b"]),
        ("Count to 3.\nGo", ["Count to 3.", "Go"]),
        ("Translate: hello at 12:30", ["Translate:", "hello at 12:30"]),
        ("翻译成英文。你好", ["翻译成英文。", "你好"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_text_is_cut_at_lines_sentences_and_colons(text, expected):
    assert pieces(text) == expected


def test_unfinished_piece_can_be_left_out():
    assert pieces("One two. Three fo", unfinished=False) == ["One two."]


@given(st.text(alphabet="ab .!:\n\r\t。", max_size=40))
def test_pieces_hold_all_but_the_white_space(text):
    assert "".join(pieces(text)).split() == [] or "".join("".join(pieces(text)).split()) == (
        "".join(text.split())
    )
    assert all(piece == piece.strip() for piece in pieces(text))


@pytest.mark.parametrize(
    "piece",
    ["Message:", "The input text:", "---", "***", "<document>", "[TEXT]", "### Input", "输入："],
)
def test_labels_rules_tags_and_headings_are_layout(piece):
    assert is_layout(piece)


@pytest.mark.parametrize(
    "piece",
    ["Give the code for this:", "Translate.", "(Answer in one word.)", "## A b c d", "[a b c d]"],
)
def test_instructions_are_not_layout(piece):
    assert not is_layout(piece)


def test_two_characters_of_an_unspaced_script_count_as_a_word():
    assert count_words("翻译成英文。") == 2
    assert count_words("Don't re-use it, Þór") == 4


@pytest.mark.parametrize("label", ["消息：", "问：", "客户消息:", "入力文：", "是："])
def test_a_label_without_spaces_is_layout(label):
    assert is_layout(label)


@pytest.mark.parametrize(
    "piece", ["请给出下面这条消息的工单代码：", "次の文の感情を一語で答えてください：", "是"]
)
def test_an_instruction_without_spaces_that_ends_in_a_colon_is_none(piece):
    assert not is_layout(piece)
