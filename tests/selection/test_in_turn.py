import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.selection.in_turn import choose_in_turn
from levertune.selection.ranking import ScoreTable
from levertune.selection.selection import Budget, Diversity, source_share

OPEN = Diversity(max_source_share=1.0, near_threshold=None)


def rows_of(make_row, sources):
    return [make_row(i, f"row number {i}", source=source) for i, source in enumerate(sources)]


def choose(make_row, scores, limit, sources=None, diversity=OPEN, floor=None, **settings_):
    table = ScoreTable(np.array(scores, dtype=float), floor)
    candidates = rows_of(make_row, sources or ["a"] * table.num_candidates)
    return choose_in_turn(table, candidates, Budget(limit), diversity, **settings_)


def by_full_sort(scores, sources, limit, share):
    """The same choice the slow and plain way, without near duplicates."""
    num_task, num_candidates = scores.shape
    order = [sorted(range(num_candidates), key=lambda i: (-row[i], i)) for row in scores]
    chosen, turn = [], 0
    for cap in (math.ceil(share * limit) if share < 1 else limit, limit):
        used, idle = Counter(sources[i] for i in chosen), 0
        while len(chosen) < limit and idle < num_task:
            free = (i for i in order[turn] if i not in chosen and used[sources[i]] < cap)
            found = next(free, None)
            idle = idle + 1 if found is None else 0
            if found is not None:
                chosen.append(found)
                used[sources[found]] += 1
            turn = (turn + 1) % num_task
    return chosen


