import functools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from levertune.mixtures import permutation
from levertune.mixtures.permutation import (
    MAX_EXACT_SIZE,
    MAX_SIZE,
    NUM_ROUNDS,
    FeistelPermutation,
    SortedPermutation,
    draw_permutation,
)


def draw_keys(seed, number):
    return np.random.PCG64(np.random.SeedSequence(seed)).random_raw(number)


def sorted_permutation(size, seed):
    return SortedPermutation(size, draw_keys(seed, size))


def feistel_permutation(size, seed, rounds=NUM_ROUNDS):
    return FeistelPermutation(size, draw_keys(seed, rounds))


KINDS = [sorted_permutation, feistel_permutation]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100)
@given(size=st.integers(0, 300), seed=st.integers(0, 2**40))
def test_every_value_stands_at_one_place_and_is_found_there(kind, size, seed):
    drawn, places = kind(size, seed), np.arange(size)
    values = drawn.forward(places)
    assert sorted(values.tolist()) == places.tolist()
    np.testing.assert_array_equal(drawn.inverse(values), places)
    np.testing.assert_array_equal(drawn.forward(drawn.inverse(places)), places)
    assert values.dtype == drawn.inverse(values).dtype == np.int64


@settings(max_examples=60)
@given(size=st.integers(1, MAX_SIZE), seed=st.integers(0, 2**40), data=st.data())
def test_permutation_of_any_size_is_undone_by_its_inverse(size, seed, data):
    drawn = feistel_permutation(size, seed)
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=20)), dtype=np.int64)
    values = drawn.forward(places)
    assert all(0 <= value < size for value in values)
    assert len(set(values.tolist())) == len(set(places.tolist()))
    np.testing.assert_array_equal(drawn.inverse(values), places)


@settings(max_examples=25)
@given(size=st.integers(1, 10**12), start=st.integers(0, 10**12), data=st.data())
def test_reading_in_chunks_changes_nothing(size, start, data):
    start = min(start, size - 1)
    places = np.arange(start, min(start + 200, size))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(places)), max_size=5)))
    drawn = feistel_permutation(size, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permutation, "_BLOCK", data.draw(st.integers(20, 300)))
        parts = [drawn.forward(part) for part in np.split(places, cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), drawn.forward(places))


def test_permutation_is_exact_up_to_a_size_and_computed_above():
    assert isinstance(draw_permutation(MAX_EXACT_SIZE, 0), SortedPermutation)
    drawn = draw_permutation(MAX_EXACT_SIZE + 1, 0)
    assert isinstance(drawn, FeistelPermutation)
    values = drawn.forward(np.arange(MAX_EXACT_SIZE + 1))
    assert np.array_equal(np.sort(values), np.arange(MAX_EXACT_SIZE + 1))


def test_computed_permutation_of_any_size_takes_the_same_memory():
    sizes = [len(pickle.dumps(draw_permutation(size, 0))) for size in (10**5, 10**9, 10**18)]
    assert max(sizes) < 2000
    assert max(sizes) - min(sizes) < 50


def test_few_values_are_walked_more_than_one_step():
    for size in (65_537, 10**6 + 1, 10**9, 2**32 - 1, 10**15):
        drawn = FeistelPermutation(size, draw_keys(0, 1))
        domain = int(drawn._high_size) << int(drawn._bits)
        assert size <= domain <= size + 2 * math.isqrt(size)


def test_permutations_are_the_same_in_every_release():
    drawn = draw_permutation(10**9, 7, 1, 2)
    assert drawn.forward(np.arange(4)).tolist() == [133414072, 980873595, 992306491, 996023193]
    places = np.arange(10)
    assert feistel_permutation(10, 0).forward(places).tolist() == [
        9,
        8,
        3,
        7,
        4,
        0,
        6,
        5,
        2,
        1,
    ]
    assert draw_permutation(10, 0).forward(places).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]


def test_streams_of_one_seed_differ():
    places = np.arange(20)
    drawn = [draw_permutation(10**6, *key).forward(places) for key in ((0,), (1,), (0, 1), (0, 2))]
    assert len({tuple(values) for values in drawn}) == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_number_out_of_range_is_an_error(kind, direction):
    turn = getattr(kind(10, 0), direction)
    with pytest.raises(ValueError, match=r"in range\(10\); found 0 to 10"):
        turn(np.array([0, 10]))
    with pytest.raises(ValueError, match=r"in range\(10\); found -1 to 3"):
        turn(np.array([3, -1]))


@pytest.mark.parametrize("size", [-1, MAX_SIZE + 1])
def test_size_out_of_range_is_an_error(size):
    with pytest.raises(ValueError, match=f"0 to {MAX_SIZE} values; found {size}"):
        draw_permutation(size, 0)


