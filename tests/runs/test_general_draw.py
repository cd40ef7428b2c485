from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.draws import draw_rows
from levertune.data.records import Message, Record, RecordFile
from levertune.recipes.general_section import GeneralSection, GeneralSource
from levertune.runs.general_draw import count_repeats, draw_general, hold_out_general, share_out

names = st.sampled_from("abcde")
sources = st.dictionaries(
    names, st.tuples(st.floats(0.01, 100), st.integers(0, 60)), min_size=1, max_size=5
)


def make_rows(source, count):
    return [
        Record(str(i), source, (Message("user", f"{source} {i}"),), "x", (), f"family {i % 3}", i)
        for i in range(count)
    ]


def recipe_of(**section):
    return SimpleNamespace(general=GeneralSection(**section))


def source(path, **limits):
    return GeneralSource(path=path, **limits)


@settings(max_examples=60)
@given(total=st.integers(0, 200), pools=sources)
def test_shares_sum_to_what_is_wanted_or_there_and_nobody_gives_more_than_it_has(total, pools):
    weights = {name: weight for name, (weight, _) in pools.items()}
    available = {name: rows for name, (_, rows) in pools.items()}
    shares = share_out(total, weights, available)
    assert sum(shares.values()) == min(total, sum(available.values()))
    assert all(0 <= shares[name] <= available[name] for name in weights)


@settings(max_examples=60)
@given(total=st.integers(1, 200), weights=st.dictionaries(names, st.floats(0.1, 10), min_size=1))
def test_where_there_is_enough_each_share_is_within_one_row_of_its_weight(total, weights):
    shares = share_out(total, weights, dict.fromkeys(weights, total))
    mass = sum(weights.values())
    for name, weight in weights.items():
        assert abs(shares[name] - total * weight / mass) < len(weights)


def test_what_a_small_source_cannot_give_the_others_do():
    assert share_out(12, {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1, "b": 99, "c": 99}) in (
        {"a": 1, "b": 6, "c": 5},
        {"a": 1, "b": 5, "c": 6},
    )
    assert share_out(9, {"a": 2.0, "b": 1.0}, {"a": 99, "b": 99}) == {"a": 6, "b": 3}


@settings(max_examples=25)
@given(num_rows=st.integers(0, 40), pools=sources, seed=st.integers(0, 3))
def test_a_draw_takes_rows_of_the_pool_each_at_most_once(num_rows, pools, seed):
    pool = {name: make_rows(name, rows) for name, (_, rows) in pools.items()}
    recipe = recipe_of(sources=[source(name, weight=w) for name, (w, _) in pools.items()])
    drawn = draw_general(recipe, pool, num_rows=num_rows, seed=seed, count_tokens=len)
    keys = [(record.source, record.id) for record in drawn]
    there = {(record.source, record.id) for rows in pool.values() for record in rows}
    assert len(set(keys)) == len(keys) == min(num_rows, len(there))
    assert set(keys) <= there


def test_more_rows_of_a_seed_contain_the_fewer():
    pool = {"a": make_rows("a", 40)}
    recipe = recipe_of(sources=[source("a")])
    draws = [
        {r.id for r in draw_general(recipe, pool, num_rows=n, seed=2, count_tokens=len)}
        for n in (5, 15, 30)
    ]
    assert draws[0] < draws[1] < draws[2]


def test_a_source_with_rows_of_its_own_gives_exactly_those():
    pool = {"a": make_rows("a", 20), "b": make_rows("b", 20), "c": make_rows("c", 20)}
    recipe = recipe_of(sources=[source("a", rows=7), source("b", weight=3), source("c")])
    drawn = draw_general(recipe, pool, num_rows=15, seed=0, count_tokens=len)
    counts = {name: sum(r.source == name for r in drawn) for name in pool}
    assert counts == {"a": 7, "b": 6, "c": 2}


@pytest.mark.parametrize("whole", [True, False])
def test_a_limit_in_tokens_is_not_exceeded(whole):
    pool = {"a": make_rows("a", 20), "b": make_rows("b", 20)}
    if whole:
        recipe = recipe_of(sources=[source("a"), source("b")], rows=None, tokens=50)
    else:
        recipe = recipe_of(sources=[source("a", tokens=25), source("b", tokens=25)])
    drawn = draw_general(recipe, pool, num_rows=0, seed=0, count_tokens=lambda record: 4)
    assert {name: sum(r.source == name for r in drawn) for name in pool} == {"a": 6, "b": 6}


def draw_of_sizes(sizes, limit):
    """What a draw takes, as places in its order, where the rows have so many tokens in it."""
    pool = {"a": make_rows("a", len(sizes))}
    recipe = recipe_of(sources=[source("a")], rows=None, tokens=limit)
    everything = [r.id for r in draw_rows(pool["a"], len(sizes), seed=0, stratified=True)]
    tokens = dict(zip(everything, sizes, strict=True))
    drawn = draw_general(
        recipe, pool, num_rows=0, seed=0, count_tokens=lambda record: tokens[record.id]
    )
    return [everything.index(record.id) for record in drawn]


