import math
from pathlib import Path

import pytest

from levertune.models.rendering import TokenizedExample
from levertune.training.divergence import WINDOW, LossWatch, diverged

VOCABULARY = 1000  # guessing has a loss of 6.9


def judge(losses, watch=None):
    """The verdict on each loss."""
    watch = watch or LossWatch(VOCABULARY)
    return [watch.judge(loss) for loss in losses]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_told(loss):
    assert judge([2.0, loss]) == [None, (f"the loss is {loss}", 1)]


def test_one_step_far_worse_than_guessing_has_exploded():
    assert judge([2.0, 13.8, 13.9])[:2] == [None, None]
    assert judge([2.0, 13.9])[1] == ("the loss is 13.9, more than 13.82", 1)


def test_a_step_now_and_then_that_is_hard_is_no_explosion():
    assert not any(judge([2.0, *([12.0] + [1.0] * 5) * 20]))


def test_a_loss_that_stays_worse_than_guessing_has_exploded():
    verdicts = judge([2.0, *[7.2] * WINDOW])
    assert not any(verdicts[:-1])
    assert verdicts[-1] == ("the mean loss of 10 steps is 7.2, more than 6.908", WINDOW)


def test_a_model_that_begins_worse_than_guessing_is_given_time():
    """As one with random weights, or on answers nobody could guess."""
    assert not any(judge([9.0, *[17.0] * 50]))
    assert judge([9.0, *[17.0] * 5, 36.1])[-1] == ("the loss is 36.1, more than 36", 1)


def test_it_goes_on_where_it_was_saved():
    losses = [2.0, *[8.0] * WINDOW]
    for at in range(1, len(losses)):
        before = LossWatch(VOCABULARY)
        judge(losses[:at], before)
        after = LossWatch(VOCABULARY, before.first, before.recent)
        assert judge(losses[at:], after) == judge(losses)[at:]


def test_the_error_names_the_worst_rows_first_and_counts_the_others():
    rows = [
        (TokenizedExample(str(i), "task", (1, 2), (1, 2), 1), loss)
        for i, loss in enumerate([1.0, 3.0, math.nan, *[0.5] * 9])
    ]
    error = diverged("the loss is nan", step=4, rows=rows, checkpoint=Path("cell/checkpoint-3"))
    assert str(error) == (
        "step 4: the loss is nan; the training has diverged, with the rows task:2, task:1, task:0, "
        "task:3, task:4, task:5, task:6, task:7 and 4 more (the worst first); cell/checkpoint-3 is "
        "good. Look at these rows; lower training.learning_rate, or set model.dtype=float32, with "
        "another output_dir=..."
    )
