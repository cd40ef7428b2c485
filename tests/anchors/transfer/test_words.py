from random import Random

import pytest

from levertune.anchors.transfer.records import RECORD_FORMS
from levertune.anchors.transfer.words import DOMAINS, THINGS, WORDS, draw_labels, draw_note, names


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_note_names_things_of_one_topic_only(domain):
    rng = Random(0)
    for topic, things in DOMAINS[domain].items():
        for _ in range(80):
            note = draw_note(rng, things)
            found = {t for t, own in DOMAINS[domain].items() if any(names(note, x) for x in own)}
            assert found == {topic}, note


def test_words_are_of_letters_and_none_stands_twice():
    assert len(set(WORDS)) == len(WORDS)
    assert len(set(THINGS)) == len(THINGS)
    assert all(word.isalpha() and word.islower() for word in WORDS)


def test_labels_of_a_task_differ():
    for seed in range(60):
        labels = draw_labels(Random(seed), 5)
        assert len(set(labels)) == 5


@pytest.mark.parametrize("form", RECORD_FORMS, ids=lambda form: form.title)
def test_every_sentence_is_read_back_as_the_record_it_says(form):
    rng = Random(1)
    for _ in range(60):
        record = form.draw(rng)
        for sentence in form.sentences:
            assert form.read(sentence.format(**record)) == record


def test_a_sentence_of_another_form_is_refused():
    with pytest.raises(ValueError, match="'Nothing.' is no sentence of boat hire"):
        RECORD_FORMS[0].read("Nothing.")