@pytest.mark.parametrize(
    ("sizes", "limit", "taken"),
    [
        ([750, 90, 90, 90, 90, 90, 90, 90], 600, [1, 2, 3, 4, 5, 6]),  # the first is passed over
        ([90, 90, 750, 90, 90, 90, 90], 600, [0, 1, 3, 4, 5, 6]),
        ([90, 90, 90, 90, 750, 90], 600, [0, 1, 2, 3]),  # more than half is taken: it ends there
        ([50, 60, 40, 60, 10], 100, [0, 2]),  # half is not more than half
        ([700, 800, 900], 600, []),
    ],
)
def test_a_row_too_long_is_passed_over_until_half_of_the_tokens_are_taken(sizes, limit, taken):
    assert draw_of_sizes(sizes, limit) == taken


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30), limit=st.integers(1, 200))
def test_a_draw_by_tokens_begins_as_before_and_takes_half_of_what_is_there(sizes, limit):
    taken = draw_of_sizes(sizes, limit)
    total = sum(sizes[i] for i in taken)
    assert total <= limit
    front, sum_of_front = [], 0
    for place, size in enumerate(sizes):
        if sum_of_front + size > limit:
            break
        front.append(place)
        sum_of_front += size
    assert taken[: len(front)] == front
    if sum_of_front > limit / 2:  # the draw ends where it always did
        assert taken == front
    left_out = [size for place, size in enumerate(sizes) if place not in taken]
    assert total > limit / 2 or all(total + size > limit for size in left_out)
    passed_over = [sizes[i] for i in range(max(taken, default=0)) if i not in taken]
    assert all(size > limit / 2 for size in passed_over)


def test_files_of_a_named_folder_share_the_limits_of_their_source():
    pool = {"web/a": make_rows("web/a", 9), "web/b": make_rows("web/b", 9)}
    recipe = recipe_of(sources=[source("some/folder", name="web", weight=2)])
    drawn = draw_general(recipe, pool, num_rows=6, seed=0, count_tokens=len)
    assert {name: sum(r.source == name for r in drawn) for name in pool} == {"web/a": 3, "web/b": 3}


def test_a_folder_gives_exactly_the_rows_its_source_asks_for_however_many_its_files():
    pool = {"web/a": make_rows("web/a", 9), "web/b": make_rows("web/b", 9), "c": make_rows("c", 9)}
    recipe = recipe_of(sources=[source("web", rows=5), source("c")])
    drawn = draw_general(recipe, pool, num_rows=8, seed=0, count_tokens=len)
    assert sum(r.source.startswith("web/") for r in drawn) == 5
    assert sum(r.source == "c" for r in drawn) == 3


def test_a_source_without_weight_gives_nothing_and_stops_nothing():
    assert share_out(9, {"a": 0.0, "b": 1.0}, {"a": 9, "b": 4}) == {"a": 0, "b": 4}
    assert share_out(9, {"a": 0.0}, {"a": 9}) == {"a": 0}
    assert share_out(9, {}, {}) == {}


def test_no_prompt_is_drawn_twice_while_its_source_has_others():
    pool = {"a": make_rows("a", 6), "b": make_rows("b", 3)}
    first = pool["a"][0].prompt
    pool["b"][1] = replace(pool["b"][1], prompt=(Message("user", f"  {first[0].content.upper()}"),))
    pool["a"] += [replace(row, id=f"again {row.id}") for row in pool["a"]]
    recipe = recipe_of(sources=[source("a", rows=6), source("b")])
    for seed in range(5):
        drawn = draw_general(recipe, pool, num_rows=8, seed=seed, count_tokens=len)
        assert (len(drawn), count_repeats(drawn)) == (8, 0)
        drawn = draw_general(recipe, pool, num_rows=9, seed=seed, count_tokens=len)
        assert (len(drawn), count_repeats(drawn)) == (9, 1)
    recipe = recipe_of(sources=[source("a", tokens=40), source("b")], rows=None)
    drawn = draw_general(recipe, pool, num_rows=0, seed=0, count_tokens=lambda record: 4)
    assert (len(drawn), count_repeats(drawn)) == (10, 4)


def test_the_same_prompt_to_another_system_is_no_repeat():
    pair = [Message("system", "Be brief."), Message("user", "a 0")]
    rows = [*make_rows("a", 1), replace(make_rows("a", 2)[1], prompt=tuple(pair))]
    assert count_repeats(rows) == 0


def as_file(name, count):
    return RecordFile(
        path=name, records=tuple(make_rows(name, count)), schema="prompt/completion",
        file_format="jsonl", sha256="0", unused_columns=(),
    )  # fmt: skip


def test_rows_held_out_are_gone_from_the_pool_and_always_the_same():
    files = [as_file("a", 30), as_file("b", 30)]
    held, pool = hold_out_general(files, 8)
    again, _ = hold_out_general(files, 8)
    assert held == again
    assert len(held) == 8
    left = {(r.source, r.id) for rows in pool.values() for r in rows}
    assert len(left) == 52
    assert not left & {(r.source, r.id) for r in held}


def test_a_row_that_stands_in_the_pool_twice_is_not_held_out():
    # Of each row of `a` up to the 25th there is a copy, in another source or under another id.
    rows = make_rows("a", 30)
    copies = [replace(row, id=f"again {row.id}") for row in rows[:12]]
    elsewhere = [replace(row, source="b") for row in rows[12:25]]
    files = [
        replace(as_file("a", 0), records=(*rows, *copies)),
        replace(as_file("b", 0), records=tuple(elsewhere)),
    ]
    held, pool = hold_out_general(files, 5)
    assert {row.id for row in held} == {"25", "26", "27", "28", "29"}
    assert sum(map(len, pool.values())) == 50
    assert hold_out_general([replace(files[0], records=(*copies, *rows[:12]))], 5)[0] == ()


def test_never_more_than_a_fifth_is_held_out():
    held, pool = hold_out_general([as_file("a", 11)], 64)
    assert (len(held), len(pool["a"])) == (2, 9)
    assert hold_out_general([as_file("a", 4)], 64)[0] == ()
    assert hold_out_general([], 64) == ((), {})
