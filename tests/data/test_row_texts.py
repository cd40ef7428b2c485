"""Words are whole in scripts that write vowels as marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.pieces import count_words
from levertune.data.row_texts import bare_text, split_tokens, split_words


@pytest.mark.parametrize(
    "text",
    [
        "सकारात्मक समीक्षा",  # Hindi
        "நல்ல செய்தி",  # Tamil
        "رِسَالَةٌ جَدِيدَة",  # vocalised Arabic
        "می\u200cخواهم بروم",  # Persian with a joiner
        "cafe\u0301 au\u0300",  # letters and accents apart
    ],
)
def test_marks_do_not_end_a_word(text):
    assert split_words(text) == split_tokens(text) == text.split()
    assert count_words(text) == 2


@pytest.mark.parametrize("mark", list(".?\u0964\u0965\u061f\u06d4\u0589\u1362\u17d4"))
def test_a_row_without_the_mark_at_its_end_is_the_same_row(mark):
    assert bare_text(f"मेरा कार्ड खो गया{mark}") == "मेरा कार्ड खो गया"


def test_marks_by_themselves_are_no_words():
    assert split_words("\u0301 \u200d - \u093e") == []
    assert split_words("one-two, three's") == ["one", "two", "three", "s"]


@given(st.text(st.characters(max_codepoint=127)))
def test_a_letter_elsewhere_changes_no_word_of_the_rest(text):
    """Texts of ASCII alone are split by a shorter rule, which must be the same."""
    assert split_words(f"{text} \u00e9") == [*split_words(text), "\u00e9"]
    assert split_tokens(f"{text} \u00e9") == [*split_tokens(text), "\u00e9"]
