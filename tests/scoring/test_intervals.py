"""Intervals against scipy and published figures, what they refuse, and how often they cover."""

import math

import numpy as np
import pytest

from levertune.scoring.intervals import (
    ROWS_ONLY,
    Interval,
    bootstrap_difference,
    bootstrap_metric,
    crossed_bootstrap,
    crossed_difference,
    mean_interval,
    t_interval,
    wilson,
)
from levertune.scoring.metrics import METRICS
from levertune.scoring.scored import scored_mean, scored_ratio


def proportion(values, name="exact_match"):
    return scored_mean(name, values, bounds=(0.0, 1.0), is_proportion=True)


def graded(values):
    return scored_mean("json_f1", values, bounds=(0.0, 1.0))


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (6, 10), (97, 128), (128, 128), (1, 2)])
def test_wilson_agrees_with_scipy(successes, n):
    from scipy.stats import binomtest

    found = wilson(successes, n)
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == successes / n
    assert found.n == n


@pytest.mark.parametrize("successes", [-1, 11])
def test_wilson_refuses_impossible_counts(successes):
    with pytest.raises(ValueError, match="successes must lie between 0 and 10"):
        wilson(successes, 10)


def test_wilson_needs_two_rows():
    assert wilson(1, 1) == Interval(1.0, None, None, 1, "none: fewer than 2 rows")
    assert wilson(0, 0).value is None


def test_proportions_get_wilson_and_say_what_they_cover():
    found = bootstrap_metric(proportion([1] * 6 + [0] * 4), seed=0)
    assert (found.low, found.high) == (wilson(6, 10).low, wilson(6, 10).high)
    assert ROWS_ONLY in found.method


def test_paired_proportions_agree_with_newcombe_1998():
    # The paper's example: 36 rows right in both, 12 in the first alone, 2 in the second alone.
    a = proportion([1] * 36 + [1] * 12 + [0] * 2)
    b = proportion([1] * 36 + [0] * 12 + [1] * 2)
    found = bootstrap_difference(a, b, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0569, 0.3404), abs=1e-4)


def test_difference_of_proportions_turns_its_sign_with_the_arms():
    rng = np.random.default_rng(0)
    a, b = (proportion(rng.integers(0, 2, size=30)) for _ in range(2))
    one, two = bootstrap_difference(a, b, seed=0), bootstrap_difference(b, a, seed=0)
    assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low))


def test_bootstrap_of_a_mean_agrees_with_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).beta(2, 1, size=80)
    found = bootstrap_metric(graded(values), seed=0, draws=5000)
    rng = np.random.default_rng(0)
    expected = bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", rng=rng
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.003)


def test_pairing_by_row_narrows_a_difference():
    rng = np.random.default_rng(2)
    hard = rng.uniform(0, 0.8, size=100)
    a, b = graded(hard + 0.1), graded(hard + rng.uniform(0, 0.1, size=100))
    paired = bootstrap_difference(a, b, seed=0)
    unpaired = bootstrap_difference(a, graded(b.per_row[::-1]), seed=0)
    assert paired.is_above_zero
    assert unpaired.high - unpaired.low > 3 * (paired.high - paired.low)


@pytest.mark.parametrize("num_better", [1, 2, 3])
@pytest.mark.parametrize("num_rows", [50, 100, 128, 150, 200])
def test_a_few_rows_that_are_all_better_do_not_decide_a_difference(num_rows, num_better):
    # By a test of signs their p is 1, 0.5 and 0.25. Draws without any of them show no difference.
    first, second = np.full(num_rows, 0.5), np.full(num_rows, 0.5)
    first[:num_better] = 1.0
    for one, other in ((first, second), (second, first)):
        found = bootstrap_difference(graded(one), graded(other), seed=0)
        assert found.low <= 0 <= found.high


def test_one_row_does_not_decide_a_difference_of_macro_f1():
    rng = np.random.default_rng(0)
    decided = 0
    for seed in range(20):
        truth = rng.integers(0, 77, 128)
        answers = np.where(rng.random(128) < 0.7, truth, rng.integers(0, 77, 128))
        better = answers.copy()
        wrong = np.flatnonzero(answers != truth)[0]
        better[wrong] = truth[wrong]
        references = [[str(label)] for label in truth]
        arms = [METRICS["macro_f1"].score([str(a) for a in arm], references)
                for arm in (better, answers)]  # fmt: skip
        found = bootstrap_difference(*arms, seed=seed)
        decided += found.is_above_zero or found.is_below_zero
    assert decided == 0


def test_one_row_in_every_seed_does_not_decide_a_difference_of_proportions():
    right = np.arange(128) > 10
    better = right.copy()
    better[0] = True
    found = crossed_difference([proportion(better)] * 3, [proportion(right)] * 3, seed=0)
    assert found.low == 0 < found.high
    assert found.method.endswith("up to zero since so few rows differ")


