import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.rank_correlation import rank_correlation


def pairs(seed, n=24, rho=0.6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)


def correlate(groups, **options):
    return rank_correlation(groups, seed=0, **{"draws": 200, **options})


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=12))
def test_with_one_group_it_is_scipys_rho_ties_and_all(drawn):
    from scipy.stats import spearmanr

    x, y = (list(values) for values in zip(*drawn, strict=True))
    found = correlate({"a": (x, y)}, draws=20).pooled.value
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(x, y).statistic)


def test_groups_are_ranked_apart_and_weighed_by_their_pairs():
    from scipy.stats import spearmanr

    a, b = pairs(0, 24), pairs(1, 12, rho=-0.2)
    found = correlate({"a": a, "b": b})
    rhos = [spearmanr(*one).statistic for one in (a, b)]
    assert [one.value for _, one in found.by_group] == pytest.approx(rhos)
    assert found.pooled.value == pytest.approx((24 * rhos[0] + 12 * rhos[1]) / 36)
    assert found.pooled.n == 36
    assert "36 pairs within 2 groups" in found.pooled.method


@pytest.mark.parametrize("seed", range(5))
def test_what_is_given_is_taken_out_of_the_ranks_of_both(seed):
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    length = rng.normal(size=40)
    x, y = (length + rng.normal(size=40) for _ in range(2))
    found = correlate({"a": (x, y)}, given={"a": length})
    ranks = [rankdata(values) for values in (x, y, length)]
    # By its definition: the correlation of what a straight line leaves.
    left = [values - np.polyval(np.polyfit(ranks[2], values, 1), ranks[2]) for values in ranks[:2]]
    assert found.pooled.value == pytest.approx(np.corrcoef(*left)[0, 1])
    assert found.pooled.low < found.pooled.value < found.pooled.high
    assert abs(found.pooled.value) < correlate({"a": (x, y)}).pooled.value


def test_where_what_is_given_says_all_nothing_is_left_to_say():
    x, y = pairs(0)
    [(_, found)] = correlate({"a": (x, y)}, given={"a": 2 * x + 1}).by_group
    assert (found.value, found.method) == (None, "none: what is given says all of another figure")
    [(_, flat)] = correlate({"a": (x, y)}, given={"a": np.ones(24)}).by_group
    assert flat.method == "none: all 24 given are equal"
    with pytest.raises(ValueError, match="a: 24 proxies and 3 given cannot be paired"):
        correlate({"a": (x, y)}, given={"a": [1, 2, 3]})


def test_groups_of_another_level_and_scale_add_nothing():
    x, y = pairs(0)
    u, v = pairs(1)
    near, far = (
        correlate({"a": (x, y), "b": (u, v)}),
        correlate({"a": (x, y), "b": (9 + u, 50 * v + 9)}),
    )
    assert near.pooled.value == pytest.approx(far.pooled.value)
    # Within each group nothing; over both together the far group would lead.
    still = [1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 2.0, 2.0]
    raised = tuple([value + 10 for value in one] for one in still)
    assert correlate({"a": still, "b": raised}).pooled.value == 0.0


def test_the_interval_depends_on_the_seed_alone_and_holds_the_value():
    groups = {"a": pairs(0), "b": pairs(1)}
    first = rank_correlation(groups, seed=4)
    assert rank_correlation(groups, seed=4) == first
    assert rank_correlation(groups, seed=5) != first
    assert first.pooled.low < first.pooled.value < first.pooled.high
    widths = [one.high - one.low for _, one in first.by_group]
    assert first.pooled.high - first.pooled.low < min(widths)


def test_zero_is_excluded_only_if_it_is_in_every_group_on_one_side():
    up, down, none = pairs(0, 40, 0.9), pairs(1, 40, -0.9), pairs(2, 40, 0.0)
    assert correlate({"a": up, "b": pairs(3, 40, 0.9)}).excludes_zero_in_all
    assert correlate({"a": down, "b": down}).excludes_zero_in_all
    assert not correlate({"a": up, "b": down}).excludes_zero_in_all
    assert not correlate({"a": up, "b": none}).excludes_zero_in_all


def test_most_intervals_hold_the_truth():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    x = rng.normal(size=200_000)
    truth = spearmanr(x, 0.5 * x + np.sqrt(0.75) * rng.normal(size=len(x))).statistic
    held = 0
    for seed in range(150):
        groups = {"a": pairs(2 * seed, 24, 0.5), "b": pairs(2 * seed + 1, 24, 0.5)}
        pooled = rank_correlation(groups, seed=seed, draws=300).pooled
        held += pooled.low <= truth <= pooled.high
    assert 0.88 <= held / 150 <= 0.99


def test_where_a_figure_does_not_vary_nothing_is_said():
    x, y = pairs(0)
    found = correlate({"a": (x, y), "flat": (np.ones(24), y)})
    assert (found.pooled.value, found.pooled.low) == (None, None)
    assert found.pooled.method == "none: undefined for flat"
    assert found.by_group[1][1].method == "none: all 24 proxies are equal"
    assert found.by_group[0][1].value is not None
    assert not found.excludes_zero_in_all
    other = correlate({"a": (x, np.zeros(24))}).by_group[0][1]
    assert other.method == "none: all 24 outcomes are equal"


def test_few_pairs_and_a_perfect_order_have_no_interval():
    few = correlate({"a": ([1, 2, 3], [1, 2, 3])})
    assert few.by_group[0][1].method == "none: fewer than 4 pairs"
    perfect = correlate({"a": (range(9), range(9))}).pooled
    assert (perfect.value, perfect.low) == (1.0, None)
    assert "all draws are equal" in perfect.method
    rare = correlate({"a": ([0, 0, 0, 1], [1, 2, 3, 4])}).pooled
    assert rare.value is not None
    assert rare.method.startswith("none: undefined on")


def test_bad_groups_are_refused():
    with pytest.raises(ValueError, match="at least one group"):
        correlate({})
    with pytest.raises(ValueError, match="a: 3 proxies and 4 outcomes cannot be paired"):
        correlate({"a": ([1, 2, 3], [1, 2, 3, 4])})
    with pytest.raises(ValueError, match="a: figures must be finite"):
        correlate({"a": ([1, 2, 3, np.nan], [1, 2, 3, 4])})
