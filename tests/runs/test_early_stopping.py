import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.runs.early_stopping import CHECKS, PATIENCE, EarlyStopper, Validation


def walk(stopper, first, last):
    """Take steps until told to stop; the last step taken."""
    for step in range(first, last + 1):
        if stopper(step, None):
            return step
    return last


def losses(values, calls=None):
    """Gives the values in turn; the model is not looked at."""
    left = iter(values)

    def validate(model):
        value = next(left)
        if calls is not None:
            calls.append(value)
        if isinstance(value, Validation):
            return value
        return Validation(value if isinstance(value, tuple) else (value,), 1.0)

    return validate


def test_the_mean_over_rows_is_the_error():
    assert Validation((0.5, 0.0, 0.1), 1.0).token_error == pytest.approx(0.2)


def test_worse_is_by_more_than_a_standard_error_of_the_differences():
    best = Validation((0.0, 0.0, 0.2, 0.2), 1.0)
    # All rows are worse by the same: no spread, however little it is.
    assert Validation((0.01, 0.01, 0.21, 0.21), 1.0).is_worse_than(best)
    # One row of four is: the mean is its standard error.
    assert not Validation((0.4, 0.0, 0.2, 0.2), 1.0).is_worse_than(best)
    assert Validation((0.4, 0.4, 0.2, 0.2), 1.0).is_worse_than(best)
    assert not best.is_worse_than(best)
    assert not Validation((0.0, 0.0, 0.2, 0.1), 9.0).is_worse_than(best)


def test_a_step_later_than_the_best_counts_while_it_is_not_worse_by_more_than_chance(tmp_path):
    best, by_chance, worse = (0.0, 0.1, 0.2), (0.3, 0.1, 0.2), (0.3, 0.4, 0.6)
    looks = [worse, best, by_chance, worse, by_chance, *[worse] * PATIENCE, best]
    stopper = EarlyStopper(losses(looks), 12, tmp_path / "v.jsonl")
    assert walk(stopper, 1, 12) == 5 + PATIENCE
    assert stopper.best_step == 5
    assert [set(look) for look in stopper.curve] == [{"step", "token_error", "nll"}] * 9


def test_the_nll_decides_between_equal_errors_only(tmp_path):
    one, other = (0.2, 0.0), (0.0, 0.2)
    looks = [
        Validation((0.5, 0.5), 1.0), Validation(one, 3.0), Validation(other, 2.0),
        Validation((0.1, 0.3), 0.1), Validation((0.3, 0.1), 0.1),
    ]  # fmt: skip
    # Against `other` the last is worse in both rows, against `one` in the second alone.
    stopper = EarlyStopper(losses(looks[:4]), 4, tmp_path / "v.jsonl")
    walk(stopper, 1, 4)
    assert stopper.best_step == 3
    stopper = EarlyStopper(
        losses([looks[0], looks[2], looks[1], looks[4]]), 4, tmp_path / "w.jsonl"
    )
    walk(stopper, 1, 4)
    assert stopper.best_step == 4


def test_it_stops_when_patience_is_out_and_names_the_best_step(tmp_path):
    stopper = EarlyStopper(losses([3, 2, 2.5, 2.4, 2.3, 2.2, 1]), 12, tmp_path / "v.jsonl")
    assert walk(stopper, 1, 12) == 2 + PATIENCE
    assert stopper.best_step == 2
    assert stopper.has_decided


def test_it_runs_through_while_the_loss_falls(tmp_path):
    stopper = EarlyStopper(losses(range(12, 0, -1)), 12, tmp_path / "v.jsonl")
    assert walk(stopper, 1, 12) == 12
    assert stopper.best_step == 12
    assert stopper.has_decided


def test_of_equal_losses_the_last_counts(tmp_path):
    stopper = EarlyStopper(losses([2, 1, 1, 1, 1, 1, 3, 3, 3, 3]), 12, tmp_path / "v.jsonl")
    assert walk(stopper, 1, 12) == 10
    assert stopper.best_step == 6


@pytest.mark.parametrize(("num_steps", "steps"), [(5, [1, 2, 3, 4, 5]), (100, None), (13, None)])
def test_it_looks_about_a_dozen_times_and_always_at_the_last_step(tmp_path, num_steps, steps):
    stopper = EarlyStopper(losses(range(200, 0, -1)), num_steps, tmp_path / "v.jsonl")
    walk(stopper, 1, num_steps)
    seen = [entry["step"] for entry in stopper.seen]
    assert steps is None or seen == steps
    assert len(seen) <= CHECKS
    assert seen[-1] == num_steps


def test_nothing_is_decided_before_the_first_look(tmp_path):
    assert not EarlyStopper(losses([]), 12, tmp_path / "v.jsonl").has_decided


@settings(max_examples=40)
@given(
    values=st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=12, max_size=12),
    killed_at=st.integers(1, 12),
    checkpoint=st.integers(0, 12),
)
def test_a_resumed_trial_decides_as_an_unbroken_one(
    tmp_path_factory, values, killed_at, checkpoint
):
    folder = tmp_path_factory.mktemp("trial")
    unbroken = EarlyStopper(losses(values), 12, folder / "whole.jsonl")
    last = walk(unbroken, 1, 12)
    broken = EarlyStopper(losses(values), 12, folder / "broken.jsonl")
    reached = walk(broken, 1, min(killed_at, last))
    resumed = EarlyStopper(losses(values[min(checkpoint, reached) :]), 12, folder / "broken.jsonl")
    if not resumed.has_decided:
        last = walk(resumed, min(checkpoint, reached) + 1, 12)
    assert resumed.seen == unbroken.seen
    assert resumed.best_step == unbroken.best_step


def test_a_trial_that_was_killed_after_its_end_trains_no_more(tmp_path):
    walk(EarlyStopper(losses([1, 2, 3, 4, 5]), 12, tmp_path / "v.jsonl"), 1, 12)
    assert EarlyStopper(losses([]), 12, tmp_path / "v.jsonl").has_decided
