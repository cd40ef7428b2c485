"""Exact tests against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.significance import mcnemar_exact, sign_flip_p


@given(st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)), min_size=2, max_size=7))
@settings(max_examples=25)
def test_sign_flips_agree_with_scipy(differences):
    from scipy.stats import permutation_test

    expected = permutation_test(
        (np.array(differences),),
        lambda x, axis: np.abs(x.sum(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip_p(differences) == pytest.approx(expected.pvalue)


def test_three_seeds_cannot_go_below_a_quarter():
    assert sign_flip_p([5.0, 6.0, 7.0]) == 0.25


def test_eight_seeds_can_confirm():
    assert sign_flip_p([1.0] * 8) == pytest.approx(2 / 256)


def test_many_pairs_are_sampled_and_never_certain():
    differences = np.full(40, 1.0)
    assert sign_flip_p(differences, draws=200) == pytest.approx(1 / 201)
    noise = np.random.default_rng(0).normal(size=40)
    assert sign_flip_p(noise, draws=500) == sign_flip_p(noise, draws=500)


def test_no_pairs_have_no_p():
    assert sign_flip_p([]) is None


def test_missing_differences_are_refused():
    with pytest.raises(ValueError, match="must be finite"):
        sign_flip_p([1.0, math.nan])


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40)
def test_mcnemar_agrees_with_the_binomial_test(b, c):
    from scipy.stats import binomtest

    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        mcnemar_exact(-1, 2)
