"""Rows as a tree of token runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.models.row_tree import share_prefixes, split_into_passes

# Few values and short rows: agreements are common.
ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=14), min_size=1, max_size=9)


def along(tree, row):
    """The ids that a row's path spells."""
    return [i for run in tree.paths[row] for i in tree.runs[run].ids]


@given(ROWS, st.integers(1, 6))
@settings(max_examples=200)
def test_every_path_spells_its_row(rows, least):
    tree = share_prefixes(rows, least=least)
    assert [along(tree, i) for i in range(len(rows))] == rows
    for number, run in enumerate(tree.runs):
        assert run.ids
        parent = tree.runs[run.parent] if run.parent is not None else None
        assert run.start == (0 if parent is None else parent.start + len(parent.ids))
        assert run.parent is None or run.parent < number
    assert {run for path in tree.paths for run in path} == set(range(len(tree.runs)))
    assert tree.num_tokens <= sum(map(len, rows))


@given(ROWS, st.integers(1, 6))
@settings(max_examples=200)
def test_two_rows_share_what_they_have_in_common_and_nothing_else(rows, least):
    tree = share_prefixes(rows, least=least)
    for i, one in enumerate(rows):
        for j in range(i):
            other = rows[j]
            common = 0
            while common < min(len(one), len(other)) and one[common] == other[common]:
                common += 1
            shared = sum(len(tree.runs[run].ids) for run in tree.paths[i] if run in tree.paths[j])
            assert shared <= common
            # What is not shared of it is too short to be worth a run of its own.
            assert common - shared < least
            if one == other:
                assert tree.paths[i] == tree.paths[j]


def test_an_anchor_is_there_once():
    system, anchor = list(range(100, 120)), list(range(200, 215))
    task = [[*system, *anchor, 1, i, i] for i in range(3)]
    general = [[*system, 300 + i, 5, 6] for i in range(2)]
    tree = share_prefixes([*task, *general])
    assert tree.num_tokens == 20 + (15 + 1) + 3 * 2 + 2 * 3
    assert [len(path) for path in tree.paths] == [3, 3, 3, 2, 2]


def test_many_rows_that_agree_in_many_steps_do_not_end_the_stack():
    rows = [[0] * n for n in range(1, 1500)]
    tree = share_prefixes(rows, least=1)
    assert tree.num_tokens == 1499


@given(ROWS, st.integers(1, 30))
@settings(max_examples=200)
def test_each_row_is_in_one_pass_and_passes_keep_to_their_tokens(rows, most):
    passes = split_into_passes(rows, most)
    assert sorted(i for part in passes for i in part) == list(range(len(rows)))
    for part in passes:
        tree = share_prefixes([rows[i] for i in part])
        assert tree.num_tokens <= most or len(part) == 1


def test_rows_that_begin_alike_go_together():
    prefix = list(range(50))
    rows = [[*prefix, 1, i] if i % 2 else [9, i, *prefix] for i in range(6)]
    passes = split_into_passes(rows, 60)
    assert sorted([1, 3, 5]) in [sorted(part) for part in passes]
    assert split_into_passes(rows, 60) == passes


@pytest.mark.parametrize("rows", [[], [[1, 2]]])
def test_none_and_one_are_no_trouble(rows):
    assert share_prefixes(rows).num_tokens == sum(map(len, rows))
    assert split_into_passes(rows, 10) == ([[0]] if rows else [])
