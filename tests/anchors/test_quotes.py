import pytest
from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.quotes import QuotedTexts, RowText, is_long
from levertune.data.row_texts import normalize_text

UNSPACED = "\u660e\u5929\u4e00\u8d77\u53bb\u516c\u56ed\u73a9\u4e00\u73a9\u5427"


def quoted(text, *texts):
    rows = QuotedTexts(RowText(str(number), part) for number, part in enumerate(texts))
    return [row.id for row in rows.quoted_in(text)]


@pytest.mark.parametrize(
    ("text", "part", "is_quoted"),
    [
        ("Say: the cat sat on the mat, please.", "The cat  sat on\nthe mat.", True),
        ("Say: the cat sat on a mat.", "The cat sat on the mat.", False),
        ("Answer yes or no.", "yes or no", False),
        (f"\u6211\u4eec{UNSPACED}\u3002", f"{UNSPACED}\u3002", True),
        ("A", "-" * 100 + " one two three four five", False),
        ("x one two three four five", "-" * 100 + " one two three four five", True),
    ],
)
def test_text_quotes_another_of_five_words_whatever_the_marks(text, part, is_quoted):
    assert quoted(text, part) == ["0"] * is_quoted


def test_of_equal_texts_the_first_row_is_named():
    assert quoted("one two three four five", "One two three four five", *["a b c d e f"] * 2) == [
        "0"
    ]


@given(st.text(max_size=40), st.text(max_size=90), st.text(max_size=40))
def test_whatever_stands_in_a_text_whole_is_found(before, part, behind):
    text = before + part + behind
    assert quoted(text, part) == ["0"] * (
        is_long(part) and normalize_text(part) in normalize_text(text)
    )
