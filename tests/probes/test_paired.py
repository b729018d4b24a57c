"""Standard errors of paired differences: weighted rows say less than as many of equal weight."""

import numpy as np
import pytest

from head2toe.probes.paired import effective_images, paired_difference


def test_equal_weights_and_repeats_count_images():
    rows = np.tile(np.arange(40), 3)
    assert effective_images(rows, np.full(120, 1 / 120)) == pytest.approx(40)


def test_the_standard_error_of_a_weighted_difference_is_what_it_varies_by():
    """Twenty rows carry half of the weight, as with balanced classes: the difference varies far more than by n rows."""
    rng = np.random.default_rng(0)
    share = np.r_[np.full(20, 0.5 / 20), np.full(980, 0.5 / 980)]
    gaps, told = [], []
    for _ in range(400):
        first, second = rng.random((2, 1000)) < 0.7
        gap, spread = paired_difference(second[None], first, share, effective_images(np.arange(1000), share))
        gaps.append(gap[0])
        told.append(spread[0])
    assert np.mean(told) == pytest.approx(np.std(gaps), rel=0.15)


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_the_standard_error_of_groups_is_what_the_difference_varies_by(alike):
    """Rows of a group are right or wrong together, more or less: eight crops of a picture are not eight pictures."""
    rng = np.random.default_rng(0)
    groups, n = np.repeat(np.arange(100), 8), 800
    share, gaps, told = np.full(n, 1 / n), [], []
    for _ in range(400):
        together, alone = rng.random((2, 100))[:, groups] < 0.7, rng.random((2, n)) < 0.7
        first, second = np.where(rng.random(n) < alike, together, alone)
        gap, spread = paired_difference(second[None], first, share, effective_images(np.arange(n), share), groups)
        gaps.append(gap[0])
        told.append(spread[0])
    assert np.mean(told) == pytest.approx(np.std(gaps), rel=0.15)


def test_the_order_of_groups_and_their_numbers_say_nothing():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 30, 200)
    hits, share = rng.random((4, 200)) < 0.6, rng.dirichlet(np.ones(200))
    turn = rng.permutation(200)
    told = paired_difference(hits[1:], hits[0], share, 150, groups)
    other = paired_difference(hits[1:, turn], hits[0, turn], share[turn], 150, 7 * groups[turn] - 1)
    np.testing.assert_allclose(told, other, rtol=1e-5)
    assert (told[1] >= paired_difference(hits[1:], hits[0], share, 150)[1] - 1e-12).all()
