from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.leaks import find_leaks
from levertune.data.near_duplicates import group_near_duplicates
from levertune.data.records import Message, Record
from levertune.data.row_texts import bare_text, normalize_text
from levertune.data.splits import (
    cross_validation_folds,
    draw_subset,
    split_holdout,
    warn_of_large_groups,
)
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
    tested = {record.id for record in split.test}
    parted = {id_ for group in split.large_groups if group.is_parted for id_ in group.ids}
    sides: dict = {}
    for record, group in zip(records, group_near_duplicates(texts), strict=True):
        sides.setdefault(group, []).append(record.id)
    apart = [ids for ids in sides.values() if len({i in tested for i in ids}) == 2]
    # Whatever is parted is said to be, and nothing is parted that could be kept.
    assert all(set(ids) <= parted for ids in apart)
    for group in split.large_groups:
        if group.is_parted:
            assert 2 * len(group.ids) > len(records) or len(sides) < 6
    by_text: dict = {}
    for record in records:
        by_text.setdefault(normalize_text(record.user_text), set()).add(record.id in tested)
    assert all(len(side) == 1 for side in by_text.values())
    twins = [
        k for k in find_leaks(split.train, split.test) if k.kind in ("exact", "prompt", "near")
    ]
    assert all({k.id, k.like_id} <= parted for k in twins)


@settings(max_examples=20)
@given(PROMPTS, st.integers(0, 3), st.floats(0.1, 0.6))
def test_holdout_never_parts_near_duplicates(prompts, seed, fraction):
    records = make(prompts)
    if len({bare_text(normalize_text(text)) for text in prompts}) < 2:
        with pytest.raises(DataError, match="cannot be split"):
            split_holdout(records, fraction, seed=seed)
        return
    split = split_holdout(records, fraction, seed=seed)
    assert_sound(records, split)
    assert split == split_holdout(records, fraction, seed=seed)


@settings(max_examples=20)
@given(PROMPTS, st.integers(0, 3), st.integers(2, 5))
def test_each_row_is_tested_exactly_once(prompts, seed, k):
    records = make(prompts)
    if len({bare_text(normalize_text(text)) for text in prompts}) < k:
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


INSTRUCTION = "Please give the one ticket code that fits this customer message, and only it."


def test_rows_that_share_an_instruction_are_near_duplicates_only_where_it_is_not_known():
    records = make([f"{INSTRUCTION} {word}" for word in WORDS])
    split = split_holdout(records, 0.2, seed=0)
    [group] = split.large_groups
    assert (len(group.ids), group.is_parted, len(split.test)) == (100, True, 20)
    [warning] = warn_of_large_groups([split])
    assert warning.startswith("Near duplicates, by chains: 100 rows ('1', '2', '3', '4', '5' and")
    assert "training and test both" in warning
    split = split_holdout(records, 0.2, seed=0, instruction=INSTRUCTION)
    assert (len(split.test), split.large_groups) == (20, ())


# Codes of four letters at the end of a long line: one group, a chain of near duplicates.
CHAIN = [f"{STEMS[0]} and my reference is {word[:4]}{i:02d}" for i, word in enumerate(WORDS)]
APART = [f"{word} {word[::-1]} {i * 7919}" for i, word in enumerate(WORDS)]


@pytest.mark.parametrize("in_group", [25, 40, 75])
def test_a_group_larger_than_the_share_stays_whole_in_training_and_is_named(in_group):
    records = make([*CHAIN[:in_group], *APART[: 100 - in_group]])
    split = split_holdout(records, 0.2, seed=3)
    assert_sound(records, split)
    assert len(split.test) == 20
    [group] = split.large_groups
    assert (len(group.ids), group.is_parted) == (in_group, False)
    assert {r.id for r in split.train} >= set(group.ids)
    assert "none of them is tested" in warn_of_large_groups([split])[0]


def test_a_group_that_leaves_too_few_others_is_parted_and_said_to_be():
    records = make([*CHAIN[:90], *APART[:10]])
    split = split_holdout(records, 0.2, seed=3)
    assert_sound(records, split)
    assert [(len(g.ids), g.is_parted) for g in split.large_groups] == [(90, True)]
    # Parted by the gate's own measure: the numbers differ, so no row is a leak of another.
    assert not [k for k in find_leaks(split.train, split.test) if k.kind == "near"]


def test_a_group_of_up_to_half_the_rows_is_a_fold_of_its_own():
    records = make([*CHAIN[:45], *APART[:55]])
    folds = cross_validation_folds(records, 5, seed=0)
    for fold in folds:
        assert_sound(records, fold)
    assert sorted(len(fold.test) for fold in folds)[-1] == 45
    assert "tested in one fold" in warn_of_large_groups(folds)[0]
    folds = cross_validation_folds(make([*CHAIN[:60], *APART[:40]]), 5, seed=0)
    assert {len(fold.test) for fold in folds} == {20}
    assert folds[0].large_groups[0].is_parted


def test_too_few_groups_for_the_folds_are_parted():
    records = make([f"{stem} {end}" for stem in STEMS for end in ("", "now", "sir", "please")])
    folds = cross_validation_folds(records, 5, seed=0)
    assert all(fold.test for fold in folds)
    assert any(group.is_parted for group in folds[0].large_groups)
    assert warn_of_large_groups([]) == []


def test_rows_that_differ_in_one_word_stay_on_one_side_as_the_leak_gate_would_have_it():
    words = iter(WORDS * 6)
    prompts = []
    for _ in range(30):
        one, two, three, four, five = (next(words) for _ in range(5))
        prompts += [f"{one} {two} is {three} {four} here {end}" for end in (five, five[::-1])]
    records = make(prompts, completions="A")
    for split in (
        split_holdout(records, 0.2, seed=1),
        *cross_validation_folds(records, 5, seed=1),
    ):
        assert_sound(records, split)
        assert split.large_groups == ()
        assert find_leaks(split.train, split.test) == []


def test_more_rows_than_shingles_are_compared_for_keep_the_gates_pairs_together(monkeypatch):
    monkeypatch.setattr("levertune.data.row_groups.MAX_NEAR_ROWS", 10)
    lines = [f"{WORDS[i]} went to {WORDS[i + 7]} with a {WORDS[i + 13]}" for i in range(87)]
    records = make([text for line in lines for text in (line, line.replace(" a ", " one "))], "A")
    split = split_holdout(records, 0.2, seed=0)
    assert 34 <= len(split.test) <= 35
    assert not [k for k in find_leaks(split.train, split.test) if k.kind == "near"]


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
