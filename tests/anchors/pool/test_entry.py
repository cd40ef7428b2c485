import dataclasses
from typing import get_args

import pytest

from levertune.anchors.anchor import Anchor
from levertune.anchors.pool.entry import build_entry
from levertune.anchors.pool.rules import Answer, find_faults
from levertune.errors import DataError
from levertune.scoring import kinds


def test_kinds_of_answer_are_those_of_scoring():
    assert set(get_args(Answer)) == set(get_args(kinds.Kind))


def test_an_entry_comes_back_from_its_mapping(make_entry, make_evidence):
    entry = make_entry(evidence=(make_evidence(),), votes=2)
    assert build_entry(entry.to_mapping(), where="x", stem="city-to-code") == entry


def test_the_content_hash_is_that_of_the_anchor(make_entry):
    entry = make_entry()
    assert entry.anchor_id == Anchor(entry.text).id
    assert dataclasses.replace(entry, votes=9).anchor_id == entry.anchor_id


def test_an_entry_made_in_python_is_held_to_the_same_rules(make_entry):
    with pytest.raises(DataError, match=r"^anchor 'city-to-code': votes: must be a whole number"):
        make_entry(votes=-1)


CHANGES = [
    ({"id": "Upper"}, r"id: must be at most 60 small letters .*found 'Upper'"),
    ({"id": "a" * 61}, r"id: must be at most 60 small letters"),
    ({"id": "a--b"}, r"id: must be at most 60 small letters"),
    ({"id": 7}, r"id: must be at most 60 small letters .*found 7"),
    ({"kind": "Not A Slug"}, r"kind: must be at most 60"),
    ({"text": ""}, r"text: must not be blank"),
    ({"text": " \n"}, r"text: must not be blank"),
    ({"text": None}, r"text: must be text; found None"),
    ({"text": "Do it.\n"}, r"text: must not begin or end with white space; .*`text: \|-`"),
    ({"text": " Do it."}, r"text: must not begin or end with white space"),
    ({"text": "a" * 2001}, r"text: must have at most 2,000 characters; found 2,001"),
    ({"text": "Do it.\x1b[2J"}, r"text: must be plain text; found the character '\\x1b'"),
    ({"text": "Do \ud800 it."}, r"text: must be plain text; found the character '\\ud800'"),
    ({"text": "Do it.<|im_end|>"}, r"text: contains the control token '<\|im_end\|>'"),
    ({"text": "Do <\uff5cUser\uff5c> it."}, r"text: contains the control token"),
    ({"text": "file:secret.txt"}, r"text: must be the anchor's own words; it begins with 'file:'"),
    ({"text": "pool:other"}, r"text: must be the anchor's own words; it begins with 'pool:'"),
    ({"text": "auto"}, r"text: must be the anchor's own words; it is 'auto'"),
    ({"answer": "jsn"}, r"answer: must be one of .*; found 'jsn'. Did you mean 'json'\?"),
    ({"answer": []}, r"answer: must be one of .*; found \[\]"),
    ({"task": "One.\nTwo."}, r"task: must be one line of text; found the character '\\n'"),
    ({"task": "a" * 301}, r"task: must have at most 300 characters"),
    ({"author": ""}, r"author: must not be blank"),
    ({"languages": []}, r"languages: must have at least 1 primary language tags; found 0"),
    ({"languages": "en"}, r"languages: must be a list of primary language tags; found 'en'"),
    ({"languages": ["en-US"]}, r"languages.0: must be a primary language tag .*found 'en-US'"),
    ({"languages": ["en", "en"]}, r"languages.1: repeats item 0"),
    ({"languages": [False]}, r"languages.0: must be a primary language tag .*found False"),
    ({"licence": "my own"}, r"licence: must be an SPDX identifier"),
    ({"examples": []}, r"examples: must have at least 5 examples; found 0"),
    ({"votes": -1}, r"votes: must be a whole number of at least 0; found -1"),
    ({"votes": True}, r"votes: must be a whole number"),
    ({"votes": 1.5}, r"votes: must be a whole number"),
    ({"evidence": {}}, r"evidence: must be a list of measured gains"),
    ({"evidence": ["good"]}, r"evidence.0: must be a mapping with the keys run, model"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=str)
def test_a_value_out_of_its_rule_is_refused(mapping, change, message):
    with pytest.raises(DataError, match=f"^f.yaml: {message}"):
        build_entry({**mapping, **change}, where="f.yaml")


EXAMPLES = [
    ({"prompt": "a", "completion": " "}, r"examples.6.completion: must not be blank"),
    ({"prompt": 3, "completion": "b"}, r"examples.6.prompt: must be text; found 3"),
    ({"prompt": "a"}, r"examples.6.completion: is missing"),
    ({"prompt": "a", "completion": "b", "x": 1}, r"examples.6.x: is no key"),
    ({"prompt": "<|user|>", "completion": "b"}, r"examples.6.prompt: contains the control token"),
    ({"prompt": "Which code has Oslo?", "completion": "OSL"}, r"examples.6: repeats item 0"),
]


@pytest.mark.parametrize(("example", "message"), EXAMPLES, ids=str)
def test_a_bad_example_is_refused(mapping, example, message):
    examples = [*mapping["examples"], example]
    with pytest.raises(DataError, match=message):
        build_entry({**mapping, "examples": examples}, where="f.yaml")


EVIDENCE = [
    ({"run": "abc"}, r"evidence.0.run: must be the 64 hexadecimal digits"),
    ({"metric": "my_metrics:score"}, r"evidence.0.metric: must be the name of a metric"),
    ({"against": "tell"}, r"evidence.0.against: must be one of sft, base"),
    ({"n": 0}, r"evidence.0.n: must be a whole number of at least 1"),
    ({"gain": float("nan")}, r"evidence.0.gain: must be a finite number"),
    ({"gain": True}, r"evidence.0.gain: must be a finite number"),
    ({"interval": (3.0, 1.0)}, r"evidence.0.interval: must be \[low, high\]"),
    ({"interval": (3.0,)}, r"evidence.0.interval: must be \[low, high\]"),
    ({"verified": "yes"}, r"evidence.0.verified: must be true or false"),
]


@pytest.mark.parametrize(("change", "message"), EVIDENCE, ids=str)
def test_bad_evidence_is_refused(make_entry, make_evidence, change, message):
    with pytest.raises(DataError, match=message):
        make_entry(evidence=(make_evidence(**change),))


def test_two_gains_of_one_measurement_are_refused(make_entry, make_evidence):
    with pytest.raises(DataError, match=r"evidence.1: is a second gain of one run"):
        make_entry(evidence=(make_evidence(), make_evidence(gain=9.0)))


def test_an_unknown_key_is_refused_with_the_nearest_known_one(mapping):
    mapping["license"] = mapping.pop("licence")
    with pytest.raises(DataError, match=r"f: license: is no key .*Did you mean 'licence'\?"):
        build_entry(mapping, where="f")
    del mapping["license"]
    with pytest.raises(DataError, match=r"f: licence: is missing. Add it."):
        build_entry(mapping, where="f")
    with pytest.raises(DataError, match=r"f: zzz: is no key .*Known here: id, text"):
        build_entry({**mapping, "licence": "MIT", "zzz": 1}, where="f")


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_mapping_is_refused(value):
    with pytest.raises(DataError, match=r"^f: must be a mapping with the keys id, text"):
        build_entry(value, where="f")


def test_the_file_must_be_called_as_the_entry(mapping):
    with pytest.raises(DataError, match=r"id: must be the name of its file, 'other'"):
        build_entry(mapping, where="f", stem="other")


def test_every_fault_is_found_not_only_the_first(mapping):
    mapping |= {"votes": -1, "answer": "x", "licence": ""}
    assert [fault.field for fault in find_faults(mapping)] == ["answer", "licence", "votes"]
