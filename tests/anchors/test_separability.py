import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors.separability import measure_separability, silhouettes


def unit(seed, rows, width=6, shift=0.0):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    vectors[:, 0] += shift
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure(task, general):
    return measure_separability(task, general, seed=0)


def test_the_silhouette_is_the_mean_of_the_task_rows_own():
    from sklearn.metrics import silhouette_samples

    task, general = unit(0, 9, shift=2), unit(1, 15)
    values = silhouette_samples(np.concatenate((task, general)), [1] * 9 + [0] * 15)
    assert measure(task, general).silhouette.value == pytest.approx(values[:9].mean())


@settings(max_examples=15)
@given(
    n=st.integers(4, 9), m=st.integers(4, 9), seed=st.integers(0, 99), shift=st.sampled_from((0, 2))
)
def test_on_a_line_the_energy_distance_is_scipys_but_for_pairs_of_a_row_with_itself(
    n, m, seed, shift
):
    from scipy.stats import energy_distance

    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n) + shift, rng.normal(size=m)
    found = measure(x[:, None], y[:, None]).energy.value

    def own(values):
        return np.abs(values[:, None] - values).sum() / (len(values) * (len(values) - 1))

    assert found + own(x) / n + own(y) / m == pytest.approx(energy_distance(x, y) ** 2)


def test_two_points_have_twice_their_distance_as_energy():
    found = measure(np.tile([1.0, 0.0], (5, 1)), np.tile([0.0, 1.0], (6, 1)))
    assert found.energy.value == pytest.approx(2 * np.sqrt(2))
    assert found.silhouette.value == 1.0
    assert found.spread == 0.0
    assert found.auc.value == 1.0


def test_equal_distributions_have_no_energy_distance_on_average():
    values = [measure(unit(i, 12), unit(99 + i, 30)).energy.value for i in range(60)]
    assert np.mean(values) == pytest.approx(0, abs=3 * np.std(values) / np.sqrt(60))
    assert min(values) < 0


def test_the_spread_is_the_mean_distance_to_the_centroid():
    corners = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert measure(corners, unit(0, 5, width=2)).spread == pytest.approx(1.0)


@pytest.mark.parametrize("figure", ["silhouette", "energy"])
def test_a_figure_without_a_row_is_the_figure_of_the_rest(figure):
    task, general = unit(3, 6, shift=1), unit(4, 8)
    found = getattr(measure(task, general), figure)
    for i in range(6):
        rest = getattr(measure(np.delete(task, i, axis=0), general), figure)
        assert found.without_task[i] == pytest.approx(rest.value)
    for i in range(8):
        rest = getattr(measure(task, np.delete(general, i, axis=0)), figure)
        assert found.without_general[i] == pytest.approx(rest.value)


def test_a_rotation_of_all_vectors_changes_nothing():
    from scipy.stats import ortho_group

    task, general = unit(0, 10, shift=1), unit(1, 20)
    turn = ortho_group.rvs(6, random_state=1)
    before, after = measure(task, general), measure(task @ turn, general @ turn)
    assert after.auc.value == pytest.approx(before.auc.value)
    assert after.energy.value == pytest.approx(before.energy.value)
    assert after.silhouette.value == pytest.approx(before.silhouette.value)
    assert after.spread == pytest.approx(before.spread)


def test_half_precision_is_measured_in_double():
    task, general = unit(0, 10, shift=1), unit(1, 20)
    rough = measure(task.astype(np.float16), general.astype(np.float16))
    assert rough.energy.value == pytest.approx(measure(task, general).energy.value, rel=1e-2)


def test_four_rows_have_figures_and_fewer_have_none():
    found = measure(unit(0, 4), unit(1, 4))
    assert None not in (found.auc, found.silhouette, found.energy, found.spread)
    few = measure(unit(0, 3), unit(1, 9))
    assert (few.auc, few.silhouette, few.energy) == (None, None, None)
    assert few.spread is not None
    none = measure(unit(0, 1), unit(1, 0))
    assert (none.spread, none.num_task, none.num_general) == (None, 1, 0)


def test_a_row_that_lies_on_both_sets_has_no_silhouette():
    assert silhouettes(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0])).tolist() == [
        0.0,
        0.5,
        -0.5,
    ]


def test_tables_of_two_widths_and_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"one width, got \(4, 6\) and \(4, 5\)"):
        measure(unit(0, 4), unit(0, 4, width=5))
    with pytest.raises(ValueError, match="must be finite"):
        measure(unit(0, 4) * np.nan, unit(0, 4))