@settings(max_examples=50)
@given(
    scores=st.integers(1, 4).flatmap(
        lambda t: st.lists(st.lists(st.integers(0, 4), min_size=t, max_size=t), max_size=14)
    ),
    sources=st.lists(st.sampled_from("abc"), min_size=14, max_size=14),
    limit=st.integers(0, 16),
    share=st.sampled_from([0.3, 0.5, 1.0]),
    entries=st.sampled_from([1, 4, 1000]),
    block_rows=st.sampled_from([1, 3, None]),
)
def test_short_lists_and_blocks_choose_what_a_full_sort_does(
    scores, sources, limit, share, entries, block_rows, make_row
):
    if not scores:
        return
    table = np.array(scores, dtype=float).T
    sources = sources[: table.shape[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("levertune.selection.in_turn._LIST_ENTRIES", entries)
        picks, _ = choose(
            make_row, table, limit, sources, Diversity(share, None), block_rows=block_rows
        )
    assert [p.candidate for p in picks] == by_full_sort(table, sources, limit, share)
    assert all(p.score == table[p.task_row, p.candidate] for p in picks)


def test_every_task_row_is_served_in_turn(make_row):
    picks, notes = choose(make_row, [[9, 8, 7, 6], [1, 2, 3, 4]], 4)
    assert [(p.task_row, p.candidate) for p in picks] == [(0, 0), (1, 3), (0, 1), (1, 2)]
    assert notes == []


def test_more_rows_contain_the_fewer(make_row):
    scores = np.random.default_rng(0).normal(size=(3, 30))
    few = [p.candidate for p in choose(make_row, scores, 8)[0]]
    more = [p.candidate for p in choose(make_row, scores, 20)[0]]
    assert more[:8] == few


def test_a_source_gives_no_more_than_its_share(make_row):
    scores = [[9, 8, 7, 6, 5, 4, 3, 2]]
    picks, notes = choose(make_row, scores, 4, list("aaaabbcc"), Diversity(0.5, None))
    assert [p.candidate for p in picks] == [0, 1, 4, 5]
    assert notes == []


def test_the_cap_by_source_is_lifted_where_the_budget_cannot_be_met_else(make_row):
    scores = [[9, 8, 7, 6, 5]]
    picks, notes = choose(make_row, scores, 4, list("aaaab"), Diversity(0.5, None))
    assert [p.candidate for p in picks] == [0, 1, 4, 2]
    assert notes == [
        "After 3 rows, one source gives more than its share, the others had no more rows."
    ]


def test_one_source_may_give_all_two_three_quarters_more_a_half():
    assert [source_share(n) for n in (1, 2, 3, 9)] == [1.0, 0.75, 0.5, 0.5]


def test_files_of_a_folder_share_the_cap_of_their_source(make_row):
    scores, files = [[9, 8, 7, 6, 5, 4, 3, 2]], ["web/x", "web/y"] * 3 + ["c"] * 2
    owners = {"web/x": "web", "web/y": "web"}
    picks, _ = choose(make_row, scores, 4, files, Diversity(None, None, owners=owners))
    assert [p.candidate for p in picks] == [0, 1, 2, 6]  # of two sources one gives three quarters
    alone, notes = choose(make_row, [row[:6] for row in scores], 4, files[:6], Diversity(
        None, None, owners=owners
    ))  # fmt: skip
    assert [p.candidate for p in alone] == [0, 1, 2, 3]
    assert notes == []


def test_of_near_duplicates_one_is_taken(make_row):
    question = "a rather long question about cherries that are ripe in the summer"
    texts = [question, question + "!", "else entirely"]
    rows = [make_row(i, text) for i, text in enumerate(texts)]
    table = ScoreTable(np.array([[3.0, 2.0, 1.0]]))
    picks, notes = choose_in_turn(table, rows, Budget(2), Diversity())
    assert [p.candidate for p in picks] == [0, 2]
    assert notes == []
    picks, notes = choose_in_turn(table, rows, Budget(3), Diversity())
    assert [p.candidate for p in picks] == [0, 2, 1]
    assert notes == ["After 2 rows, near duplicates were let in."]


def test_rows_with_nothing_in_common_come_only_where_the_others_do_not_suffice(make_row):
    scores = [[0, 2, 0], [0, 0, 1]]
    assert [p.candidate for p in choose(make_row, scores, 2, floor=0.0)[0]] == [1, 2]
    picks, notes = choose(make_row, scores, 3, floor=0.0)
    assert [p.candidate for p in picks] == [1, 2, 0]
    assert "nothing in common with any task row" in notes[0]


def test_fewer_rows_than_asked_for_is_said_and_none_is_taken_twice(make_row):
    picks, notes = choose(make_row, [[1, 2], [2, 1]], 5)
    assert sorted(p.candidate for p in picks) == [0, 1]
    assert notes == ["5 rows were asked for; all 2 rows there are were taken."]


def test_a_limit_in_tokens_is_not_exceeded(make_row):
    rows = rows_of(make_row, "aaaa")
    budget = Budget(10, lambda record: 4)
    picks, notes = choose_in_turn(ScoreTable(np.array([[1.0, 2, 3, 4]])), rows, budget, OPEN)
    assert [p.candidate for p in picks] == [3, 2]
    assert notes == []


def choose_by_tokens(make_row, sizes, limit, scores=None):
    rows = rows_of(make_row, "a" * len(sizes))
    table = ScoreTable(np.array(scores or [range(len(sizes), 0, -1)], dtype=float))
    picks, notes = choose_in_turn(table, rows, Budget(limit, lambda r: sizes[int(r.id)]), OPEN)
    return [p.candidate for p in picks], notes


def test_a_row_too_long_is_passed_over_until_half_of_the_tokens_are_taken(make_row):
    assert choose_by_tokens(make_row, [750, 90, 90, 90, 90, 90, 90, 90], 600) == (
        [1, 2, 3, 4, 5, 6],
        [],
    )
    chosen, notes = choose_by_tokens(make_row, [90, 90, 90, 90, 750, 90], 600)
    assert chosen == [0, 1, 2, 3]
    assert notes == [
        "600 tokens were asked for; 4 of 6 rows were taken, with 360 tokens: the next did not fit."
    ]


def test_a_row_passed_over_costs_its_task_row_no_turn(make_row):
    scores = [[9, 8, 7, 1], [9, 1, 2, 8]]
    chosen, _ = choose_by_tokens(make_row, [99, 4, 4, 4], 12, scores)
    assert chosen == [1, 3, 2]


def test_few_tokens_taken_where_the_others_do_not_fit_are_said(make_row):
    assert choose_by_tokens(make_row, [700, 90, 800], 600) == (
        [1],
        [
            "600 tokens were asked for; 1 of 3 rows were taken, with 90 tokens: the next did not "
            "fit."
        ],
    )
    assert choose_by_tokens(make_row, [700, 800], 600)[0] == []
    assert choose_by_tokens(make_row, [90, 90], 600)[1] == [
        "600 tokens were asked for; all 2 rows there are were taken."
    ]


def test_no_rows_no_choice(make_row):
    assert choose_in_turn(ScoreTable(np.empty((2, 0))), [], Budget(3), OPEN) == ([], [])
    assert choose(make_row, [[1, 2]], 0) == ([], [])
