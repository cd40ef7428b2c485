from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.near_duplicates import group_near_duplicates
from levertune.data.records import Message, Record
from levertune.data.row_texts import make_own_text, normalize_text
from levertune.data.splits import cross_validation_folds, draw_subset, split_holdout
from levertune.errors import DataError

STEMS = (
    "the parcel i ordered two weeks ago has not arrived at my door",
    "my card was declined in the shop although there is money on it",
    "please tell me how to change the address that you have of me",
)


def make(prompts, completions="AB"):
    return [
        Record(str(i), "task", (Message("user", text),), completions[i % len(completions)], line=i)
        for i, text in enumerate(prompts, start=1)
    ]


# Rows of few wordings, so that many are equal or nearly equal.
PROMPTS = st.lists(
    st.builds(
        lambda stem, cut, end: STEMS[stem][: 30 + cut] + end,
        st.integers(0, 2),
        st.integers(0, 30),
        st.sampled_from(["", " today", "?"]),
    ),
    min_size=4,
    max_size=40,
)


def assert_sound(records, split):
    assert sorted(r.line for r in (*split.train, *split.test)) == [r.line for r in records]
    assert split.train
    assert split.test
    texts = [normalize_text(record.user_text) for record in records]
    groups = (
        group_near_duplicates(texts, threshold=split.near_threshold)
        if split.near_threshold < 1
        else texts
    )
    tested = {record.line for record in split.test}
    sides: dict = {}
    for record, group in zip(records, groups, strict=True):
        sides.setdefault(group, set()).add(record.line in tested)
    assert all(len(side) == 1 for side in sides.values())


@settings(max_examples=40)
@given(PROMPTS, st.integers(0, 3), st.floats(0.1, 0.6))
def test_holdout_never_parts_near_duplicates(prompts, seed, fraction):
    records = make(prompts)
    if len({normalize_text(text) for text in prompts}) < 2:
        with pytest.raises(DataError, match="cannot be split"):
            split_holdout(records, fraction, seed=seed)
        return
    split = split_holdout(records, fraction, seed=seed)
    assert_sound(records, split)
    assert split == split_holdout(records, fraction, seed=seed)


@settings(max_examples=40)
@given(PROMPTS, st.integers(0, 3), st.integers(2, 5))
def test_each_row_is_tested_exactly_once(prompts, seed, k):
    records = make(prompts)
    if len({normalize_text(text) for text in prompts}) < k:
        with pytest.raises(DataError, match=f"cv:{k} needs at least {k} rows"):
            cross_validation_folds(records, k, seed=seed)
        return
    folds = cross_validation_folds(records, k, seed=seed)
    assert len(folds) == k
    for fold in folds:
        assert_sound(records, fold)
    tested = Counter(record.line for fold in folds for record in fold.test)
    assert tested == {record.line: 1 for record in records}


WORDS = [f"{a}{b}" for a in ("kestrel", "lantern", "meadow", "notch", "orbit") for b in range(20)]


def test_unlike_rows_are_split_evenly_over_labels():
    records = make([word * 2 for word in WORDS], completions="AAAB")
    split = split_holdout(records, 0.2, seed=1)
    assert Counter(r.completion for r in split.test) == {"A": 15, "B": 5}
    for fold in cross_validation_folds(records, 5, seed=1):
        assert Counter(r.completion for r in fold.test) == {"A": 15, "B": 5}


def test_split_does_not_depend_on_file_order_or_global_state():
    records = make([word * 2 for word in WORDS])
    split = split_holdout(records, 0.2, seed=1)
    turned = split_holdout(records[::-1], 0.2, seed=1)
    assert {r.line for r in split.test} == {r.line for r in turned.test}
    other = split_holdout(records, 0.2, seed=2)
    assert {r.line for r in split.test} != {r.line for r in other.test}


def test_chained_near_duplicates_fall_back_to_a_stricter_index():
    instruction = "Please give the one ticket code that fits this customer message, and only it."
    records = make([f"{instruction} {word}" for word in WORDS])
    assert split_holdout(records, 0.2, seed=0).near_threshold > 0.8
    split = split_holdout(records, 0.2, seed=0, own_text=make_own_text(instruction))
    assert len(split.test) == 20


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_share_out_of_range_is_refused(fraction):
    with pytest.raises(DataError, match="must be above 0 and below 1"):
        split_holdout(make(["a", "b"]), fraction, seed=0)


def test_one_fold_is_refused():
    with pytest.raises(DataError, match="needs at least 2 folds; found 1"):
        cross_validation_folds(make(["a", "b"]), 1, seed=0)


def test_subsets_are_nested_and_balanced_over_labels():
    records = make([word * 2 for word in WORDS], completions="ABCD")
    subsets = [draw_subset(records, n, seed=5) for n in (4, 8, 40, 100)]
    for smaller, larger in zip(subsets, subsets[1:], strict=False):
        assert larger[: len(smaller)] == smaller
    assert Counter(r.completion for r in subsets[1]) == {"A": 2, "B": 2, "C": 2, "D": 2}
    assert draw_subset(records, 8, seed=6) != subsets[1]


@pytest.mark.parametrize("n", [0, 3])
def test_subset_out_of_range_is_refused(n):
    with pytest.raises(DataError, match=f"from 1 to the 2 training rows there are; found {n}"):
        draw_subset(make(["a", "b"]), n, seed=0)
