import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors.word_odds import word_odds

CARDS = ["my card is lost", "the card was stolen", "card not accepted"]
OTHERS = ["write a poem", "the capital of a country", "my poem about a cat"]


def by_word(texts, others, **options):
    return {one.word: one for one in word_odds(texts, others, **options)}


def test_the_figures_are_those_of_the_paper():
    # Words by rows: first set a 2, b 1 (3 in all); second a 1, c 1 (2 in all).
    odds = by_word(["a b", "a a"], ["a", "c"], prior_words=10)
    alpha = 10 * 3 / 5
    expected = math.log((2 + alpha) / (13 - 2 - alpha)) - math.log((1 + alpha) / (12 - 1 - alpha))
    z = expected / math.sqrt(1 / (2 + alpha) + 1 / (1 + alpha))
    assert odds["a"].log_odds == pytest.approx(expected)
    assert odds["a"].z == pytest.approx(z)
    assert (odds["a"].rows, odds["a"].share, odds["a"].other_share) == (2, 1.0, 0.5)
    assert "c" not in odds


def test_the_word_that_sets_the_texts_apart_comes_first():
    odds = word_odds(CARDS, OTHERS)
    assert odds[0].word == "card"
    assert [one.word for one in odds[1:3]] == ["accepted", "is"]  # equal: by the alphabet
    assert by_word(CARDS, OTHERS)["the"].z == pytest.approx(0, abs=0.1)


@settings(max_examples=20)
@given(
    texts=st.lists(st.text("ab c", max_size=9), min_size=1, max_size=6),
    others=st.lists(st.text("ab c", max_size=9), min_size=1, max_size=6),
)
def test_seen_from_the_other_side_all_signs_change(texts, others):
    back = by_word(others, texts)
    for word, one in by_word(texts, others).items():
        if word in back:
            assert one.z == pytest.approx(-back[word].z)


def test_a_text_counts_a_word_once():
    assert by_word(["card card card", "cat"], OTHERS) == by_word(["card", "cat"], OTHERS)


def test_a_stronger_prior_draws_towards_no_difference():
    weak, strong = (by_word(CARDS, OTHERS, prior_words=p)["card"] for p in (1, 10_000))
    assert weak.z > strong.z > 0


def test_without_others_or_with_a_single_word_nothing_is_set_apart():
    assert [one.z for one in word_odds(CARDS, [])] == pytest.approx([0.0] * 9)
    assert word_odds(["card"], ["card card"]) == ()
    assert word_odds([], []) == ()


def test_a_prior_without_weight_is_refused():
    with pytest.raises(ValueError, match="weigh more than nothing, got 0"):
        word_odds(CARDS, OTHERS, prior_words=0)