# Is it uniform? Three tests over fixed seeds, and planted faults that the same tests must find. A
# uniform permutation fails each of them with a chance of 1e-4.

PASSES, IS_FOUND = 1e-4, 1e-6
SEEDS_AND_BINS = {7: (2000, 7), 100: (500, 10), 1000: (200, 20)}


@functools.cache
def draw_table(permute, size, num_seeds):
    """One permutation a line."""
    return np.stack([permute(size, seed) for seed in range(num_seeds)])


def position_p_value(permute, size):
    """Chi-square of row x position bin, scaled for rows that exclude each other.

    Each line fills each place once, so the cells vary by (n - 1) / n of a multinomial table
    (Anderson, Use of contingency tables in the analysis of consumer preference studies, 1959).
    """
    num_seeds, bins = SEEDS_AND_BINS[size]
    table = draw_table(permute, size, num_seeds)
    bin_of_place = np.arange(size) * bins // size
    counts = np.zeros((size, bins))
    np.add.at(counts, (table, bin_of_place[None, :]), 1)
    expected = num_seeds * np.bincount(bin_of_place) / size
    statistic = (size - 1) / size * ((counts - expected) ** 2 / expected).sum()
    return stats.chi2.sf(statistic, (size - 1) * (bins - 1))


def adjacency_p_value(permute, size):
    """Chi-square of the distance, modulo n, between the rows at neighbouring places."""
    num_seeds, _ = SEEDS_AND_BINS[size]
    table = draw_table(permute, size, num_seeds)
    counts = np.bincount((np.diff(table, axis=1) % size).ravel(), minlength=size)[1:]
    return stats.chisquare(counts).pvalue


def exact(size, seed):
    return sorted_permutation(size, seed).forward(np.arange(size))


def computed(size, seed):
    return feistel_permutation(size, seed).forward(np.arange(size))


def one_round(size, seed):
    return feistel_permutation(size, seed, rounds=1).forward(np.arange(size))


def three_rounds(size, seed):
    return feistel_permutation(size, seed, rounds=3).forward(np.arange(size))


def swap_with_any(size, seed):
    """The well-known slip in a Fisher-Yates shuffle: swap with any place, not a later one."""
    values = np.arange(size)
    for place, other in enumerate(np.random.default_rng(seed).integers(size, size=size)):
        values[[place, other]] = values[[other, place]]
    return values


def rotation(size, seed):
    return (np.arange(size) + np.random.default_rng(seed).integers(size)) % size


def shuffle_buffer(size, seed):
    """Rows leave a buffer of a quarter of the size in random order, as streaming loaders do."""
    delay = np.random.default_rng(seed).uniform(0, size / 4, size)
    return np.argsort(np.arange(size) + delay)


TESTS = [position_p_value, adjacency_p_value]


@pytest.mark.parametrize("size", SEEDS_AND_BINS)
@pytest.mark.parametrize("permute", [exact, computed])
@pytest.mark.parametrize("p_value", TESTS)
def test_permutation_is_uniform(p_value, permute, size):
    assert p_value(permute, size) > PASSES


@pytest.mark.parametrize("size", SEEDS_AND_BINS)
@pytest.mark.parametrize(
    ("p_value", "biased"),
    [
        (position_p_value, swap_with_any),
        (position_p_value, shuffle_buffer),
        (adjacency_p_value, rotation),
        (adjacency_p_value, one_round),
        (adjacency_p_value, three_rounds),
    ],
)
def test_planted_bias_is_found(p_value, biased, size):
    assert p_value(biased, size) < IS_FOUND


@pytest.mark.parametrize("size", [100, 1000])
def test_rotation_fools_the_positions_and_not_the_neighbours(size):
    assert position_p_value(rotation, size) > PASSES
    assert adjacency_p_value(rotation, size) < IS_FOUND


def orders_p_value(permute):
    """Chi-square over all 120 orders of five rows."""
    lines = draw_table(permute, 5, 2000) @ 5 ** np.arange(5)
    counts = np.unique(lines, return_counts=True)[1]
    return stats.chisquare(np.pad(counts, (0, 120 - len(counts)))).pvalue


@pytest.mark.parametrize("permute", [exact, computed])
def test_all_orders_of_five_rows_are_equally_likely(permute):
    assert orders_p_value(permute) > PASSES


@pytest.mark.parametrize("biased", [three_rounds, rotation])
def test_orders_of_five_rows_show_planted_bias(biased):
    assert orders_p_value(biased) < IS_FOUND
