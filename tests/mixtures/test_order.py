import dataclasses
import multiprocessing
import os
import pickle
import random
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from levertune.mixtures import order, permutation
from levertune.mixtures.order import Position, Positions, build_mixture
from levertune.mixtures.plan import MixturePlan, Order

sys.path.insert(0, str(Path(__file__).parent))  # so that a spawned process finds it too
from order_slices import read_slices, send_slices

ORDERS = get_args(Order)
ROUND_ORDERS = [name for name in ORDERS if name != "shuffle"]
SEEDS = range(200)


@st.composite
def plans(draw):
    task_rows = draw(st.integers(0, 12))
    sizes = draw(st.lists(st.integers(0, 25), max_size=3))
    if not task_rows and not sum(sizes):
        sizes.append(1)
    return MixturePlan(
        task_rows=task_rows,
        exposures=draw(st.integers(1, 6)),
        general=tuple((f"general-{index}", size) for index, size in enumerate(sizes)),
        order=draw(st.sampled_from(ORDERS)),
        seed=draw(st.integers(0, 2**40)),
    )


def build_computed(plan):
    """The mixture with every permutation computed, as in one too long to be drawn exactly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permutation, "MAX_EXACT_SIZE", -1)
        return build_mixture(plan)


BUILDERS = st.sampled_from([build_mixture, build_computed])


def read_all(mixture):
    return mixture.positions(0, len(mixture))


def assert_same(one, other):
    for name in ("source", "row", "exposure"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


ARRAYS = ("source", "row", "exposure")


def task_places(mixture):
    return np.flatnonzero(read_all(mixture).is_task)


@settings(max_examples=200)
@given(plans(), BUILDERS)
def test_every_row_comes_exactly_as_often_as_planned(plan, build):
    expected = Counter(
        Position("task", row, exposure)
        for row in range(plan.task_rows)
        for exposure in range(plan.exposures)
    )
    expected.update(Position(name, row, 0) for name, rows in plan.general for row in range(rows))
    assert Counter(build(plan)) == expected


@settings(max_examples=100)
@given(plans(), BUILDERS)
def test_exposures_of_a_row_are_numbered_as_they_come(plan, build):
    seen = Counter()
    for position in build(plan):
        assert position.exposure == seen[position.source, position.row]
        seen[position.source, position.row] += 1


@settings(max_examples=100)
@given(plans(), BUILDERS, st.data())
def test_reading_in_chunks_in_any_order_changes_nothing(plan, build, data):
    mixture = build(plan)
    whole = read_all(mixture)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(mixture)), max_size=6)))
    for start, stop in data.draw(st.permutations([*zip([0, *cuts], [*cuts, None], strict=True)])):
        chunk = mixture.positions(start, len(mixture) if stop is None else stop)
        assert_same(chunk, Positions(*(getattr(whole, n)[start:stop] for n in ARRAYS)))


@settings(max_examples=50)
@given(plans(), BUILDERS, st.integers(1, 4), st.integers(1, 9))
def test_workers_that_share_the_steps_read_the_same_mixture(plan, build, workers, step_rows):
    whole = build(plan)
    sent = pickle.dumps(whole)
    steps = {}
    for worker in range(workers):
        mixture = pickle.loads(sent) if worker % 2 else build(plan)
        for index in range(worker, mixture.num_steps(step_rows), workers):
            steps[index] = mixture.step(index, step_rows)
    joined = (np.concatenate([getattr(steps[i], n) for i in sorted(steps)]) for n in ARRAYS)
    assert_same(Positions(*joined), read_all(whole))


@settings(max_examples=50)
@given(plans(), st.data())
def test_single_positions_are_those_of_the_whole_in_any_order(plan, data):
    mixture = build_mixture(plan)
    whole = list(mixture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "_BLOCK_ROWS", data.draw(st.integers(1, 20)))
        mixture = build_mixture(plan)
        places = st.integers(0, len(whole) - 1)
        for place in data.draw(st.lists(places, max_size=20)):
            assert mixture[place] == whole[place]


@settings(max_examples=50)
@given(plans(), st.integers(1, 9))
def test_steps_tile_the_mixture_in_order(plan, step_rows):
    mixture = build_mixture(plan)
    steps = [mixture.step(index, step_rows) for index in range(mixture.num_steps(step_rows))]
    assert all(len(step) == step_rows for step in steps[:-1])
    assert 1 <= len(steps[-1]) <= step_rows
    np.testing.assert_array_equal(
        np.concatenate([step.row for step in steps]), mixture.positions(0, len(mixture)).row
    )


@settings(max_examples=100)
@given(plans())
def test_even_order_gives_every_stretch_its_quota(plan):
    plan = dataclasses.replace(plan, order="even")
    places = task_places(build_mixture(plan))
    for stop in range(plan.num_positions + 1):
        quota = stop * plan.num_task / plan.num_positions
        assert abs(np.sum(places < stop) - quota) <= 1


@pytest.mark.parametrize("exposure", [0, 1, 123_456, 999_999])
def test_even_order_is_exact_where_products_pass_64_bits(exposure):
    plan = MixturePlan(10**6, 1, (("a", 10**15),), "even")
    place = (2 * exposure + 1) * plan.num_positions // (2 * plan.num_task)
    found = build_mixture(plan).positions(place - 1, place + 2)
    assert found.is_task.tolist() == [False, True, False]


@settings(max_examples=50)
@given(plans(), st.sampled_from(ROUND_ORDERS))
def test_no_task_row_comes_again_before_all_came(plan, name):
    task = [p for p in build_mixture(dataclasses.replace(plan, order=name)) if p.source == "task"]
    assert [p.exposure for p in task] == sorted(p.exposure for p in task)


def test_sequential_orders_put_one_kind_after_the_other():
    plan = MixturePlan(3, 2, (("a", 5), ("b", 5)), "general-then-task", 0)
    sources = [position.source for position in build_mixture(plan)]
    assert sources[10:] == ["task"] * 6
    assert sources[:10] != sorted(sources[:10])
    plan = dataclasses.replace(plan, order="task-then-general")
    assert [position.source for position in build_mixture(plan)][:6] == ["task"] * 6


def test_even_order_without_general_rows_is_reshuffled_epochs():
    mixture = build_mixture(MixturePlan(10, 3, order="even", seed=1))
    rows = mixture.positions(0, len(mixture)).row.reshape(3, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in rows.tolist())
    assert len({tuple(epoch) for epoch in rows.tolist()}) == 3


@pytest.mark.parametrize("general", [0, 10, 70_000, 10**9])
@pytest.mark.parametrize("name", ROUND_ORDERS)
def test_general_rows_leave_the_rounds_of_the_task_rows_alone(name, general):
    plan = MixturePlan(9, 4, (("a", general),), name, seed=3)
    mixture = build_mixture(plan)
    if name == "even":
        places = [(2 * j + 1) * len(mixture) // (2 * plan.num_task) for j in range(plan.num_task)]
    else:
        places = np.arange(plan.num_task) + (general if name == "general-then-task" else 0)
    alone = build_mixture(dataclasses.replace(plan, general=()))
    assert [mixture[place] for place in places] == list(alone)


@pytest.mark.parametrize("name", ORDERS)
def test_long_mixture_holds_every_row_exactly_as_often_as_planned(name):
    plan = MixturePlan(48, 24, (("a", 90_000), ("empty", 0), ("b", 60_001)), name, seed=1)
    found = read_all(build_mixture(plan))
    task = Counter(zip(found.row[found.is_task], found.exposure[found.is_task], strict=True))
    assert task == Counter((row, exposure) for row in range(48) for exposure in range(24))
    for row in range(48):
        exposures = found.exposure[found.is_task & (found.row == row)]
        np.testing.assert_array_equal(exposures, np.arange(24))
    for source, (_, rows) in enumerate(plan.general, start=1):
        of_source = found.row[found.source == source]
        np.testing.assert_array_equal(np.sort(of_source), np.arange(rows))
        assert rows == 0 or np.abs(np.corrcoef(np.arange(rows), of_source)[0, 1]) < 0.02


@pytest.mark.parametrize("name", ORDERS)
def test_mixture_of_a_billion_rows_is_an_index_and_not_a_copy(name):
    plan = MixturePlan(48, 24, (("a", 10**9 - 7), ("b", 7)), name, seed=1)
    mixture = build_mixture(plan)
    assert len(pickle.dumps(mixture)) < 100_000
    assert mixture.content_hash == build_mixture(plan).content_hash
    for start in (0, 123_456_789, len(mixture) - 2000):
        found = mixture.positions(start, start + 2000)
        assert len(found) == 2000
        general = list(zip(found.source[~found.is_task], found.row[~found.is_task], strict=True))
        assert len(set(general)) == len(general)
        assert max((row for source, row in general if source == 1), default=0) < 10**9 - 7
        assert mixture[start + 7].row == found.row[7]
    assert not len(mixture.positions(len(mixture), len(mixture) + 5))


@pytest.mark.parametrize("name", ORDERS)
def test_mixture_of_a_billion_rows_is_built_and_hashed_in_a_second_and_50_mb(name):
    plan = MixturePlan(48, 24, (("a", 10**9 - 7), ("b", 7)), name, seed=1)

    def build():
        mixture = build_mixture(plan)
        assert mixture.content_hash
        assert len(mixture.positions(len(mixture) // 2, len(mixture) // 2 + 2000)) == 2000

    started = time.process_time()  # what other programs take does not count
    build()
    assert time.process_time() - started < 1
    tracemalloc.start()
    try:
        build()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 * 10**6


@pytest.mark.parametrize("general", [200, 70_000])
@pytest.mark.parametrize("name", ORDERS)
def test_order_depends_on_the_plan_alone(name, general):
    plan = MixturePlan(5, 4, (("a", general),), name, 7)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    first, state = build_mixture(plan).content_hash, random.getstate()
    assert build_mixture(dataclasses.replace(plan)).content_hash == first
    assert build_mixture(dataclasses.replace(plan, seed=8)).content_hash != first
    assert random.getstate() == state


def test_order_is_the_same_in_every_release():
    mixture = build_mixture(MixturePlan(3, 2, (("a", 4),), seed=0))
    assert " ".join(f"{p.source[0]}{p.row}" for p in mixture) == "a0 t0 a2 t1 t1 t2 a3 t2 a1 t0"
    assert mixture.content_hash[:12] == "242729dd52c7"


@pytest.mark.parametrize(
    ("name", "rows", "digits"),
    [
        ("shuffle", [505511218, 308516507, 151134084, 591720965], "20e92b133cd8"),
        ("even", [407378419, 247398419, 545758785, 749943992], "358a1127bfbd"),
        ("general-then-task", [407378419, 247398419, 545758785, 749943992], "11b286abc376"),
        ("task-then-general", [1, 0, 2, 2], "48d2e93fa909"),
    ],
)
def test_long_order_is_the_same_in_every_release(name, rows, digits):
    mixture = build_mixture(MixturePlan(3, 2, (("a", 10**9), ("b", 5)), name, seed=0))
    assert mixture.positions(0, 4).row.tolist() == rows
    assert mixture.content_hash[:12] == digits


def test_version_of_the_order_is_hashed_where_not_every_position_is(monkeypatch):
    short, full, long = (
        build_mixture(MixturePlan(1, 1, (("a", rows),))) for rows in (5, 2**16 - 1, 2**16)
    )
    before = [mixture.content_hash for mixture in (short, full, long)]
    monkeypatch.setattr(order, "ORDER_VERSION", order.ORDER_VERSION + 1)
    changed = [
        mixture.content_hash != hashed
        for mixture, hashed in zip((short, full, long), before, strict=True)
    ]
    assert changed == [False, False, True]


@pytest.mark.parametrize("place", [0, 37_000, 2**16 - 1])
def test_hash_covers_every_position_of_a_short_order(place, monkeypatch):
    assert_hash_covers(MixturePlan(1, 1, (("a", 2**16 - 1),)), place, monkeypatch)


@pytest.mark.parametrize("place", [0, 10**9, 10**9 // 63 + 5])
def test_hash_covers_blocks_of_a_long_order(place, monkeypatch):
    assert_hash_covers(MixturePlan(1, 1, (("a", 10**9),)), place, monkeypatch)


def assert_hash_covers(plan, place, monkeypatch):
    mixture = build_mixture(plan)
    hashed, read = mixture.content_hash, mixture.positions

    def read_another_row(start, stop):
        found = read(start, stop)
        row = found.row.copy()
        row[np.arange(start, start + len(row)) == place] += 1
        return Positions(found.source, row, found.exposure)

    monkeypatch.setattr(mixture, "positions", read_another_row)
    assert mixture.content_hash != hashed


def test_two_processes_that_read_their_slices_of_a_long_order_find_those_of_one():
    plan = MixturePlan(48, 24, (("pool", 10**9), ("more", 10**6)), seed=3)
    size = len(build_mixture(plan))
    starts = [0, 777, size // 3, size // 2 + 1, size - 9_000, size - 2_000]
    slices = [(start, start + 2_000) for start in starts]
    spawn = multiprocessing.get_context("spawn")
    asked = []
    for worker in range(2):
        ours, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(target=send_slices, args=(theirs, plan, slices[worker::2]))
        process.start()
        theirs.close()
        asked.append((process, ours))
    answers = [ours.recv() for _, ours in asked]
    for process, _ in asked:
        process.join()
    assert len({os.getpid(), *(pid for pid, _ in answers)}) == 3
    whole = read_slices(plan, slices)
    for worker, (_, found) in enumerate(answers):
        assert found == whole[worker::2]


def test_hash_tells_mixtures_of_equal_order_but_other_names_apart():
    one, other = (build_mixture(MixturePlan(2, 1, ((name, 3),))) for name in "ab")
    assert one.content_hash != other.content_hash


def test_positions_cannot_be_changed():
    positions = build_mixture(MixturePlan(2, 1)).positions(0, 2)
    with pytest.raises(ValueError, match="read-only"):
        positions.row[0] = 1
    assert (positions.source.dtype, positions.row.dtype, positions.exposure.dtype) == (
        np.int32, np.int64, np.int32,
    )  # fmt: skip


def test_positions_are_found_by_index_from_either_end():
    mixture = build_mixture(MixturePlan(4, 2, (("a", 3),)))
    assert mixture[-1] == mixture[len(mixture) - 1] == list(mixture)[-1]
    assert mixture[np.int64(0)] == next(iter(mixture))


@pytest.mark.parametrize("index", [3, -4])
def test_position_past_the_end_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"no position {index}; the mixture has 3"):
        build_mixture(MixturePlan(3, 1))[index]


def test_step_past_the_end_and_negative_range_are_index_errors():
    mixture = build_mixture(MixturePlan(3, 1))
    with pytest.raises(IndexError, match="no step 2; the mixture has 2"):
        mixture.step(2, 2)
    with pytest.raises(IndexError, match="counted from 0; found -1 to 2"):
        mixture.positions(-1, 2)


# Is the shuffle uniform? Two tests over 200 seeds, and two planted faults they must find. The
# permutations themselves are tested in test_permutation.py.


def exact_builder(plan):
    return read_all(build_mixture(plan))


def computed_builder(plan):
    return read_all(build_computed(plan))


def buffered_builder(plan):
    """A shuffle buffer over rows in file order: what streaming loaders call shuffling."""
    return permuted(plan, lambda size, rng: np.argsort(np.arange(size) + rng.uniform(0, 60, size)))


def clumped_builder(plan):
    """A permutation of pairs of rows: each row is spread uniformly, but not alone."""

    def permute(size, rng):
        pairs = rng.permutation(size // 2)
        return np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel()

    return permuted(plan, permute)


def permuted(plan, permute):
    plain = read_all(build_mixture(dataclasses.replace(plan, order="task-then-general")))
    found = permute(len(plain), np.random.default_rng(plan.seed))
    return Positions(*(getattr(plain, name)[found] for name in ARRAYS))


def position_p_value(builder):
    """Chi-square of the counts of each task row over ten stretches of the order."""
    counts = np.zeros((20, 10), dtype=int)
    for seed in SEEDS:
        found = builder(MixturePlan(20, 2, (("a", 160),), seed=seed))
        places = np.flatnonzero(found.is_task)
        np.add.at(counts, (found.row[places], places * 10 // len(found)), 1)
    statistic = ((counts - counts.sum() / 200) ** 2 / (counts.sum() / 200)).sum()
    return stats.chi2.sf(statistic, df=20 * 9)


def adjacency_p_value(builder):
    """z-test of the number of neighbouring task rows; n (n - 1) / N are expected."""
    counts = []
    for seed in SEEDS:
        found = builder(MixturePlan(20, 2, (("a", 160),), seed=seed))
        counts.append(np.sum(np.diff(np.flatnonzero(found.is_task)) == 1))
    return stats.ttest_1samp(counts, 40 * 39 / 200).pvalue


@pytest.mark.parametrize("builder", [exact_builder, computed_builder])
@pytest.mark.parametrize("p_value", [position_p_value, adjacency_p_value])
def test_shuffle_is_uniform(p_value, builder):
    assert p_value(builder) > 0.01


@pytest.mark.parametrize(
    ("p_value", "biased"),
    [
        (position_p_value, buffered_builder),
        (adjacency_p_value, buffered_builder),
        (adjacency_p_value, clumped_builder),
    ],
)
def test_planted_bias_fails_the_same_test(p_value, biased):
    assert p_value(biased) < 1e-6


def test_pairs_of_task_rows_are_in_either_order_equally_often():
    before = np.zeros((6, 6), dtype=int)
    for seed in SEEDS:
        mixture = build_mixture(MixturePlan(6, 1, (("a", 30),), seed=seed))
        rows = read_all(mixture).row[task_places(mixture)]
        for place, row in enumerate(rows):
            before[row, rows[place + 1 :]] += 1
    p_values = [
        stats.binomtest(int(before[i, j]), len(SEEDS)).pvalue for i in range(6) for j in range(i)
    ]
    assert min(p_values) > 0.01 / 15
