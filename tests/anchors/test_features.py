import numpy as np
import pytest

from levertune.anchors.features import (
    AnchorPart,
    Features,
    anchor_parts,
    describe_features,
    describe_input,
    find_features,
    join_parts,
    leave_each_out,
    telling_words,
)
from levertune.anchors.word_odds import WordOdds

ANSWER = "Answer with the name of the intent, and nothing else."
CARDS = [f"my card {verb} {where} today?" for verb in ("broke", "vanished", "melted")
         for where in ("here", "abroad", "there")]  # fmt: skip
FEES = [f"which fee {verb} {where} today?" for verb in ("rose", "fell", "came")
        for where in ("here", "abroad", "there")]  # fmt: skip
GENERAL = [f"write {what} about {topic}, my friend" for what in ("a poem", "an essay", "a song")
           for topic in ("rain", "trees", "winter", "a horse", "the sea", "old maps")]  # fmt: skip


def states(centre, rows, seed, width=8):
    rng = np.random.default_rng(seed)
    vectors = np.eye(width)[centre] + 0.1 * rng.normal(size=(rows, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def features():
    own = np.concatenate((states(0, 9, 0), states(1, 9, 1)))
    return find_features(CARDS + FEES, GENERAL, own, states(2, 18, 2), seed=0)


def words_of(found):
    return [one.word for one in found]


def test_the_words_of_the_domain_are_found_and_common_words_left_out(features):
    assert set(words_of(features.words)) >= {"card", "fee", "today"}
    assert "my" not in words_of(features.words)


def test_words_that_further_texts_use_too_are_none_of_the_domain():
    own = np.concatenate((states(0, 9, 0), states(1, 9, 1)))
    everyday = [f"what shall we do {when}" for when in ("today", "now", "later", "tonight")] * 9
    found = find_features(CARDS + FEES, GENERAL, own, states(2, 18, 2), seed=0, more_texts=everyday)
    assert {"card", "fee"} <= set(words_of(found.words))
    assert "today" not in words_of(found.words)


def test_each_cluster_has_its_rows_and_words(features):
    first, second = features.themes
    assert (sorted(first.rows), sorted(second.rows)) == (list(range(9)), list(range(9, 18)))
    assert words_of(first.words)[0] == "card"
    assert "fee" in words_of(second.words)
    assert first.apart > 0.5
    assert len(first.exemplars) == 3


def test_labels_that_arrange_the_rows_are_no_words_of_the_domain(features):
    own = np.concatenate((states(0, 9, 0), states(1, 9, 1)))
    labelled = [f"Ticket: {text}" for text in CARDS + FEES]
    found = find_features(labelled, GENERAL, own, states(2, 18, 2), seed=0)
    assert words_of(found.words) == words_of(features.words)


def test_exemplars_are_the_rows_nearest_to_the_centre():
    own = np.array([[2.0, 0], [0.9, 0], [0.5, 0], [1.1, 0]])
    found = find_features(["a", "b", "c", "d"], [], own, np.zeros((0, 2)), seed=0)
    assert found.themes[0].exemplars == (3, 1, 2)
    assert found.themes[0].apart is None
    assert found.words == ()


def test_the_same_input_gives_the_same_features(features):
    own = np.concatenate((states(0, 9, 0), states(1, 9, 1)))
    assert find_features(CARDS + FEES, GENERAL, own, states(2, 18, 2), seed=0) == features


def test_the_anchor_names_input_domain_and_answer(features):
    parts = anchor_parts(features, ANSWER)
    assert [part.feature for part in parts][:2] == ["input", "domain"]
    text = join_parts(parts)
    assert text.startswith("You are given a short question. It is about ")
    assert " and " in text
    assert text.endswith(f" {ANSWER}")
    for row in (*CARDS, *FEES):
        assert row not in text


def odds(word, z=5.0, rows=5, other_share=0.0):
    return WordOdds(word, z, 1.0, rows, rows / 20, other_share)


def test_themes_are_named_by_words_that_the_domain_does_not_name():
    from levertune.anchors.features import Theme

    themes = (Theme((0, 1), (odds("card"), odds("pin"), odds("chip"), odds("slot")), 0.1),
              Theme((2, 3), (odds("fee"), odds("card")), 0.2), Theme((4,), (), None))  # fmt: skip
    found = Features((odds("card"),), themes, "a text")
    assert anchor_parts(found, ANSWER)[1:3] == (
        AnchorPart("domain", "It is about card."),
        AnchorPart("themes", "Themes: pin and chip; fee."),
    )
    one = Features((odds("card"),), themes[:1], "a text")
    assert [part.feature for part in anchor_parts(one, ANSWER)] == ["input", "domain", "answer"]


def test_each_feature_is_left_out_once(features):
    parts = anchor_parts(features, ANSWER)
    found = leave_each_out(parts)
    assert [name for name, _ in found] == [part.feature for part in parts]
    for (_, text), part in zip(found, parts, strict=True):
        assert part.text not in text
        assert len(text) + len(part.text) + 1 == len(join_parts(parts))
    assert leave_each_out(parts[:1]) == ()


def test_words_that_name_nothing_are_passed_over():
    strong = [odds("card"), odds("cards"), odds("of"), odds("my", other_share=0.4), odds("2024"),
              odds("once", rows=1), odds("transfer"), odds("transfers"), odds("caring"),
              odds("\u92b6\u884c"), odds("x" * 31), odds("fee"), odds("weak", z=1.0)]  # fmt: skip
    found = words_of(telling_words(strong, 20, 9))
    assert found == ["card", "transfer", "caring", "\u92b6\u884c", "fee"]
    assert words_of(telling_words(strong, 20, 2)) == ["card", "transfer"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Where is my card?", "Why?", "Lost it."], "a short question"),
        (["Lost it.", "Found it."], "a short text"),
        (["a word " * 30], "a text"),
        (["a word " * 90 + "?"], "a long question"),
        (["one\ntwo\nthree"] * 2, "a text of several lines"),
    ],
)
def test_the_input_is_named_by_its_lines_length_and_question_marks(texts, expected):
    assert describe_input(texts) == expected


def test_the_notes_name_rows_by_their_ids_and_no_text_of_theirs(features):
    notes = describe_features(features, [f"row-{number}" for number in range(18)])
    assert notes[0].startswith("words of the domain: ")
    assert "theme 1 of 2: 9 rows (card" in notes[1]
    assert "nearest to its centre: rows row-" in notes[1]
    bare = Features((), (), "a text")
    assert describe_features(bare, []) == (
        "no word sets the task rows apart from the general rows",
    )


def test_what_cannot_be_used_is_refused(features):
    with pytest.raises(ValueError, match="at least one task row"):
        find_features([], [], np.zeros((0, 2)), np.zeros((0, 2)), seed=0)
    with pytest.raises(ValueError, match="1 texts and 0 vectors"):
        find_features(["a"], ["b"], np.ones((1, 2)), np.zeros((0, 2)), seed=0)
    with pytest.raises(ValueError, match="needs a sentence"):
        anchor_parts(features, " ")
