import pytest

from levertune.data.language import compare_with_english

ENGLISH = ["the cat sat on the mat and looked at the door", "please tell me when the train leaves"]


def count_words(texts):
    return [len(text.split()) for text in texts]


def count_letters(texts):
    return [len(text) for text in texts]


def test_english_is_as_good_as_english():
    fit = compare_with_english(ENGLISH, ["A"], ENGLISH, count_words)
    assert fit.ratio == 1.0
    assert "suits this text: it takes 1.00 times" in fit.verdict


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.2, "suits"), (1.7, "finer than English"), (2.5, "splits your language into small pieces")],
)
def test_verdict_follows_the_ratio(factor, verdict):
    def count(texts):
        return [len(text) * (factor if "ð" in text else 1) for text in texts]

    fit = compare_with_english(["það er ekki rétt hjá þér"], [], ENGLISH, count)
    assert fit.ratio == pytest.approx(factor)
    assert verdict in fit.verdict


def test_the_stranger_of_prompt_and_completion_counts():
    def count(texts):
        return [len(text) * (3 if "ð" in text else 1) for text in texts]

    assert compare_with_english(ENGLISH, ["það er ekki rétt"], ENGLISH, count).ratio == 3


@pytest.mark.parametrize(
    "completions",
    [["A7K", "B2"], ['{"a": {"b": "c"}, "d": "e", "f": "g"}'], ["I_TURN_LEFT I_WALK"], ["42 17 3"]],
)
def test_codes_json_and_commands_are_no_language(completions):
    def count(texts):
        return [9 * len(text) for text in texts]

    assert compare_with_english([], completions, ENGLISH, count) is None


def test_chinese_characters_count_as_three():
    fit = compare_with_english(["今天天气很好我们去公园散步"], [], ENGLISH, count_letters)
    assert fit.ratio == pytest.approx(1 / 3)


def test_nothing_to_compare_gives_none():
    assert compare_with_english([], [], ENGLISH, count_words) is None
    assert compare_with_english(ENGLISH, [], [], count_words) is None
