"""Exact match and edit similarities by hand and by their laws."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.exactness import formal_tokens
from levertune.scoring.metrics import find_metric

EDITS = ("character_edit_similarity", "token_edit_similarity")


def distance(a, b):
    """Levenshtein distance by the plain recurrence."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        above, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


def test_exact_match_ignores_surrounding_whitespace_alone():
    scored = find_metric("exact_match").score(
        ["a b ", "a  b", "A b", "b"], [["a b"], ["a b"], ["a b"], ["a", "b\n"]]
    )
    assert scored.per_row.tolist() == [1, 0, 0, 1]
    assert scored.is_proportion


def test_formal_tokens_keep_names_whole_and_marks_apart():
    assert formal_tokens(".*~(dog_1.*)") == [".", "*", "~", "(", "dog_1", ".", "*", ")"]


def test_marks_on_letters_do_not_end_a_formal_token():
    assert formal_tokens('{"नाम": "किताब"}') == ["{", '"', "नाम", '"', ":", '"', "किताब", '"', "}"]
    assert formal_tokens("cafe\u0301_2 = x") == ["cafe\u0301_2", "=", "x"]
    assert formal_tokens("\u0301") == ["\u0301"]
    scored = find_metric("token_edit_similarity").score(["किताब दो"], [["किताबें दो"]])
    assert scored.aggregate() == pytest.approx(1 / 2)


def test_token_edit_similarity_by_hand():
    scored = find_metric("token_edit_similarity").score(
        ["I_WALK I_JUMP", "(dog)", ""], [["I_WALK I_RUN I_JUMP"], ["(cat)", "[dog]"], ["x"]]
    )
    assert scored.per_row.tolist() == pytest.approx([2 / 3, 2 / 3, 0])


@given(st.text("ab(_ ", max_size=8), st.lists(st.text("ab(_ ", max_size=8), min_size=1, max_size=3))
@settings(max_examples=80)
def test_edit_similarities_follow_the_plain_recurrence(prediction, references):
    for name, split in zip(EDITS, (str.strip, formal_tokens), strict=True):
        mine, theirs = split(prediction), [split(text) for text in references]
        expected = max(
            1 - distance(mine, text) / longest if (longest := max(len(mine), len(text))) else 1.0
            for text in theirs
        )
        value = find_metric(name).score([prediction], [references]).aggregate()
        assert value == pytest.approx(expected)
