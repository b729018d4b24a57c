"""Standard errors of paired differences: weighted rows say less than as many of equal weight."""

import numpy as np
import pytest

from head2toe.probes.paired import behind, effective_images


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
        gap, spread = behind(second[None], first, share, effective_images(np.arange(1000), share))
        gaps.append(gap[0])
        told.append(spread[0])
    assert np.mean(told) == pytest.approx(np.std(gaps), rel=0.15)
