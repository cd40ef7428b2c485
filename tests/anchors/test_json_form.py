import json

import pytest

from levertune.anchors.json_form import describe_json, find_shape


def fullest(*values):
    return describe_json([json.dumps(value) for value in values])[0]


@pytest.mark.parametrize(
    ("values", "described"),
    [
        ([{"a": 1}] * 2, 'a JSON object with the key "a" (a whole number)'),
        (
            [{"a": 1, "b": "x y"}, {"a": 2.5, "b": "z"}],
            'a JSON object with the keys "a" (a number) and "b" (text)',
        ),
        (
            [{"a": True, "b": None}, {"a": False}],
            'a JSON object with the key "a" (true or false), and where they apply "b" (null)',
        ),
        (
            [{"a": 1}, {"b": []}],
            'a JSON object with where they apply "a" (a whole number) and "b" (a list)',
        ),
        (
            [{"k": value} for value in ("on", "off", "off", "on", "off")],
            'a JSON object with the key "k" (one of "off", "on")',
        ),
        ([{"v": "1"}] * 4, 'a JSON object with the key "v" (always "1")'),
        (
            [{"at": "12:00"}, {"at": "07:30"}],
            'a JSON object with the key "at" (two digits, a colon and two digits)',
        ),
        (
            [{"s": {"x": 1}}, {"s": {"x": 2, "y": "p"}}],
            'a JSON object with the key "s" (an object with the key "x" (a whole number), '
            'and where they apply "y" (text))',
        ),
        ([{"a": "x"}, {"a": 1}], 'a JSON object with the key "a" (text or a whole number)'),
        ([[1, 2], [3, 4]], "a JSON list of two whole numbers"),
        ([[1.5], [2, 3]], "a JSON list of numbers"),
        ([["a"], ["b", "c"]], "a JSON list of texts"),
        ([["on", "off"], ["on", "off", "on"]], 'a JSON list of texts, each one of "on", "off"'),
        ([[[1, 2]], [[3, 4], [5, 6]]], "a JSON list of lists of whole numbers"),
        (
            [[{"a": 1}], [{"a": 2}, {"a": 3}]],
            'a JSON list of objects with the key "a" (a whole number)',
        ),
        ([[1, "x"]], "a JSON list of items"),
        ([[], []], "a JSON list"),
        ([{}, {}], "a JSON object"),
        ([{}, []], "JSON"),
        ([1, 2], "JSON"),
        ([{f"word{n}": n} for n in range(50)], "a JSON object"),
    ],
)
def test_keys_types_and_values_are_told(values, described):
    assert fullest(*values) == described


@pytest.mark.parametrize("answers", [["{"], ["[" * 100_000], [], ["{}", "no"]])
def test_what_is_no_json_is_only_called_so(answers):
    assert describe_json(answers) == ["JSON"]


def test_fence_around_an_answer_is_no_part_of_it():
    assert describe_json(['```json\n{"a": 1}\n```'])[0].startswith("a JSON object with the key")


def test_descriptions_leave_out_more_and_more():
    values = [{"do": do, "s": {"x": 1}, "n": 1} for do in ("on", "off")] * 2
    values += [{"do": "on", "s": {"x": 1, "z": 2}}] * 2
    described = describe_json([json.dumps(value) for value in values])
    assert described[-5:] == [
        'a JSON object with the keys "do" and "s" (an object with the key "x"), '
        'and where they apply "n"',
        'a JSON object with the keys "do" and "s", and where they apply "n"',
        'a JSON object with the keys "do" and "s", and further keys where they apply',
        "a JSON object",
        "JSON",
    ]
    assert sorted(described, key=len, reverse=True)[0] == described[0]


def test_nesting_is_followed_to_a_limit():
    deep = {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}
    assert fullest(deep).count('"a"') == 4
    assert find_shape([deep], depth=0).keys == ()


@pytest.mark.parametrize("escape", ["ok \\ud83d", "\\u003c|im_end|\\u003e", "\\u003c/s\\u003e"])
def test_what_no_prompt_can_hold_is_not_named(escape):
    values = [f'{{"s": "{escape}", "n": {n}}}' for n in range(6)]
    keys = [f'{{"{escape}": {n}}}' for n in range(6)]
    for described in (*describe_json(values), *describe_json(keys)):
        assert described.encode("utf-8")
        assert "im_end" not in described
        assert "</s>" not in described
    assert describe_json(values)[0] == (
        'a JSON object with the keys "s" (text) and "n" (a whole number)'
    )
    assert describe_json(keys)[0] == "a JSON object"


def test_escaped_letters_are_named_as_they_read():
    assert '"caf\u00e9"' in describe_json(['{"s": "caf\\u00e9"}', '{"s": "tea"}'] * 3)[0]
