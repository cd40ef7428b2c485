"""The decision table of docs/concepts/metrics.md, a test a row, and its edges."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.kinds import TaskKind, choose_metrics, recognise_kind
from levertune.scoring.metrics import METRICS

JSON = ['{"do": "open", "door": 1}', '```json\n{"do": "shut"}\n```', "[1, 2]"] * 4
LABELS = ["A1", "B2", "A1", "C3", "B2", "C3", "A1", "D4"]
NUMBERS = ["12", "7.5", "-3", "1,200", "+8", "41%"]
REGEXES = [".*~(dog).*", "([a-z]){3,}", "(A|B)&(.*x)", "\\b[0-9]\\b", "(.*)(ring)"]
ACTIONS = ["I_WALK", "I_TURN_LEFT I_WALK", "I_JUMP I_JUMP", "I_RUN I_LOOK I_RUN"]
SENTENCES = ["The fork fell down.", "Come back by Sunday!", "I want to go abroad.", "No."]


@pytest.mark.parametrize(
    ("completions", "kind", "primary"),
    [
        (JSON, "json", "json_f1"),
        (LABELS, "label", "macro_f1"),
        (NUMBERS, "number", "exact_match"),
        (REGEXES, "code", "token_edit_similarity"),
        (ACTIONS, "code", "token_edit_similarity"),
        (SENTENCES, "text", "chrf"),
    ],
)
def test_each_row_of_the_decision_table(completions, kind, primary):
    found = recognise_kind(completions)
    assert found.kind == kind
    choice = choose_metrics(found)
    assert choice.primary == primary
    assert "exact_match" in choice.names[:2]
    assert set(choice.names) <= METRICS.keys()
    assert choice.reason


def formal(num_rows, length=5):
    """Different formal strings of a length."""
    return [f"k{number}_".ljust(length, "z") for number in range(num_rows)]


@pytest.mark.parametrize(
    ("on_the_limit", "kind", "over_it", "otherwise"),
    [
        (["x" * 60] * 4, "label", ["x" * 60] * 3 + ["x" * 61], "text"),
        (["red", "red", "blue", "jade"], "label", ["red", "red", "blue", "jade", "pink"], "text"),
        ([*formal(9), "two words"], "code", [*formal(8), "two words", "and more"], "text"),
        (formal(3, 200), "code", formal(3, 201), "text"),
    ],
    ids=["60 characters", "half the rows", "nine in ten", "200 characters"],
)
def test_the_limits_of_the_decision_table_hold_to_the_row_and_character(
    on_the_limit, kind, over_it, otherwise
):
    assert recognise_kind(on_the_limit).kind == kind
    assert recognise_kind(over_it).kind == otherwise


def test_labels_are_listed_in_order_of_first_appearance():
    assert recognise_kind(LABELS).labels == ("A1", "B2", "C3", "D4")
    assert recognise_kind(SENTENCES).labels == ()


def test_answers_that_do_not_come_back_are_no_labels():
    found = recognise_kind([f"K{number}Z" for number in range(48)])
    assert found.kind == "code"
    assert "formal" in found.reason


def test_long_answers_that_come_back_are_no_labels():
    assert recognise_kind(["This same long answer is given to everyone. " * 3] * 9).kind == "text"


def test_one_row_is_never_enough_for_labels():
    assert recognise_kind(["yes"]).kind == "text"


@pytest.mark.parametrize(
    "completions",
    [
        ["这是一只猫。", "我喜欢，你呢？", "3 个苹果"],
        ["Það féll gaffall af borðinu.", "Þú", "5 km í burtu"],
        ["hundur", "hestur", "fugl"],
        ["Paris", "Berlin", "Rome"],
        ["def add(a, b):\n    return a plus b", "print it all out", "while true do nothing"],
        ["", "...", "!"],
    ],
)
def test_natural_text_is_never_taken_for_code(completions):
    assert recognise_kind(completions).kind == "text"


@pytest.mark.parametrize(
    "completions", [["2024-03-05", "5 km", "12:30"], ["SELECT name FROM users", "x = y + 1"]]
)
def test_formal_strings_may_hold_single_words(completions):
    assert recognise_kind(completions).kind == "code"


def test_one_answer_that_is_no_json_makes_the_task_no_json():
    assert recognise_kind([*JSON, "I cannot do that"]).kind != "json"


def test_scalars_are_no_json_task():
    assert recognise_kind(["1", "2", "3", "5"]).kind == "number"


def test_no_completions_are_refused():
    with pytest.raises(ValueError, match="at least one completion"):
        recognise_kind([])


def test_a_named_metric_comes_first_and_exact_match_second():
    choice = choose_metrics("json", "my_metrics:score")
    assert choice.primary == "my_metrics:score"
    assert choice.others == ("exact_match", "json_f1", "json_equal", "json_valid")
    assert "recipe" in choice.reason


def test_a_named_metric_is_not_listed_twice():
    choice = choose_metrics(TaskKind("text", ""), "rouge_l")
    assert choice.names.count("rouge_l") == 1
    assert choice.others[0] == "exact_match"


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of"):
        choose_metrics("poem")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=12))
@settings(max_examples=100)
def test_every_list_of_texts_has_a_kind_that_has_metrics(completions):
    found = recognise_kind(completions)
    assert choose_metrics(found).primary in METRICS
    assert (found.kind == "label") == bool(found.labels)
