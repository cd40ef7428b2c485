"""What the verdict says, and what it refuses to say."""

from dataclasses import replace

import pytest

from levertune.scoring.intervals import Interval
from levertune.scoring.metrics import METRICS
from levertune.scoring.verdict import judge

MACRO_F1 = METRICS["macro_f1"]
SCORE = Interval(0.711, 0.62, 0.79, 128, "bootstrap")


def gap(value, low, high, n=128):
    return Interval(value, low, high, n, "bootstrap")


BOTH = {
    "base": gap(0.6, 0.5, 0.7),
    "sft": gap(0.201, 0.1, 0.3),
    "sft-steps": gap(0.142, 0.04, 0.241),
}


def verdict(differences, *, score=SCORE, metric=MACRO_F1, num_seeds=1, retention=None):
    return judge(differences, score=score, metric=metric, num_seeds=num_seeds, retention=retention)


def test_a_clear_gain_over_the_best_sft_arm_paid():
    found = verdict(BOTH)
    assert found.sentence == (
        "TELL scored 71.1 macro F1, 14.2 points above the best SFT arm (sft-steps), "
        "95% interval [4.0, 24.1], 128 test rows, 1 seed. It paid."
    )
    assert found.paid is True
    assert found.against == "sft-steps"


def test_both_comparisons_and_the_selection_are_named():
    found = verdict(BOTH)
    assert "20.1 points above sft, 95% interval [10.0, 30.0]" in found.comparisons
    assert "14.2 points above sft-steps, 95% interval [4.0, 24.1]" in found.comparisons
    assert "choosing after the fact" in found.comparisons


def test_the_best_rival_is_the_one_the_arm_is_least_ahead_of():
    found = verdict({**BOTH, "sft": gap(-0.05, -0.1, -0.01)})
    assert found.against == "sft"
    assert found.paid is False
    assert "5.0 points below the best SFT arm (sft)" in found.sentence
    assert found.sentence.endswith("It did not pay.")


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.2), (0.0, 0.2), (-0.2, 0.0)])
def test_an_interval_that_holds_zero_decides_nothing(low, high):
    found = verdict({**BOTH, "sft-steps": gap(0.02, low, high)})
    assert found.paid is None
    assert found.sentence.endswith("Undecided: the interval holds zero.")


def test_a_difference_without_interval_decides_nothing():
    lone = Interval(1.0, None, None, 1, "none: fewer than 2 rows")
    found = verdict({"sft": lone, "sft-steps": lone})
    assert found.paid is None
    assert "there is no interval (none: fewer than 2 rows)" in found.sentence


def test_one_seed_leaves_the_luck_of_training_open():
    found = verdict(BOTH)
    assert "luck of training" in found.does_not_cover
    assert "luck of training" not in found.covers


def test_three_seeds_describe_and_eight_cover():
    few, enough = verdict(BOTH, num_seeds=3), verdict(BOTH, num_seeds=8)
    assert "3 seeds" in few.sentence
    assert "beyond these 3 seeds" in few.does_not_cover
    assert "luck of training" in enough.covers
    assert "luck" not in enough.does_not_cover


def test_without_sft_the_steps_arm_alone_is_the_rival():
    found = verdict({"sft-steps": BOTH["sft-steps"]})
    assert found.paid is True
    assert "the only SFT arm (sft-steps)" in found.sentence
    assert "the arm sft, which has no score" in found.does_not_cover
    assert found.comparisons == ""


def test_without_the_steps_arm_a_gain_is_not_called_paid():
    found = verdict({"sft": BOTH["sft"]})
    assert found.paid is None
    assert "sft-steps is missing, and longer training alone may do as much" in found.sentence


def test_without_the_steps_arm_a_loss_still_did_not_pay():
    assert verdict({"sft": gap(-0.2, -0.3, -0.1)}).paid is False


def test_without_any_sft_arm_nothing_can_be_judged():
    found = verdict({"base": BOTH["base"]})
    assert found.paid is None
    assert found.against == ""
    assert found.sentence == (
        "TELL scored 71.1 macro F1, 95% interval [62.0, 79.0], 128 test rows, 1 seed. "
        "Whether it paid cannot be judged: there is no score of sft or sft-steps to hold it "
        "against."
    )


def test_a_rival_whose_difference_is_undefined_counts_as_missing():
    undefined = Interval(None, None, None, 128, "none: the metric is undefined on these rows")
    found = verdict({**BOTH, "sft": undefined})
    assert "the arm sft, which has no score" in found.does_not_cover


def test_an_arm_without_a_score_is_not_judged():
    undefined = Interval(None, None, None, 128, "none: the metric is undefined on these rows")
    found = verdict(BOTH, score=undefined)
    assert found.paid is None
    assert found.sentence.startswith("TELL has no macro F1 (none: the metric is undefined")


def test_lower_may_be_better():
    metric = replace(MACRO_F1, higher_is_better=False)
    assert verdict({**BOTH, "sft-steps": gap(-0.1, -0.2, -0.05)}, metric=metric).against == "sft"
    lower = {"sft": gap(-0.3, -0.4, -0.2), "sft-steps": gap(-0.1, -0.2, -0.05)}
    found = verdict(lower, metric=metric)
    assert found.against == "sft-steps"
    assert found.paid is True


def test_a_users_own_scale_is_shown_as_it_is():
    metric = replace(MACRO_F1, title="score", minimum=None, maximum=None)
    assert verdict(BOTH, metric=metric).sentence.startswith(
        "TELL scored 0.711 score, 0.142 above the best SFT arm (sft-steps), 95% interval "
        "[0.040, 0.241]"
    )


def test_retention_is_the_second_axis():
    found = verdict(
        BOTH,
        retention={
            "base": gap(0.12, 0.08, 0.16, 300),
            "sft": gap(-9.0, -9.1, -8.9, 300),
            "sft-steps": gap(-1.3, -1.4, -1.2, 300),
        },
    )
    assert found.retention == (
        "Retention: on general text that was never mixed in, the loss of TELL is 0.12 nats per "
        "token above the base model's (95% interval [0.08, 0.16]: worse) and 1.30 nats per token "
        "below that of sft-steps (95% interval [-1.40, -1.20]: better)."
    )
    assert found.retention in found.text


def test_retention_without_a_clear_change_or_interval_says_so():
    found = verdict(
        BOTH, retention={"base": gap(0.01, -0.1, 0.1), "sft-steps": gap(0.2, None, None)}
    )
    assert "no clear change" in found.retention
    assert "(no interval)" in found.retention


def test_retention_that_was_not_measured_says_so():
    assert "was not measured" in verdict(BOTH).retention
