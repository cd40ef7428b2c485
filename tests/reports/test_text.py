import pytest

from levertune.reports.text import (
    bytes_text,
    count_text,
    flatten,
    in_points,
    interval_text,
    is_plain_value,
    number_text,
    redact,
    seconds_text,
    value_text,
)
from levertune.results.schema import Interval


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, None, "not measured"),
        (0.12345, None, "0.123"),
        (-0.5, None, "−0.500"),
        (12.345, None, "12.3"),
        (-0.0001, 1, "0.0"),
        (76.6, 1, "76.6"),
    ],
)
def test_numbers_are_written_for_people(value, digits, text):
    assert number_text(value, digits) == text


def test_a_number_without_interval_says_so():
    assert interval_text(Interval(0.5, None, None, 1, 1, "")) == "0.500 no interval"
    assert interval_text(Interval(None, None, None, 0, 1, "")) == "not measured"
    assert interval_text(None) == "not measured"


def test_points_scale_the_interval_with_the_value():
    shown = in_points(Interval(0.5, 0.25, None, 8, 1, "m"), 100.0)
    assert (shown.value, shown.low, shown.high, shown.n) == (50.0, 25.0, None, 8)
    assert in_points(None, 100.0) is None


def test_durations_sizes_and_counts_carry_their_unit():
    assert [seconds_text(s) for s in (None, 3.21, 312, 59.99, 7500)] == [
        "not measured", "3.2 s", "5 min 12 s", "60.0 s", "2 h 05 min",
    ]  # fmt: skip
    assert [bytes_text(b) for b in (None, 12, 2_100_000_000)] == [
        "not measured", "12 bytes", "2.1 GB",
    ]  # fmt: skip
    assert [count_text(c) for c in (None, 1234.0)] == ["not measured", "1,234"]


def test_redaction_takes_quotations_and_known_words_and_leaves_the_rest():
    sentence = "task.csv, line 3: label 'a b' isn't known; the user's yes, \"no\" and Yes-terday."
    assert redact(sentence, ["yes"]) == (
        "task.csv, line 3: label [left out] isn't known; the user's [left out], [left out] and "
        "[left out]-terday."
    )
    assert redact("eyes see", ["yes", ""]) == "eyes see"


def test_settings_flatten_to_dotted_keys():
    recipe = {"a": {"b": 1, "c": {}}, "d": [{"e": None}], "f": [1, 2]}
    assert flatten(recipe) == [("a.b", 1), ("a.c", {}), ("d.0.e", None), ("f", [1, 2])]


def test_values_are_written_as_a_recipe_would():
    values = (None, True, [1, "a"], [], 2e-4)
    assert [value_text(v) for v in values] == ["null", "true", "1, a", "[]", "0.0002"]
    assert is_plain_value([1, "all-linear", None])
    assert not is_plain_value("two words")
