"""Ways to select that only the ablation compares."""

import numpy as np
import pytest
import torch
from benchmarks.selections import distinct, reweighted


def test_without_groups_the_importance_is_the_features_own_norm():
    norms = np.array([3.0, 0.0, 0.5])
    np.testing.assert_allclose(reweighted(norms, np.array([0, 0, 1]), 1.0), norms)


def test_channels_alone_share_one_importance():
    eta = reweighted(np.array([3.0, 4.0, 0.0, 0.0, 2.0]), np.array([7, 7, 8, 8, 9]), 0.0)
    np.testing.assert_allclose(eta, [5 / np.sqrt(2)] * 2 + [0, 0, 2])


def test_both_penalties_bound_the_sum_of_both_norms():
    """The quadratic bound touches the penalty where it was made: sum w_i n_i^2 is the penalty itself."""
    norms, channel = np.array([3.0, 4.0, 2.0]), np.array([0, 0, 1])
    weight = 1 / reweighted(norms, channel, 0.5)
    penalty = 0.5 * norms.sum() + 0.5 * (np.sqrt(2) * 5 + 2)
    assert weight @ norms**2 == pytest.approx(penalty)


def test_near_duplicates_of_a_better_feature_are_dropped():
    generator = torch.Generator().manual_seed(0)
    tile = torch.randn(3, 50, generator=generator)
    tile = torch.cat([tile, -2 * tile[:1] + 1])
    assert distinct(tile, np.array([1.0, 2.0, 3.0, 4.0]), 4).tolist() == [1, 2, 3]
    assert distinct(tile, np.array([1.0, 2.0, 3.0, 4.0]), 2).tolist() == [2, 3]
