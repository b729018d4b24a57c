"""Random Fourier features and products of the ablation against the kernels that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.expansions import AS_IT_IS, grams, products_of_best, random_features

TRAIN = np.arange(40)


@pytest.fixture(scope="module")
def z():
    return torch.randn(6, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_random_features_estimate_the_rbf_kernel(z):
    made = random_features(z, 0.5, 40_000, TRAIN)
    distance = torch.cdist(z.T, z.T).square()
    own = distance[:40, :40].mean()
    # An error of a mean over 40,000 cosines: 5 standard errors are 0.018.
    torch.testing.assert_close(2 * made.T @ made / len(made), torch.exp(-0.5 * distance / own), atol=0.018, rtol=0)


def test_products_of_all_pairs_make_the_square_of_the_kernel(z):
    """Of two equal features a product counts once, of two different ones twice in the square."""
    products = products_of_best(z, np.arange(6.0), 18)  # the root of 2 x 18 features: all six
    first, second = torch.triu_indices(6, 6)
    times = torch.where(first == second, 1.0, 2.0).double()
    torch.testing.assert_close(products.T @ (times[:, None] * products), (z.T @ z).square())


def test_products_are_of_the_best(z):
    scores = np.array([0.0, 5.0, 1.0, 4.0, 2.0, 3.0])
    torch.testing.assert_close(products_of_best(z, scores, 2), torch.stack([z[1] ** 2, z[1] * z[3], z[3] ** 2]))


def test_what_stands_beside_the_features_has_the_share_of_their_variance(z):
    found = grams(z, np.arange(6.0), TRAIN)
    total = found[AS_IT_IS].diagonal()[TRAIN].mean()
    for name in ("random Fourier features", "products"):
        for share in (0.3, 1.0):
            beside = found[f"with {name}, {share:g}"] - found[AS_IT_IS]
            assert float(beside.diagonal()[TRAIN].mean() / total) == pytest.approx(share)


def test_held_out_rows_move_no_scale(z):
    other = z.clone()
    other[:, 40:] *= 100
    before, after = grams(z, np.arange(6.0), TRAIN), grams(other, np.arange(6.0), TRAIN)
    for name in before:
        torch.testing.assert_close(before[name][:40, :40], after[name][:40, :40])
