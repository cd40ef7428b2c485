"""Races whose losers leave by a paired test, and whose winner is the shortest of the best."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.results.tuning import RowLoss, Trial
from levertune.tuning.halving import race
from levertune.tuning.paired_race import PairedRace


def make_trial(index, fold, losses, *, failure=None):
    return Trial(
        settings={"anchor.text": str(index)},
        fold=fold,
        rows=tuple(RowLoss(f"{fold}-{i}", float(loss), 1) for i, loss in enumerate(losses)),
        train_rows=10,
        general_rows=10,
        train_tokens=100,
        task_loss_share=None,
        first_loss=None,
        last_loss=None,
        seconds=None,
        failure=failure,
    )


def run(losses, tokens):
    """`losses[candidate][fold]`: the nats of that trial's rows, or None for a failed training."""
    calls = []

    def run_trials(candidates, fold):
        found = []
        for candidate in candidates:
            index = int(candidate["anchor.text"])
            calls.append((index, fold))
            rows = losses[index][fold]
            found.append(
                make_trial(index, fold, [], failure="the loss is nan")
                if rows is None
                else make_trial(index, fold, rows)
            )
        return found

    candidates = [{"anchor.text": str(i)} for i in range(len(losses))]
    rule = PairedRace(tokens.__getitem__)
    return race(candidates, len(losses[0]), run_trials, rule), calls


NOISE = np.random.default_rng(3).normal(0, 0.1, (4, 3, 20))


def test_what_is_clearly_worse_leaves_after_a_fold_and_the_close_go_on():
    level = [1.0, 1.0, 2.0, 1.0]
    found, calls = run((np.array(level)[:, None, None] + NOISE).tolist(), [9, 9, 1, 9])
    assert {i for i, fold in calls if fold == 1} == {0, 1, 3}
    assert found.winner != 2


def test_of_those_within_one_standard_error_of_the_best_the_shortest_wins():
    same = [[1.0, 2.0, 1.5, 1.2]] * 2
    lucky = [[x - 0.01 + 0.05 * (-1) ** i for i, x in enumerate(fold)] for fold in same]
    assert run([same, lucky], [5, 30])[0].winner == 0
    assert run([same, lucky], [30, 5])[0].winner == 1
    # By more than one standard error the long one has earned its tokens.
    better = [[x - 0.5 + 0.05 * (-1) ** i for i, x in enumerate(fold)] for fold in same]
    assert run([same, better], [5, 30])[0].winner == 1


def test_a_short_one_that_is_much_worse_on_the_long_answers_does_not_win():
    short = [(0.97 * 2, 2)] * 36 + [(0.8 * 100, 100)] * 4
    better = [(1.0 * 2, 2)] * 36 + [(0.6 * 100, 100)] * 4
    trials = [
        [
            replace(
                make_trial(index, 0, []),
                rows=tuple(RowLoss(str(i), nll, tokens) for i, (nll, tokens) in enumerate(rows)),
            )
        ]
        for index, rows in enumerate((short, better))
    ]
    assert PairedRace([5, 30].__getitem__).winner(trials, [0, 1]) == 1


def test_between_as_short_ones_the_better_wins():
    same = [[1.0, 2.0, 1.5, 1.2]]
    lucky = [[x - 0.01 + 0.05 * (-1) ** i for i, x in enumerate(same[0])]]
    assert run([same, lucky], [7, 7])[0].winner == 1


def test_a_race_that_one_is_left_in_ends():
    losses = [[[1.0, 1.1, 1.2, 0.9]] * 3, [[3.0, 3.2, 3.1, 3.0]] * 3]
    found, calls = run(losses, [5, 1])
    assert found.winner == 0
    assert calls == [(0, 0), (1, 0)]


def test_a_failed_training_leaves_and_never_wins():
    losses = [[None, None], [[3.0, 3.1], [3.0, 3.2]], [[3.1, 3.0], [3.2, 3.0]]]
    found, calls = run(losses, [1, 9, 9])
    assert found.winner in (1, 2)
    assert (0, 1) not in calls


def test_one_row_drops_nobody_and_only_the_best_can_win_by_it():
    found, calls = run([[[1.0], [1.0]], [[5.0], [5.0]]], [9, 1])
    assert (1, 1) in calls
    # Two rows with one and the same difference, over folds, are a difference without error.
    assert found.winner == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_price_is_at_most_every_candidate_on_every_fold(seed):
    rng = np.random.default_rng(seed)
    losses = rng.gamma(2, 1, (4, 3, 8)).tolist()
    _, calls = run(losses, [1, 2, 3, 4])
    counts = [sum(1 for _, f in calls if f == fold) for fold in range(3)]
    most = PairedRace(lambda i: i).most_trials(4, 3)
    assert all(found <= told for found, told in zip(counts, most, strict=True))
    assert len(set(calls)) == len(calls)


def test_among_equals_the_first_candidate_is_seldom_dropped():
    rng = np.random.default_rng(1)
    dropped = 0
    for _ in range(400):
        losses = rng.normal(1, 0.3, (5, 3, 16))
        trials = [[make_trial(i, 0, losses[i][0])] for i in range(5)]
        dropped += 0 not in PairedRace(lambda i: i).survivors(trials, range(5))
    # 0.05 over four comparisons, each against the luckiest of them: well below that of one test.
    assert dropped / 400 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("gap", [0.3, 0.6])
def test_a_really_worse_one_is_dropped_more_often_the_worse_it_is(gap):
    rng = np.random.default_rng(2)
    kept = 0
    for _ in range(100):
        row = rng.normal(1, 0.5, 16)
        trials = [
            [make_trial(0, 0, row + rng.normal(0, 0.2, 16))],
            [make_trial(1, 0, row + gap + rng.normal(0, 0.2, 16))],
        ]
        kept += 1 in PairedRace(lambda i: i).survivors(trials, range(2))
    assert kept <= (12 if gap == 0.3 else 0)
