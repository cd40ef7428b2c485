import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from levertune.mixtures.dropout import is_anchored
from levertune.mixtures.forms import FormPlan


def test_forms_follow_one_another_at_their_shares_of_the_order():
    plan = FormPlan(20, starts=(0.0, 0.5, 0.85))
    assert [plan.form_at(position, 0, 0) for position in range(20)] == [0] * 10 + [1] * 7 + [2] * 3


def test_one_form_holds_from_beginning_to_end():
    assert {FormPlan(7).form_at(position, 1, 2) for position in range(7)} == {0}


def test_dropout_goes_before_the_form_of_the_place():
    plan = FormPlan(100, starts=(0.0, 0.5), dropout=0.3, bare=2, seed=5)
    for position in range(100):
        form = plan.form_at(position, 4, position)
        expected = position // 50 if is_anchored(5, 4, position, 0.3) else 2
        assert form == expected


@given(
    st.integers(1, 300),
    st.lists(st.floats(0, 1), max_size=3).map(sorted),
    st.sampled_from([0.0, 0.25]),
)
def test_many_at_once_are_as_one_by_one(num_positions, later, dropout):
    plan = FormPlan(num_positions, (0.0, *later), dropout=dropout, bare=len(later) + 1, seed=1)
    positions = np.arange(num_positions)
    rows, exposures = positions % 7, positions // 7
    singly = [plan.form_at(*place) for place in zip(positions, rows, exposures, strict=True)]
    assert plan.forms_at(positions, rows, exposures).tolist() == singly


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_a_form_begins_at_the_very_position_its_share_was_made_from(place):
    num_positions, position = place
    plan = FormPlan(num_positions, (0.0, position / num_positions))
    assert plan.form_at(position, 0, 0) == 1
    assert position == 0 or plan.form_at(position - 1, 0, 0) == 0
