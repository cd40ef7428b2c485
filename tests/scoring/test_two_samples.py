"""Intervals against scipy's and against the truth of simulated samples."""

import math

import numpy as np
import pytest

from levertune.scoring.two_samples import auc_interval, jackknife_interval


def leave_out(values):
    return np.array([np.delete(values, i).mean() for i in range(len(values))])


def test_of_a_difference_of_means_the_jackknife_is_welchs_interval():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=9), 3 * rng.normal(size=14) + 1
    value = a.mean() - b.mean()
    found = jackknife_interval(value, leave_out(a) - b.mean(), a.mean() - leave_out(b))
    expected = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.value, found.n) == (value, 23)
    assert "9 and 14 rows" in found.method


def test_without_variation_or_rows_there_is_no_interval():
    still = jackknife_interval(2.0, np.full(4, 2.0), np.full(5, 2.0))
    assert (still.value, still.low, still.high) == (2.0, None, None)
    assert still.method == "none: leaving out a row changes nothing"
    few = jackknife_interval(2.0, np.ones(1), np.ones(5))
    assert (few.low, few.method) == (None, "none: fewer than 2 rows in a sample")
    with pytest.raises(ValueError, match="must be finite"):
        jackknife_interval(2.0, np.array([1.0, np.nan]), np.ones(3))
    with pytest.raises(ValueError, match="must be finite"):
        jackknife_interval(math.nan, np.ones(3), np.ones(3))


@pytest.mark.parametrize("auc", [0.0, 0.03, 0.5, 0.8, 1.0])
def test_the_ends_are_as_far_off_as_their_own_standard_errors_reach(auc):
    m, n = 20, 35
    found = auc_interval(auc, m, n)
    z, half = 1.959963984540054, (m + n) / 2 - 1
    for end in (found.low, found.high):
        spread = 1 + half * ((1 - end) / (2 - end) + end / (1 + end))
        error = math.sqrt(end * (1 - end) * spread / (m * n))
        assert abs(auc - end) == pytest.approx(z * error, abs=1e-6)
    assert found.low <= auc <= found.high
    assert (found.low == 0.0, found.high == 1.0) == (auc == 0.0, auc == 1.0)
    assert found.high - found.low > 0.05


def test_the_interval_is_the_same_from_the_other_side():
    one, other = auc_interval(0.7, 12, 30), auc_interval(0.3, 30, 12)
    assert (1 - other.high, 1 - other.low) == pytest.approx((one.low, one.high))


def test_it_narrows_with_rows_and_widens_a_little_with_folds():
    def width(*args, **options):
        found = auc_interval(*args, **options)
        return found.high - found.low

    assert width(0.8, 80, 80) < width(0.8, 20, 20)
    assert 1 < width(0.8, 40, 40, folds=5) / width(0.8, 40, 40) < 1.15


def test_most_intervals_hold_the_truth():
    from scipy.stats import norm

    truth, rng = norm.cdf(1 / math.sqrt(2)), np.random.default_rng(0)
    held = 0
    for _ in range(400):
        ahead = rng.normal(1, size=24)[:, None] - rng.normal(size=40)
        found = auc_interval(float((ahead > 0).mean()), 24, 40)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_row_of_each_kind_must_be_in_each_fold():
    found = auc_interval(0.9, 3, 40, folds=5)
    assert (found.value, found.low, found.high) == (0.9, None, None)
    assert found.method.startswith("none: fewer than 2 rows of a kind")


@pytest.mark.parametrize(("auc", "folds"), [(1.2, 1), (-0.1, 1), (0.5, 0)])
def test_what_is_no_auc_or_no_fold_is_refused(auc, folds):
    with pytest.raises(ValueError, match=f"got {auc} and {folds}"):
        auc_interval(auc, 10, 10, folds=folds)
