import numpy as np
import pytest

from levertune.mixtures.dropout import is_anchored


def unanchored(seed, rows, exposures, dropout):
    return np.array(
        [
            [not is_anchored(seed, row, exposure, dropout) for exposure in range(exposures)]
            for row in range(rows)
        ]
    )


def test_no_dropout_anchors_every_exposure():
    assert not unanchored(0, 50, 20, 0.0).any()


@pytest.mark.parametrize("dropout", [0.05, 0.1, 0.2, 0.5, 0.9])
def test_share_of_unanchored_exposures_is_the_dropout(dropout):
    found = unanchored(3, 400, 24, dropout)
    assert found.mean() == pytest.approx(dropout, abs=0.01)
    assert abs(found.sum(axis=1) - 24 * dropout).max() < 2.5


def test_single_exposures_are_dropped_by_chance_of_the_row():
    assert unanchored(1, 4000, 1, 0.1).mean() == pytest.approx(0.1, abs=0.02)


def test_rows_and_seeds_drop_different_exposures():
    found = unanchored(0, 200, 10, 0.5)
    assert abs(np.corrcoef(found[:-1, 0], found[1:, 0])[0, 1]) < 0.25
    assert (unanchored(1, 200, 10, 0.5) != found).any()
    assert (unanchored(0, 200, 10, 0.5) == found).all()


def test_larger_dropout_only_adds_to_the_exposures_left_out():
    assert (unanchored(0, 50, 10, 0.2) <= unanchored(0, 50, 10, 0.4)).all()
