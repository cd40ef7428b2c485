import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.results.tuning import RowLoss, Trial
from levertune.tuning.halving import Halving, compare, find_collapsed, mean_loss, race


def make_trial(name, fold, rows, *, failure=None, ratio=1, first=3.0, last=1.0, **others):
    return Trial(
        settings={"general.rows": name, **others},
        fold=fold,
        rows=tuple(RowLoss(f"{fold}-{i}", nll, tokens) for i, (nll, tokens) in enumerate(rows)),
        train_rows=10,
        general_rows=10 * ratio,
        train_tokens=100,
        task_loss_share=0.5,
        first_loss=first,
        last_loss=last,
        seconds=1.0,
        failure=failure,
    )


def run_race(losses, num_folds):
    """`losses[candidate][fold]` is that trial's nats per token."""
    calls = []

    def run_trial(candidate, fold):
        index = candidate["general.rows"]
        calls.append((index, fold))
        loss = losses[index][fold]
        if loss is None:
            return make_trial(index, fold, [], failure="step 3: the loss is nan")
        return make_trial(index, fold, [(2 * loss, 2), (loss, 1)])

    def run_trials(candidates, fold):
        return [run_trial(candidate, fold) for candidate in candidates]

    candidates = [{"general.rows": i} for i in range(len(losses))]
    found = race(candidates, num_folds, run_trials, Halving())
    return found, calls


def test_the_better_half_goes_on_fold_by_fold():
    losses = [[5, 5, 5], [1, 2, 2], [4, 4, 4], [2, 1, 1], [3, 3, 3], [6, 6, 6]]
    found, calls = run_race(losses, 3)
    assert [i for i, fold in calls if fold == 0] == [0, 1, 2, 3, 4, 5]
    assert sorted(i for i, fold in calls if fold == 1) == [1, 3, 4]
    assert sorted(i for i, fold in calls if fold == 2) == [1, 3]
    assert found.winner == 3  # the mean of all its folds is lowest
    assert [len(own) for own in found.trials] == [1, 3, 1, 3, 2, 1]


def test_between_equals_the_first_wins():
    assert run_race([[1.0], [1.0], [1.0]], 1)[0].winner == 0


def test_a_training_that_failed_never_wins_and_leaves_first():
    found, calls = run_race([[None, None], [9, 9], [8, 8], [7, 7]], 2)
    assert found.winner == 3
    assert (0, 1) not in calls


@given(
    st.lists(st.floats(0.1, 9), min_size=2, max_size=12),
    st.integers(1, 4),
)
@settings(max_examples=50)
def test_with_the_same_loss_on_every_fold_the_lowest_wins_at_the_price_told(losses, num_folds):
    found, calls = run_race([[loss] * num_folds for loss in losses], num_folds)
    assert losses[found.winner] == min(losses)
    counts = [sum(1 for _, f in calls if f == fold) for fold in range(num_folds)]
    assert counts == Halving().most_trials(len(losses), num_folds)
    assert len(set(calls)) == len(calls)


@pytest.mark.parametrize(("candidates", "folds"), [([], 1), ([{"general.rows": 1}], 0)])
def test_a_race_needs_a_candidate_and_a_fold(candidates, folds):
    with pytest.raises(ValueError, match="a race needs a candidate and a fold"):
        race(candidates, folds, lambda candidates, fold: [], Halving())


def test_the_mean_weighs_tokens_and_failures_are_infinite():
    trials = [make_trial(0, 0, [(4.0, 4), (6.0, 2)]), make_trial(0, 1, [(2.0, 2)])]
    assert mean_loss(trials) == 12 / 8
    assert mean_loss([*trials, make_trial(0, 2, [], failure="no")]) == math.inf
    assert mean_loss([]) == math.inf
    assert mean_loss([make_trial(0, 0, [(math.nan, 2)])]) == math.inf


def test_differences_are_paired_by_row_on_common_folds():
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 6))
    a = make_trial(0, 0, [(x * 3, 3) for x in one])
    b = make_trial(1, 0, [(x * 3, 3) for x in two])
    mean, error, n = compare([a, make_trial(0, 1, [(9.0, 1)])], [b])
    assert n == 6
    assert mean == pytest.approx((one - two).mean())
    assert error == pytest.approx((one - two).std(ddof=1) / np.sqrt(6))
    assert compare([a], [make_trial(1, 1, [(1.0, 1)])])[1:] == (None, 0)
    assert compare([make_trial(0, 0, [(2.0, 1)])], [make_trial(1, 0, [(1.0, 1)])]) == (1, None, 1)


