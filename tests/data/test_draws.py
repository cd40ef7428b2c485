from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.draws import (
    allot_rows,
    draw_rows,
    fair_order,
    label_counts,
    sample_items,
    sampled_order,
    task_strata,
)
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
        tens = [draw_rows(records, 10, seed=seed, stratified=True) for seed in range(50)]
        assert all(1 <= sum(row.stratum == "b" for row in ten) <= 3 for ten in tens)


@pytest.mark.parametrize(("labels", "rows", "most"), [("yn", 128, 64), ("abcd", 240, 60)])
def test_a_sample_of_a_file_that_goes_round_its_labels_has_them_all(labels, rows, most):
    items = [(i, labels[i % len(labels)]) for i in range(rows)]
    sample = sample_items(items, most)
    assert len(sample) == most
    assert list(sample) == sorted(set(sample))
    counts = Counter(label for _, label in sample)
    assert all(0.5 < counts[label] * len(labels) / most < 1.5 for label in labels)


def test_a_sample_is_as_large_as_asked_for_and_the_same_each_time():
    items = list(range(65))
    assert len(sample_items(items, 64)) == 64
    assert sample_items(items, 64) == sample_items(items, 64)
    assert sample_items(items, 65) == items


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80), st.data()
)
def test_every_front_of_a_sample_has_strata_about_in_proportion(strata, data):
    keys = data.draw(st.lists(st.binary(min_size=8, max_size=8), min_size=len(strata),
                              max_size=len(strata), unique=True))  # fmt: skip
    order = sampled_order(strata, keys)
    assert sorted(order) == list(range(len(strata)))
    totals, taken = Counter(outer for outer, _ in strata), Counter()
    for size, index in enumerate(order, start=1):
        taken[strata[index][0]] += 1
        for stratum, total in totals.items():
            # One for the start of its own, and its share of one for that of each stratum.
            share = total / len(strata)
            assert abs(taken[stratum] - size * share) <= 1 + share * len(totals) + 1e-9


def test_a_sample_takes_every_row_as_often_as_any_other(record):
    """Four ninths of the rows lie in strata too small to be owed half a row of thirty."""
    records = [record(f"p{i}", "c", i, stratum=f"m{i % 10}") for i in range(500)]
    records += [record(f"p{i}", "c", i, stratum=f"s{i % 40}") for i in range(500, 900)]
    draws, taken, allotted = 300, Counter(), Counter()
    for seed in range(draws):
        taken.update(row.id for row in draw_rows(records, 30, seed=seed, stratified=True))
        allotted.update(row.id for row in allot_rows(records, 30, seed=seed))
    expected = draws * 30 / 900
    chi_square = sum((taken[row.id] - expected) ** 2 / expected for row in records)
    assert chi_square < 1040  # 899 degrees of freedom: 1 in 1,000 would be above by chance
    rare = [sum(counts[row.id] for row in records[500:]) / draws for counts in (taken, allotted)]
    assert rare[0] == pytest.approx(30 * 4 / 9, rel=0.03)
    assert rare[1] == pytest.approx(10)  # a quarter too few: why rows to learn from are sampled


def test_a_sample_is_more_even_than_chance(record):
    records = [record(f"p{i}", "c", i, stratum="abcde"[i % 5]) for i in range(200)]

    def spread(stratified):
        counts = [
            Counter(row.stratum for row in draw_rows(records, 50, seed=s, stratified=stratified))[
                "a"
            ]
            for s in range(100)
        ]
        return max(counts) - min(counts)

    assert spread(True) <= 4 < spread(False)


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
