import pytest

from levertune.data.printable import printable


def test_control_characters_are_not_printed():
    assert printable("a\x1b[2Jb\x07\n\té") == "a\ufffd[2Jb\ufffd\n\té"
    assert printable("plain") == "plain"


@pytest.mark.parametrize(
    "text",
    [
        "10\u00a0km, 10\u202fkm: d\u00e9j\u00e0",  # spaces that French is written with
        "\u5168\u89d2\u3000\u7a7a\u767d",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\U0001f469\u200d\U0001f4bb",  # one picture of two and a joiner
    ],
)
def test_what_languages_are_written_with_is_printed(text):
    assert printable(text) == text


@pytest.mark.parametrize("character", "\u0085\u2028\u2029\ud800\ue000\u0378\u202e\u2066\u200f")
def test_what_could_move_or_turn_other_text_is_not_printed(character):
    assert printable(f"a{character}b") == "a\ufffdb"
