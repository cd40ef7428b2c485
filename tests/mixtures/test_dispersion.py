import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.mixtures import dispersion
from levertune.mixtures.dispersion import describe_dispersion
from levertune.mixtures.order import build_mixture
from levertune.mixtures.plan import MixturePlan
from levertune.results.dispersion import Spread

# Positions 0 to 9: t t t t a a a a a a
SEQUENTIAL = MixturePlan(2, 2, (("a", 6),), "task-then-general")


def test_numbers_of_a_mixture_small_enough_to_count():
    tokens = {"task": [1, 3], "a": np.full(6, 2)}
    found = describe_dispersion(build_mixture(SEQUENTIAL), step_rows=4, loss_tokens=tokens)
    assert (found.positions, found.task_positions, found.longest_task_run) == (10, 4, 4)
    assert (found.steps, found.steps_without_task) == (3, 2)
    assert found.task_rows_per_step == Spread(4 / 3, 0, 4)
    assert (found.task_loss_tokens, found.general_loss_tokens) == (8, 12)
    assert found.task_loss_share == 0.4
    assert found.task_loss_share_per_step == Spread(1 / 3, 0, 1)
    assert (found.gaps.min, found.gaps.median, found.gaps.max) == (1, 1, 1)
    assert sum(found.histogram) == 4
    assert sum(found.histogram_rows) == 10


def test_shares_of_the_loss_count_its_weight_and_tokens_do_not():
    tokens = {"task": [1, 3], "a": np.full(6, 2)}
    found = describe_dispersion(
        build_mixture(SEQUENTIAL), step_rows=4, loss_tokens=tokens, general_weight=0.25
    )
    assert (found.task_loss_tokens, found.general_loss_tokens) == (8, 12)
    assert found.task_loss_share == pytest.approx(8 / (8 + 12 / 4))
    assert found.task_loss_share_per_step == Spread(1 / 3, 0, 1)
    mixed = build_mixture(MixturePlan(2, 2, (("a", 6),), "even"))
    one = describe_dispersion(mixed, step_rows=10, loss_tokens=tokens, general_weight=4)
    assert one.task_loss_share_per_step.mean == one.task_loss_share == 8 / 56


def test_even_gaps_against_the_geometric_ones():
    plan = MixturePlan(10, 1, (("a", 90),), "even")
    gaps = describe_dispersion(build_mixture(plan), step_rows=8).gaps
    assert (gaps.min, gaps.median, gaps.mean, gaps.max) == (10, 10, 10, 10)
    assert (gaps.expected_mean, gaps.expected_median) == (10, 7)
    assert gaps.expected_max == pytest.approx(27.3, abs=0.1)


def test_shuffled_gaps_come_near_the_expected_ones():
    found = [
        describe_dispersion(
            build_mixture(MixturePlan(40, 5, (("a", 3800),), seed=seed)), step_rows=8
        ).gaps
        for seed in range(20)
    ]
    assert np.mean([gaps.mean for gaps in found]) == pytest.approx(20, rel=0.05)
    assert np.mean([gaps.median for gaps in found]) == pytest.approx(
        found[0].expected_median, rel=0.1
    )
    assert np.mean([gaps.max for gaps in found]) == pytest.approx(found[0].expected_max, rel=0.15)


def test_task_rows_alone_are_one_run_without_gaps_between():
    found = describe_dispersion(build_mixture(MixturePlan(6, 2)), step_rows=5)
    assert (found.longest_task_run, found.gaps.max, found.gaps.expected_max) == (12, 1, 1)
    assert found.task_loss_share is None


@pytest.mark.parametrize(
    ("plan", "run"), [(MixturePlan(0, 1, (("a", 5),)), 0), (MixturePlan(1, 1, (("a", 5),)), 1)]
)
def test_gaps_of_fewer_than_two_task_positions_are_none(plan, run):
    found = describe_dispersion(build_mixture(plan), step_rows=2)
    assert found.gaps is None
    assert found.longest_task_run == run


def test_share_of_no_tokens_is_none():
    found = describe_dispersion(
        build_mixture(SEQUENTIAL), step_rows=4, loss_tokens={"task": [0, 0], "a": [0] * 6}
    )
    assert (found.task_loss_tokens, found.task_loss_share) == (0, None)
    assert found.task_loss_share_per_step is None


@settings(max_examples=50)
@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 60), st.integers(1, 9), st.data())
def test_measuring_in_chunks_changes_nothing(rows, exposures, general, step_rows, data):
    mixture = build_mixture(MixturePlan(rows, exposures, (("a", general),)))
    tokens = {"task": range(rows), "a": range(general)}
    whole = describe_dispersion(mixture, step_rows=step_rows, loss_tokens=tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispersion, "_CHUNK_ROWS", data.draw(st.integers(1, 20)))
        assert describe_dispersion(mixture, step_rows=step_rows, loss_tokens=tokens) == whole
    assert sum(whole.histogram_rows) == len(mixture)
    assert all(
        task <= rows for task, rows in zip(whole.histogram, whole.histogram_rows, strict=True)
    )


def test_step_of_no_rows_is_an_error():
    with pytest.raises(ValueError, match="step_rows must be at least 1; found 0"):
        describe_dispersion(build_mixture(SEQUENTIAL), step_rows=0)
