from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.draws import draw_rows, fair_order, label_counts, task_strata
from levertune.errors import DataError
from levertune.scoring.kinds import recognise_kind


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.binary(min_size=4, max_size=4)), max_size=60))
def test_every_front_holds_each_stratum_to_within_one_row(items):
    strata = [stratum for stratum, _ in items]
    order = fair_order(strata, [key for _, key in items])
    assert sorted(order) == list(range(len(items)))
    totals, taken = Counter(strata), Counter()
    for size, index in enumerate(order, start=1):
        taken[strata[index]] += 1
        for stratum, total in totals.items():
            assert abs(taken[stratum] - size * total / len(items)) < 1


@pytest.mark.parametrize("stratified", [True, False])
def test_larger_draws_contain_smaller_ones_whatever_the_file_order(record, stratified):
    records = [record(f"p{i}", "c", i, stratum="ab"[i % 5 == 0]) for i in range(40)]
    draws = [draw_rows(records, n, seed=3, stratified=stratified) for n in range(45)]
    for smaller, larger in zip(draws, draws[1:], strict=False):
        assert larger[: len(smaller)] == smaller
    assert len(draws[-1]) == 40
    assert draw_rows(records[::-1], 9, seed=3, stratified=stratified) == draws[9]
    assert draw_rows(records, 9, seed=4, stratified=stratified) != draws[9]
    if stratified:
        assert Counter(row.stratum for row in draws[10]) == {"a": 8, "b": 2}


def test_negative_draw_is_refused(rows):
    with pytest.raises(DataError, match="must not be negative; found -1"):
        draw_rows(rows(("a", "b")), -1, seed=0, stratified=True)


@pytest.mark.parametrize(
    "completions",
    [
        ["A", "B", "A", "B"],
        ["A", "B", "C", "D"],
        ["A", "A", "C", "D"],
        ["A", "A", "A", "D", "E", "F", "G"],
        ["yes"],
        ["x" * 61, "x" * 61],
        ["a\nb", "a\nb"],
        ["the same sentence", "the same sentence"],
    ],
)
def test_labels_are_what_scoring_calls_labels(rows, completions):
    counts = label_counts(rows(*(("p", completion) for completion in completions)))
    assert (counts is not None) == (recognise_kind(completions).kind == "label")


def test_strata_are_the_files_own_or_else_the_labels(rows, record):
    assert task_strata(rows(("a", "X"), ("b", " X"))) == ["X", "X"]
    assert task_strata(rows(("a", "X"), ("b", "Y"))) == ["", ""]
    assert task_strata([record("a", "X", stratum="s"), record("b", "X")]) == ["s", ""]
