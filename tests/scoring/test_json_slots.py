"""What parses as JSON, what is equal as JSON, and slot F1 by hand."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.json_slots import UNPARSEABLE, flatten, parse_json
from levertune.scoring.metrics import find_metric

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def score(name, prediction, *references):
    return find_metric(name).score([prediction], [references])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": 1}\n', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[1]\n```", [1]),
        ('{"a": "```"}', {"a": "```"}),
        ("null", None),
        ("3", 3),
    ],
)
def test_json_is_read_through_whitespace_and_one_fence(text, value):
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 1} thanks',
        'Sure: {"a": 1}',
        '{"a": NaN}',
        "Infinity",
        '{"a": 1',
        '```json\n{"a": 1}\n``` there',
        "[" * 100_000,
        "1" * 5000,
    ],
)
def test_everything_else_is_unparseable(text):
    assert parse_json(text) is UNPARSEABLE
    for name in ("json_valid", "json_equal", "json_f1"):
        scored = score(name, text, '{"a": 1}')
        assert scored.aggregate() == 0.0
        assert scored.num_unparseable == 1


@pytest.mark.parametrize(
    ("prediction", "reference", "equal", "f1"),
    [
        ('{"a": 1, "b": "x"}', '{"b": "x", "a": 1.0}', 1, 1),
        ('{"a": true}', '{"a": 1}', 0, 0),
        ('{"a": "1"}', '{"a": 1}', 0, 0),
        ('{"a": null}', '{"a": "None"}', 0, 0),
        ('{"a": {}}', '{"a": []}', 0, 0),
        ("[1, 2]", "[2, 1]", 0, 1),
        ("[1, 1]", "[1]", 0, 2 / 3),
        ('{"a": {"b": 1}}', '{"a.b": 1}', 0, 0),
        ('{"a": [1]}', '{"a": {"0": 1}}', 0, 0),
        ('{"do": "open", "door": "3"}', '{"do": "open", "door": "2", "slow": true}', 0, 2 / 5),
        ("{}", "{}", 1, 1),
        ("7", "7", 1, 1),
    ],
)
def test_equality_and_slot_f1_by_hand(prediction, reference, equal, f1):
    assert score("json_equal", prediction, reference).aggregate() == equal
    assert score("json_f1", prediction, reference).aggregate() == pytest.approx(f1)


def test_the_best_fitting_reference_counts():
    scored = score("json_f1", '{"a": 1}', '{"b": 1}', "no json", '{"a": 1, "c": 2}')
    assert scored.aggregate() == pytest.approx(2 / 3)


def test_a_row_without_json_reference_has_no_score():
    scored = find_metric("json_f1").score(['{"a": 1}', "[]"], [["hello"], ["[]"]])
    assert scored.per_row.tolist()[1:] == [1]
    assert scored.aggregate() == 1
    assert scored.aggregate([0]) is None


def test_deep_json_that_parses_is_scored():
    deep = "[" * 500 + "]" * 500
    assert score("json_equal", deep, deep).aggregate() == 1


@given(values, values)
@settings(max_examples=100)
def test_equality_and_f1_obey_their_laws(first, second):
    one, two = json.dumps(first), json.dumps(second)
    f1 = score("json_f1", one, two).aggregate()
    assert 0 <= f1 <= 1
    assert f1 == pytest.approx(score("json_f1", two, one).aggregate())
    assert score("json_equal", one, json.dumps(first, indent=2, sort_keys=True)).aggregate() == 1
    if score("json_equal", one, two).aggregate():
        assert first == second
        assert f1 == 1
    assert flatten(first, ordered=True)