def test_a_difference_has_the_sign_of_the_ranking_whatever_the_rows_lengths():
    # A little better on 36 short answers, much worse on four long ones.
    a = make_trial(0, 0, [(0.97 * 2, 2)] * 36 + [(0.8 * 100, 100)] * 4)
    b = make_trial(1, 0, [(1.0 * 2, 2)] * 36 + [(0.6 * 100, 100)] * 4)
    difference, _, _ = compare([a], [b])
    assert difference == pytest.approx(mean_loss([a]) - mean_loss([b]))
    assert difference > 0.1


def test_the_error_of_a_difference_is_that_of_rows_drawn_anew():
    rng = np.random.default_rng(4)
    tokens = np.maximum(1, rng.lognormal(2, 0.7, 60).astype(int))
    nats = rng.gamma(2, 0.5, 60)
    arms = [nats + rng.normal(0, 0.3, 60) for _ in range(2)]
    trials = [make_trial(i, 0, list(zip(arm * tokens, tokens, strict=True)))
              for i, arm in enumerate(arms)]  # fmt: skip
    _, error, _ = compare(*([trial] for trial in trials))
    drawn = rng.integers(0, 60, (4000, 60))
    weights = tokens[drawn]
    differences = ((arms[0] - arms[1])[drawn] * weights).sum(axis=1) / weights.sum(axis=1)
    assert error == pytest.approx(differences.std(), rel=0.1)


def test_a_candidate_that_hardly_learns_its_own_rows_has_collapsed():
    learns = make_trial(0, 0, [], ratio=5, first=3.0, last=0.5)
    slower = make_trial(1, 0, [], ratio=10, first=3.0, last=1.5)
    stuck = make_trial(2, 0, [], ratio=40, first=3.0, last=2.5)
    few_and_stuck = make_trial(3, 0, [], ratio=0, first=3.0, last=2.9)
    broken = make_trial(4, 0, [], ratio=20, failure="no")
    unknown = make_trial(5, 0, [], ratio=20, first=None, last=None)
    trials = [[t] for t in (learns, slower, stuck, few_and_stuck, broken, unknown)]
    assert find_collapsed(trials) == {2}
    assert find_collapsed([[broken], [unknown]]) == set()


def test_a_collapse_is_judged_by_all_folds_two_candidates_were_trained_on():
    learns = [make_trial(0, fold, [], ratio=5, first=3.0, last=1.0) for fold in range(3)]
    lucky = [
        make_trial(1, f, [], ratio=40, first=3.0, last=last) for f, last in enumerate((1, 3, 3))
    ]
    unlucky = [
        make_trial(2, f, [], ratio=20, first=3, last=last) for f, last in enumerate((3, 1, 1))
    ]
    early = [make_trial(3, 0, [], ratio=10, first=3.0, last=2.5)]
    assert find_collapsed([learns, lucky, unlucky, early]) == {1, 3}
    none = [make_trial(0, 0, [], ratio=0, first=1.0, last=1.5)]
    assert find_collapsed([none, [make_trial(1, 0, [], ratio=9, first=1.0, last=3.0)]]) == set()


def test_few_exposures_or_a_low_rate_are_not_blamed_on_general_rows():
    def trials(rows, exposures, fall, rate=1e-3):
        others = {"task.exposures": exposures, "training.learning_rate": rate}
        return [make_trial(rows, 0, [], ratio=rows / 10, first=3.0, last=3.0 - fall, **others)]

    few = [trials(0, 4, 1.2), trials(100, 4, 1.2)]
    assert find_collapsed([trials(0, 16, 2.8), trials(100, 16, 2.7), *few]) == set()
    slow = [trials(0, 16, 0.9, rate=1e-5), trials(100, 16, 0.8, rate=1e-5)]
    assert find_collapsed([trials(0, 16, 2.8), *slow]) == set()
    drowned = [trials(0, 16, 2.8), trials(100, 16, 2.7), trials(0, 4, 1.2), trials(100, 4, 0.3)]
    assert find_collapsed(drowned) == {3}


def test_candidates_that_differ_in_nothing_but_other_settings_have_not_collapsed():
    rates = [make_trial(9, 0, [], ratio=r, last=x, rate=r) for r, x in ((1, 0.5), (2, 2.9))]
    assert find_collapsed([[trial] for trial in rates]) == set()
