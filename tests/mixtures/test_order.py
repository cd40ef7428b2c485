import dataclasses
import random
from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from levertune.mixtures.order import Mixture, Position, Positions, build_mixture
from levertune.mixtures.plan import MixturePlan, Order

ORDERS = get_args(Order)
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


def task_places(mixture):
    return np.flatnonzero(mixture.positions(0, len(mixture)).is_task)


@settings(max_examples=200, deadline=None)
@given(plans())
def test_every_row_comes_exactly_as_often_as_planned(plan):
    expected = Counter(
        Position("task", row, exposure)
        for row in range(plan.task_rows)
        for exposure in range(plan.exposures)
    )
    expected.update(Position(name, row, 0) for name, rows in plan.general for row in range(rows))
    assert Counter(build_mixture(plan)) == expected


@settings(max_examples=100, deadline=None)
@given(plans())
def test_exposures_of_a_row_are_numbered_as_they_come(plan):
    seen = Counter()
    for position in build_mixture(plan):
        assert position.exposure == seen[position.source, position.row]
        seen[position.source, position.row] += 1


@settings(max_examples=50, deadline=None)
@given(plans(), st.integers(1, 9))
def test_steps_tile_the_mixture_in_order(plan, step_rows):
    mixture = build_mixture(plan)
    steps = [mixture.step(index, step_rows) for index in range(mixture.num_steps(step_rows))]
    assert all(len(step) == step_rows for step in steps[:-1])
    assert 1 <= len(steps[-1]) <= step_rows
    np.testing.assert_array_equal(
        np.concatenate([step.row for step in steps]), mixture.positions(0, len(mixture)).row
    )


@settings(max_examples=100, deadline=None)
@given(plans())
def test_even_order_gives_every_stretch_its_quota(plan):
    plan = dataclasses.replace(plan, order="even")
    places = task_places(build_mixture(plan))
    for stop in range(plan.num_positions + 1):
        quota = stop * plan.num_task / plan.num_positions
        assert abs(np.sum(places < stop) - quota) <= 1


@settings(max_examples=50, deadline=None)
@given(plans(), st.sampled_from(["even", "general-then-task", "task-then-general"]))
def test_no_task_row_comes_again_before_all_came(plan, order):
    task = [p for p in build_mixture(dataclasses.replace(plan, order=order)) if p.source == "task"]
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


@pytest.mark.parametrize("order", ORDERS)
def test_order_depends_on_the_plan_alone(order):
    plan = MixturePlan(5, 4, (("a", 30),), order, 7)
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


# Is the shuffle uniform? Two tests over 200 seeds, and two planted faults they must find.


def uniform_builder(plan):
    return build_mixture(plan)


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
    plain = build_mixture(dataclasses.replace(plan, order="task-then-general"))
    order = plain.positions(0, len(plain))
    found = permute(len(plain), np.random.default_rng(plan.seed))
    return Mixture(plan, Positions(order.source[found], order.row[found], order.exposure[found]))


def position_p_value(builder):
    """Chi-square of the counts of each task row over ten stretches of the order."""
    counts = np.zeros((20, 10), dtype=int)
    for seed in SEEDS:
        mixture = builder(MixturePlan(20, 2, (("a", 160),), seed=seed))
        order, places = mixture.positions(0, len(mixture)), task_places(mixture)
        np.add.at(counts, (order.row[places], places * 10 // len(mixture)), 1)
    statistic = ((counts - counts.sum() / 200) ** 2 / (counts.sum() / 200)).sum()
    return stats.chi2.sf(statistic, df=20 * 9)


def adjacency_p_value(builder):
    """z-test of the number of neighbouring task rows; n (n - 1) / N are expected."""
    found = []
    for seed in SEEDS:
        mixture = builder(MixturePlan(20, 2, (("a", 160),), seed=seed))
        found.append(np.sum(np.diff(task_places(mixture)) == 1))
    return stats.ttest_1samp(found, 40 * 39 / 200).pvalue


@pytest.mark.parametrize("p_value", [position_p_value, adjacency_p_value])
def test_shuffle_is_uniform(p_value):
    assert p_value(uniform_builder) > 0.01


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
        rows = mixture.positions(0, 36).row[task_places(mixture)]
        for place, row in enumerate(rows):
            before[row, rows[place + 1 :]] += 1
    p_values = [
        stats.binomtest(int(before[i, j]), len(SEEDS)).pvalue for i in range(6) for j in range(i)
    ]
    assert min(p_values) > 0.01 / 15
