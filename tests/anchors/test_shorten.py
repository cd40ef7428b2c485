from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.anchor import Anchor
from levertune.anchors.shorten import AnchorStage, anneal, first_words, key_sentence

LONG = (
    "## Task\nGive the ticket code for this message of a customer of ours. "
    "A code has two letters and a digit. Write nothing else."
)


def count_words(text):
    return len(text.split())


def texts(stages):
    return [(stage.anchor.text if stage.anchor else None, stage.start) for stage in stages]


def test_an_anchor_is_shortened_to_its_key_sentence_a_few_words_and_nothing():
    assert texts(anneal(Anchor(LONG), count_words)) == [
        (LONG, 0.0),
        ("Give the ticket code for this message of a customer of ours.", 0.5),
        ("Give the ticket code for this message of", 0.7),
        (None, 0.85),
    ]


def test_what_is_served_is_as_short_as_asked():
    stages = anneal(Anchor(LONG, "suffix", lead_in="Code: "), count_words, served_tokens=4)
    assert texts(stages)[-1] == ("Give the ticket code", 0.85)
    assert {(s.anchor.placement, s.anchor.lead_in) for s in stages} == {("suffix", "Code: ")}


def test_forms_that_would_be_no_shorter_are_left_out():
    assert texts(anneal(Anchor("Give the code."), count_words)) == [
        ("Give the code.", 0.0),
        (None, 0.85),
    ]
    one = Anchor("Give the code.")
    assert anneal(one, count_words, served_tokens=8) == (AnchorStage(one, 0.0),)


def test_the_first_form_that_is_short_enough_to_be_served_stays():
    key = "Give the ticket code for this message of a customer of ours."
    for served, forms in (
        (3, [(LONG, 0.0), (key, 0.5), (" ".join(key.split()[:8]), 0.7), ("Give the ticket", 0.85)]),
        (8, [(LONG, 0.0), (key, 0.5), (" ".join(key.split()[:8]), 0.7)]),
        (10, [(LONG, 0.0), (key, 0.5), (" ".join(key.split()[:10]), 0.7)]),
        (12, [(LONG, 0.0), (key, 0.5)]),
        (24, [(LONG, 0.0), (key, 0.5)]),
        (25, [(LONG, 0.0)]),
    ):
        assert texts(anneal(Anchor(LONG), count_words, served_tokens=served)) == forms


def test_the_key_sentence_is_the_first_that_is_no_layout():
    assert key_sentence(LONG).startswith("Give the ticket code")
    assert key_sentence("<task>") == "<task>"


def test_words_stay_whole():
    assert first_words("one two three", len, 8) == "one two"
    assert first_words("immeasurably", len, 8) is None


@given(st.text(min_size=1, max_size=200).filter(str.strip), st.integers(0, 12))
def test_every_form_is_shorter_than_the_one_before_and_begins_it(text, served):
    stages = anneal(Anchor(text), count_words, served_tokens=served)
    lengths = [count_words(s.anchor.text) if s.anchor else 0 for s in stages]
    assert stages[0] == AnchorStage(Anchor(text), 0.0)
    assert lengths[-1] <= served
    assert lengths == sorted(set(lengths), reverse=True)
    assert [s.start for s in stages] == sorted({s.start for s in stages})
    assert all(s.anchor is None or s.anchor.text in text for s in stages)
    if served == 0:
        assert stages[-1].anchor is None or lengths[-1] == 0


def test_a_script_without_spaces_is_cut_between_its_characters():
    text = "请分类这句话并给出颜色标签。只回答标签。"
    assert texts(anneal(Anchor(text), len, served_tokens=10)) == [
        (text, 0.0),
        ("请分类这句话并给出颜色标签。", 0.5),
        ("请分类这句话并给出颜", 0.7),
    ]
    assert texts(anneal(Anchor(text), len, served_tokens=3))[-1] == ("请分类", 0.85)


def test_a_first_word_of_many_tokens_is_no_reason_to_serve_nothing():
    text = "Donaudampfschifffahrt ist gemeint"
    assert texts(anneal(Anchor(text), len, served_tokens=22)) == [
        (text, 0.0),
        ("Donaudampfschifffahrt", 0.7),
    ]
    assert texts(anneal(Anchor(text), len)) == [(text, 0.0), (None, 0.85)]
