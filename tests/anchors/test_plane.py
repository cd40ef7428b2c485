import numpy as np
import pytest

from levertune.anchors.plane import fit_plane


def normal(seed, rows, width=5):
    return np.random.default_rng(seed).normal(size=(rows, width)) * np.arange(1, width + 1)


def test_with_equal_sets_it_is_a_principal_component_analysis():
    from sklearn.decomposition import PCA

    task, general = normal(0, 20), normal(1, 20)
    reference = PCA(2).fit(np.concatenate((task, general)))
    plane = fit_plane(task, general)
    expected = reference.transform(general)
    np.testing.assert_allclose(np.abs(plane.project(general)), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(plane.shares, reference.explained_variance_ratio_, atol=1e-9)


def test_the_plane_of_before_is_kept_for_after():
    task, general = normal(0, 8), normal(1, 30)
    plane = fit_plane(task, general)
    moved = plane.project(task + 3 * plane.axes[0])
    np.testing.assert_allclose(moved - plane.project(task), np.tile([3.0, 0.0], (8, 1)), atol=1e-9)


def test_few_task_rows_count_as_much_as_many_general_ones():
    task, general = normal(0, 8), normal(1, 30)
    repeated = fit_plane(task, np.tile(general, (5, 1)))
    np.testing.assert_allclose(repeated.axes, fit_plane(task, general).axes, atol=1e-9)


def test_axes_point_where_their_largest_entry_is_positive():
    plane = fit_plane(-normal(0, 8), -normal(1, 30))
    assert [axis[np.argmax(np.abs(axis))] > 0 for axis in plane.axes] == [True, True]


def test_vectors_on_a_line_have_one_axis_and_equal_ones_none():
    line = np.outer(np.arange(4.0), [3.0, 4.0])
    plane = fit_plane(line, line)
    assert plane.shares == (1.0, 0.0)
    np.testing.assert_allclose(plane.project(line)[:, 1], 0)
    one = fit_plane(line[:1], line[:1])
    assert one.shares == (0.0, 0.0)
    assert one.project(line[:1]).tolist() == [[0.0, 0.0]]


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="got 0 and 3"):
        fit_plane(normal(0, 0), normal(0, 3))
