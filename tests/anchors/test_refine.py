"""The rule that decides on an anchor, against planted good ones and bad ones, and noise."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levertune.anchors.refine import (
    PairedGain,
    choose_switch,
    find_contenders,
    list_check_steps,
    paired_gain,
)
from levertune.results.anchor_checks import AnchorCheck, Challenger

ROWS, CHALLENGERS, CHECKS = 10, 4, 8
BEYOND = 0.1717
"""Upper tail of Student's t with 9 degrees of freedom beyond 1."""


def check(anchor, gains, switched_to=None, step=1):
    challengers = tuple(
        Challenger(name, "pool", name, 3, gain.mean, gain.standard_error, gain.is_beyond)
        for name, gain in gains.items()
    )
    return AnchorCheck(step, step, anchor, ROWS, 1.0, challengers, switched_to)


def challenge(losses, current, names, num_checks=CHECKS):
    """The anchors in use after each check; `losses(name)` gives those of the rows, now."""
    checks, used = [], []
    for _ in range(num_checks):
        here = losses(current)
        gains = {n: paired_gain(here, losses(n)) for n in names if n != current}
        to = choose_switch(checks, current, gains)
        checks.append(check(current, gains, to))
        current = to or current
        used.append(current)
    return used


def noisy(means, seed, spread=1.0):
    """Losses that are drawn afresh each time around an anchor's own mean."""
    draw = random.Random(seed)
    return lambda name: [means.get(name, 3.0) + draw.gauss(0, spread) for _ in range(ROWS)]


NAMES = ["start", *(f"other {n}" for n in range(CHALLENGERS))]


def test_a_gain_is_paired_by_row_and_has_its_standard_error():
    gain = paired_gain([3.0, 5.0, 4.0, 8.0], [2.0, 3.0, 4.0, 7.0])
    assert gain.mean == 1.0
    assert gain.standard_error == pytest.approx((2 / 3 / 4) ** 0.5)
    assert gain.is_beyond
    assert not paired_gain([1.0, 1.0], [1.0, 1.0]).is_beyond
    assert paired_gain([2.0, 2.0], [1.0, 1.0]).is_beyond


def test_one_row_has_no_standard_error():
    with pytest.raises(ValueError, match="at least two rows, got 1"):
        paired_gain([1.0], [0.5])


def test_rows_are_compared_one_by_one():
    with pytest.raises(ValueError, match="shorter"):
        paired_gain([1.0, 2.0], [0.5])


WIN, BIG_WIN, LOSS = PairedGain(1.0, 0.5), PairedGain(2.0, 0.5), PairedGain(0.4, 0.5)


def test_a_switch_needs_the_same_challenger_to_win_twice_running():
    assert choose_switch([], "a", {"b": WIN}) is None
    once = check("a", {"b": WIN, "c": LOSS})
    assert choose_switch([once], "a", {"b": WIN, "c": BIG_WIN}) == "b"
    assert choose_switch([once], "a", {"b": LOSS, "c": BIG_WIN}) is None
    lost = check("a", {"b": LOSS, "c": WIN})
    assert choose_switch([once, lost], "a", {"b": BIG_WIN, "c": LOSS}) is None


def test_of_several_the_larger_gain_takes_the_place():
    once = check("a", {"b": WIN, "c": WIN})
    assert choose_switch([once], "a", {"b": WIN, "c": BIG_WIN}) == "c"


def test_a_win_over_an_anchor_that_has_gone_does_not_count():
    switched = check("a", {"b": WIN, "c": WIN}, switched_to="b")
    assert choose_switch([switched], "b", {"c": BIG_WIN}) is None
    assert find_contenders([switched], "b") == ()


def test_the_contenders_are_those_who_won_at_the_last_check_the_best_first():
    last = check("a", {"b": WIN, "c": LOSS, "d": BIG_WIN})
    assert [c.id for c in find_contenders([last], "a")] == ["d", "b"]
    assert find_contenders([last], "other") == ()
    assert find_contenders([], "a") == ()


def test_a_planted_bad_start_is_left_within_four_checks():
    for seed in range(200):
        used = challenge(noisy({"other 2": 1.0}, seed), "start", NAMES)
        assert used[3] == "other 2", seed
        assert used[-1] == "other 2", seed


def test_a_planted_good_start_is_never_left():
    for seed in range(200):
        assert set(challenge(noisy({"start": 1.0}, seed), "start", NAMES)) == {"start"}


def test_among_equals_no_more_checks_switch_than_the_stated_share():
    num_runs = 300
    switches = 0
    for seed in range(num_runs):
        used = ["start", *challenge(noisy({}, seed), "start", NAMES)]
        switches += sum(a != b for a, b in zip(used, used[1:], strict=False))
    share = switches / (num_runs * (CHECKS - 1))
    assert share <= CHALLENGERS * BEYOND**2
    assert share > 0  # the rule is no empty one


@given(st.lists(st.lists(st.floats(0, 9), min_size=4, max_size=4), min_size=2, max_size=6))
def test_without_noise_an_anchor_that_was_left_never_comes_back(losses):
    names = [str(n) for n in range(len(losses))]
    used = ["0", *challenge(lambda name: losses[int(name)], "0", names, num_checks=12)]
    changes = [name for name, before in zip(used[1:], used, strict=False) if name != before]
    assert len({"0", *changes}) == len(changes) + 1


def test_checks_come_at_their_share_of_the_training_and_none_in_its_last_part():
    assert list_check_steps(100, 0.1) == (10, 20, 30, 40, 50, 60, 70, 80)
    assert list_check_steps(100, 0.4) == (40, 80)
    assert list_check_steps(7, 0.2) == (2, 3, 5, 6)
    assert list_check_steps(1, 0.1) == ()


@given(st.integers(1, 5000), st.floats(0.001, 0.4))
def test_check_steps_rise_and_leave_steps_behind_them(num_steps, every):
    steps = list_check_steps(num_steps, every)
    assert list(steps) == sorted(set(steps))
    assert all(0 < step < num_steps for step in steps)
    assert all(step - 1 <= 0.85 * num_steps for step in steps)
    if num_steps >= 10:
        assert len(steps) >= 2
