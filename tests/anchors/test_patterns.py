import pytest

from levertune.anchors.patterns import describe_pattern, describe_words, join_words, number_word


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (["ABC12", "XYZ09"], "three capital letters and two digits"),
        (["Abc12", "xyZ09"], "three letters and two digits"),
        (
            ["F2-KB", "N4-DC"],
            "a capital letter, a digit, a hyphen and two capital letters",
        ),
        (["15:15", "09:30"], "two digits, a colon and two digits"),
        (["A1", "A12"], "a capital letter and one to two digits"),
        (["A1", "A123456789"], "a capital letter and digits"),
        (["a3f9", "00ff", "1b2c"], "four letters or digits"),
        (["NYC", "BER"], "three capital letters"),
        (["yes", "may"], None),
        (["Yes", "yEs"], None),
        (["A1", "A1"], None),
        (["A1", "B"], None),
        (["x" * 50, "y" * 50], None),
        (["a(1)", "b(2)"], None),
        (["", "A1"], None),
    ],
)
def test_pattern_is_told_by_classes_of_characters(texts, pattern):
    assert describe_pattern(texts) == pattern


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["card_lost", "top_up"], "lower-case words joined by underscores"),
        (["CARD_LOST", "OK"], "capitalised words joined by underscores"),
        (["card-lost", "ok"], "lower-case words joined by hyphens"),
        (["card.lost", "ok"], "lower-case words joined by dots"),
        (["BookTable", "GetWeather", "Play"], "capitalised words written together"),
        (["Play", "Stop"], None),
        (["card lost"], None),
        ([], None),
    ],
)
def test_names_made_of_words_are_told_by_what_joins_them(texts, words):
    assert describe_words(texts) == words


def test_words_and_counts_stand_in_sentences():
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b", "c"], "or") == "a, b or c"
    assert (number_word(3), number_word(12)) == ("three", "12")
