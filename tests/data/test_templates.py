import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levertune.data.templates import parse_template
from levertune.errors import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("message", "names no field"),
        ("a {} b", "has '{}' without a field name at character 3"),
        ("a { b", "has '{' without a field name"),
        ("a } b", "has '}' without a field name"),
    ],
)
def test_broken_templates_are_refused(text, message):
    with pytest.raises(DataError, match=f"^task.prompt: .*{re.escape(message)}"):
        parse_template(text, key="task.prompt")


def test_unknown_field_offers_the_nearest_known_one():
    template = parse_template("{mesage}", key="task.prompt")
    with pytest.raises(
        DataError, match=r"1: task.prompt names the field 'mesage'; .* Did you mean {message}"
    ):
        template.fill({"message": "a", "code": "b"}, "rows, line 1")


@pytest.mark.parametrize("field", ["a.real", "a[0]", "a!r", "a:>9"])
def test_no_attribute_index_or_format_is_reached(field):
    template = parse_template(f"{{{field}}}", key="prompt")
    with pytest.raises(DataError, match="names the field"):
        template.fill({"a": "x"}, "rows, line 1")
    assert template.fill({field: "plain"}, "rows, line 1") == "plain"


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (1.5, "1.5"), (True, "true"), ("x", "x")])
def test_numbers_appear_as_in_json(value, text):
    assert parse_template("{a}", key="prompt").fill({"a": value}, "rows") == text


@pytest.mark.parametrize(("value", "found"), [(None, "null"), ([1], "a list"), ({}, "an object")])
def test_other_values_are_refused(value, found):
    with pytest.raises(DataError, match=f"must be text or a number; found {found}"):
        parse_template("{a}", key="prompt").fill({"a": value}, "rows")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_empty_cell_of_numbers_is_no_answer(value):
    message = f"^rows, row 3: field 'a', .* must be text or a finite number; found {value}"
    with pytest.raises(DataError, match=message):
        parse_template("{a}", key="task.completion").fill({"a": value}, "rows, row 3")


@given(st.text(), st.text(), st.text())
def test_values_are_never_expanded_again(before, value, behind):
    def escaped(text):
        return text.replace("{", "{{").replace("}", "}}")

    template = parse_template(f"{escaped(before)}{{a b}}{escaped(behind)}", key="prompt")
    assert template.fields == ("a b",)
    assert template.fill({"a b": value}, "rows") == before + value + behind
