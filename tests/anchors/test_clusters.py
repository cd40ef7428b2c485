import numpy as np
import pytest

from levertune.anchors.clusters import cluster_silhouettes, find_clusters, k_means
from levertune.anchors.separability import pairwise


def blobs(sizes, width=8, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    rows = [np.eye(width)[i] + noise * rng.normal(size=(n, width)) for i, n in enumerate(sizes)]
    return np.concatenate(rows), np.repeat(np.arange(len(sizes)), sizes)


def test_blobs_are_found_the_largest_first():
    rows, truth = blobs([4, 9, 6])
    labels = k_means(rows, 3, seed=0)
    expected = np.array([2, 0, 1])[truth]
    assert labels.tolist() == expected.tolist()


def test_the_grouping_is_as_close_as_sklearns():
    from sklearn.cluster import KMeans

    rows = np.random.default_rng(0).normal(size=(60, 4))
    labels = k_means(rows, 4, seed=0, starts=30)
    cost = sum(((rows[labels == i] - rows[labels == i].mean(axis=0)) ** 2).sum() for i in range(4))
    reference = KMeans(4, n_init=30, random_state=0).fit(rows).inertia_
    assert cost == pytest.approx(reference, rel=0.02)


def test_the_grouping_depends_on_the_seed_alone():
    rows = np.random.default_rng(0).normal(size=(40, 4))
    assert k_means(rows, 5, seed=1).tolist() == k_means(rows, 5, seed=1).tolist()


def test_fewer_different_vectors_make_fewer_clusters():
    rows = np.repeat(np.eye(2), 4, axis=0)
    assert k_means(rows, 3, seed=0).tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize("sizes", [[10, 8], [8, 7, 6]])
def test_the_number_of_clusters_is_found(sizes):
    rows, truth = blobs(sizes)
    assert find_clusters(rows, seed=0).tolist() == truth.tolist()


def test_noise_small_sets_and_outliers_are_one_cluster():
    noise = np.random.default_rng(0).normal(size=(60, 30))
    assert set(find_clusters(noise, seed=0)) == {0}
    assert set(find_clusters(blobs([3, 3])[0], seed=0)) == {0}
    assert set(find_clusters(blobs([30, 1])[0], seed=0)) == {0}
    assert find_clusters(np.ones((1, 3)), seed=0).tolist() == [0]


def test_silhouettes_are_sklearns():
    from sklearn.metrics import silhouette_samples

    rows, labels = blobs([5, 6, 7], noise=0.5)
    np.testing.assert_allclose(
        cluster_silhouettes(pairwise(rows, rows), labels), silhouette_samples(rows, labels)
    )


@pytest.mark.parametrize("number", [0, 4])
def test_more_clusters_than_rows_or_none_are_refused(number):
    with pytest.raises(ValueError, match=rf"cannot make {number} clusters of 3 rows"):
        k_means(np.ones((3, 2)), number, seed=0)
