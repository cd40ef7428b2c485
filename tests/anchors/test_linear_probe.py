import numpy as np
import pytest

from levertune.anchors.linear_probe import fit_probe, ledoit_wolf, probe_auc


def normal(seed, rows, width=12, shift=0.0):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    vectors[:, 0] += shift
    return vectors


def test_rows_of_one_distribution_are_not_told_apart():
    values = [probe_auc(normal(i, 40), normal(99 + i, 80), seed=i).value for i in range(12)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)


def test_rows_far_apart_are_told_apart_always():
    found = probe_auc(normal(0, 30, shift=12), normal(1, 50), seed=0)
    assert found.value == 1.0
    assert (found.num_task, found.num_general, found.folds, found.repeats) == (30, 50, 5, 5)


def test_the_auc_of_a_shift_is_that_of_the_best_line():
    from scipy.stats import norm

    found = probe_auc(normal(0, 400, width=4, shift=1.0), normal(1, 400, width=4), seed=0)
    assert found.value == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.04)


def test_the_auc_does_not_change_with_a_rotation():
    from scipy.stats import ortho_group

    task, general = normal(0, 20, shift=1.0), normal(1, 30)
    turn = ortho_group.rvs(12, random_state=0)
    whole = probe_auc(task, general, seed=3)
    assert probe_auc(task @ turn, general @ turn, seed=3).value == pytest.approx(whole.value)
    # Nor with more dimensions than rows, or a scale.
    wide = np.zeros((12, 200))
    wide[:, :12] = turn
    assert probe_auc(5 * task @ wide, 5 * general @ wide, seed=3).value == pytest.approx(
        whole.value
    )


def test_the_same_seed_gives_the_same_folds():
    task, general = normal(0, 20, shift=0.5), normal(1, 30)
    assert probe_auc(task, general, seed=1) == probe_auc(task, general, seed=1)
    assert probe_auc(task, general, seed=1) != probe_auc(task, general, seed=2)


def test_four_rows_are_enough_and_three_are_not():
    found = probe_auc(normal(0, 4, shift=30), normal(1, 9), seed=0)
    assert (found.value, found.folds) == (1.0, 4)
    assert probe_auc(normal(0, 3), normal(1, 9), seed=0) is None
    assert probe_auc(normal(0, 9), normal(1, 3), seed=0) is None


def test_points_are_told_apart_only_where_they_differ():
    same = np.ones((6, 5))
    assert probe_auc(same, same, seed=0).value == 0.5
    assert probe_auc(same + 1, same, seed=0).value == 1.0


def test_noise_with_more_dimensions_than_rows_does_not_look_separable():
    values = [
        probe_auc(normal(i, 12, width=300), normal(50 + i, 24, width=300), seed=0).value
        for i in range(12)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)


def test_the_direction_is_that_of_a_shrunk_discriminant():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    task, general = normal(0, 40, width=6, shift=0.7), normal(1, 40, width=6)
    _, direction = fit_probe(task, general)
    within = np.concatenate((task - task.mean(axis=0), general - general.mean(axis=0)))
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=ledoit_wolf(within))
    reference.fit(np.concatenate((task, general)), [1] * 40 + [0] * 40)
    cosine = direction @ reference.coef_[0]
    cosine /= np.linalg.norm(direction) * np.linalg.norm(reference.coef_[0])
    assert cosine == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("rows", [5, 20, 300])
def test_the_shrinkage_is_ledoits_and_wolfs(rows):
    from sklearn.covariance import ledoit_wolf_shrinkage

    vectors = normal(rows, rows, width=8) * np.arange(1, 9)
    expected = ledoit_wolf_shrinkage(vectors, assume_centered=True)
    assert ledoit_wolf(vectors) == pytest.approx(expected)
    assert ledoit_wolf(np.ones((1, 1))) == 1.0