def test_a_difference_on_many_rows_stays_decided():
    first, second = np.full(128, 0.5), np.full(128, 0.5)
    first[:12] = 1.0
    found = bootstrap_difference(graded(first), graded(second), seed=0)
    assert found.is_above_zero
    assert "zero" not in found.method


def test_the_same_seed_gives_the_same_interval():
    scored = graded(np.random.default_rng(3).uniform(size=40))
    assert bootstrap_metric(scored, seed=5) == bootstrap_metric(scored, seed=5)
    assert bootstrap_metric(scored, seed=5) != bootstrap_metric(scored, seed=6)


def test_blocks_of_draws_change_nothing_but_memory(monkeypatch):
    scored = graded(np.random.default_rng(3).uniform(size=40))
    whole = bootstrap_metric(scored, seed=5)
    monkeypatch.setattr("levertune.scoring.resampling._BLOCK_NUMBERS", 4000)
    assert bootstrap_metric(scored, seed=5).low == pytest.approx(whole.low)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_rows_that_all_score_alike_still_have_an_interval(score):
    found = bootstrap_metric(graded([score] * 50), seed=0)
    exact = wilson(50 * score, 50)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert "unseen rows" in found.method


def test_a_difference_alike_on_all_rows_has_an_interval_that_narrows_with_rows():
    few = bootstrap_difference(graded([1.0] * 20), graded([0.0] * 20), seed=0)
    many = bootstrap_difference(graded([1.0] * 200), graded([0.0] * 200), seed=0)
    assert 0 < few.low < many.low < 1
    assert few.high == many.high == 1


def test_rows_alike_in_a_metric_without_bounds_have_no_interval():
    found = bootstrap_metric(scored_mean("mine:score", [2.0] * 9), seed=0)
    assert (found.value, found.low, found.high) == (2.0, None, None)
    assert found.method.startswith("none: all draws are equal")


def test_intervals_never_leave_the_range_of_the_metric():
    found = bootstrap_metric(graded([1.0] * 49 + [0.0]), seed=0)
    assert found.high <= 1.0


def test_undefined_metrics_have_no_interval():
    found = bootstrap_metric(graded([math.nan, math.nan]), seed=0)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert "undefined on these rows" in found.method


def test_too_many_undefined_draws_leave_no_interval():
    found = bootstrap_metric(graded([math.nan] * 9 + [1.0, 0.0]), seed=0)
    assert found.value == 0.5
    assert found.low is None
    assert "undefined on" in found.method


def test_a_few_undefined_draws_are_left_out_and_counted():
    found = bootstrap_metric(graded([math.nan] * 6 + [1.0, 0.0, 0.5, 0.7]), seed=0)
    assert found.low is not None
    assert "undefined draws left out" in found.method


def test_one_row_has_no_interval():
    for found in (
        bootstrap_metric(graded([1.0]), seed=0),
        bootstrap_metric(proportion([1.0]), seed=0),
        bootstrap_difference(graded([1.0]), graded([0.0]), seed=0),
        bootstrap_difference(proportion([1.0]), proportion([0.0]), seed=0),
    ):
        assert (found.value, found.low, found.high) == (1.0, None, None)


def test_crossed_intervals_name_rows_and_seeds_and_one_seed_names_rows_alone():
    rng = np.random.default_rng(4)
    arms = [graded(rng.uniform(size=30)) for _ in range(3)]
    assert "30 rows x 3 seeds" in crossed_bootstrap(arms, seed=0).method
    assert ROWS_ONLY in crossed_bootstrap(arms[:1], seed=0).method
    assert ROWS_ONLY in crossed_difference(arms[:1], arms[1:2], seed=0).method


def test_crossed_values_are_means_over_seeds():
    arms = [graded([0.0, 0.5, 1.0]), graded([0.5, 0.5, 0.8])]
    assert crossed_bootstrap(arms, seed=0).value == pytest.approx(0.55)
    assert crossed_difference(arms, arms[:1], seed=0).value == pytest.approx(0.05)


def test_luck_of_training_widens_a_crossed_interval():
    rows = np.random.default_rng(5).uniform(0.3, 0.5, size=100)
    alike = crossed_bootstrap([graded(rows)] * 4, seed=0)
    lucky = crossed_bootstrap([graded(rows + shift) for shift in (-0.2, -0.1, 0.1, 0.2)], seed=0)
    assert lucky.high - lucky.low > 4 * (alike.high - alike.low)


def test_rows_are_drawn_once_for_both_arms_and_all_seeds():
    rng = np.random.default_rng(6)
    rows = rng.uniform(0, 0.9, size=50)
    arm = [graded(rows + 0.1), graded(rows + 0.05)]
    other = [graded(rows), graded(rows)]
    found = crossed_difference(arm, other, seed=0)
    assert found.low == pytest.approx(0.05, abs=1e-3)
    assert found.high == pytest.approx(0.1, abs=1e-3)


def test_an_arm_without_training_is_paired_with_every_seed():
    rng = np.random.default_rng(7)
    arm = [proportion(rng.integers(0, 2, size=40)) for _ in range(3)]
    found = crossed_difference(arm, [proportion(np.zeros(40))], seed=0)
    assert found.is_above_zero


def test_arms_that_do_not_match_are_refused():
    a, b = graded([0.0, 1.0]), graded([0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="one metric over the same rows"):
        bootstrap_difference(a, b, seed=0)
    with pytest.raises(ValueError, match="one metric over the same rows"):
        bootstrap_difference(a, proportion([0, 1]), seed=0)
    with pytest.raises(ValueError, match="one metric over the same rows"):
        crossed_bootstrap([], seed=0)
    with pytest.raises(ValueError, match="3 seeds cannot be paired with 2"):
        crossed_difference([a] * 3, [a] * 2, seed=0)
    with pytest.raises(ValueError, match="0 seeds cannot be paired with 1"):
        crossed_difference([], [a], seed=0)


def test_t_interval_agrees_with_scipy():
    from scipy.stats import ttest_1samp

    values = [0.61, 0.7, 0.66]
    expected = ttest_1samp(values, 0).confidence_interval()
    found = t_interval(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "t interval over 3 seeds"


def test_t_interval_needs_two_seeds():
    assert t_interval([0.5]) == Interval(0.5, None, None, 1, "none: fewer than 2 seeds")
    assert t_interval([]).value is None


@pytest.mark.parametrize("interval", [t_interval, lambda values: mean_interval(values, seed=0)])
def test_missing_values_are_refused_not_guessed(interval):
    with pytest.raises(ValueError, match="1 of 3 values not finite"):
        interval([1.0, math.nan, 2.0])


def test_mean_interval_leans_towards_the_long_tail():
    values = np.random.default_rng(8).lognormal(0, 1, size=60)
    found = mean_interval(values, seed=0)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value > found.value - found.low
    assert found.method.startswith("studentised bootstrap over 60 rows")


def test_few_rows_fall_back_to_t():
    assert mean_interval([1.0, 2.0, 4.0], seed=0).method.startswith("t interval over 3 rows")


def test_a_draw_without_spread_falls_back_to_t():
    found = mean_interval([0.0] * 39 + [1.0], seed=0)
    assert found.method.startswith("t interval over 40 rows")
    assert found.low < found.value < found.high


def test_mean_interval_without_spread_or_rows_is_none():
    assert mean_interval([0.3] * 20, seed=0).method == "none: all 20 rows are equal"
    assert mean_interval([0.3] * 20, seed=0).low is None
    assert mean_interval([0.3], seed=0).value == 0.3
    assert mean_interval([], seed=0).value is None


def test_sides_of_zero():
    assert Interval(2.0, 1.0, 3.0, 9, "").is_above_zero
    assert Interval(-2.0, -3.0, -1.0, 9, "").is_below_zero
    for low, high in ((-1.0, 1.0), (0.0, 1.0), (None, None)):
        interval = Interval(0.5, low, high, 9, "")
        assert not interval.is_above_zero
        assert not interval.is_below_zero


def coverage(make_interval, truth, repeats):
    found = [make_interval(number) for number in range(repeats)]
    return sum(one.low <= truth <= one.high for one in found) / repeats


def test_mean_interval_covers_skewed_means():
    rng = np.random.default_rng(9)
    share = coverage(
        lambda seed: mean_interval(rng.lognormal(0, 1, size=50), seed=seed, draws=400),
        math.exp(0.5),
        150,
    )
    assert share > 0.88


def test_crossed_bootstrap_covers_rows_and_seeds():
    rng = np.random.default_rng(10)

    def draw(seed):
        rows, luck = rng.normal(0, 0.3, size=64), rng.normal(0, 0.05, size=(5, 1))
        noise = rng.normal(0, 0.3, size=(5, 64))
        scores = [scored_mean("m", values) for values in rows + luck + noise]
        return crossed_bootstrap(scores, seed=seed, draws=300)

    assert coverage(draw, 0.0, 120) > 0.88


def test_macro_f1_of_many_labels_is_covered_thanks_to_the_shift():
    rng = np.random.default_rng(11)
    metric, num_labels = METRICS["macro_f1"], 60

    def draw_rows(num_rows):
        truth = rng.integers(0, num_labels, size=num_rows)
        guess = rng.integers(0, num_labels, size=num_rows)
        answers = np.where(rng.random(num_rows) < 0.7, truth, guess)
        return metric.score([str(code) for code in answers], [[str(code)] for code in truth])

    truth = draw_rows(100_000).aggregate()
    share = coverage(lambda seed: bootstrap_metric(draw_rows(500), seed=seed, draws=300), truth, 60)
    assert share > 0.8


def test_nll_per_token_is_bootstrapped_as_a_ratio():
    rng = np.random.default_rng(12)
    tokens = rng.integers(1, 40, size=100)
    scored = scored_ratio("nll_per_token", tokens * 0.5, tokens)
    found = bootstrap_difference(
        scored, scored_ratio("nll_per_token", tokens * rng.uniform(0.5, 0.9, 100), tokens), seed=0
    )
    assert found.is_below_zero
