"""Random Fourier features of the kept features, and products of the best of them: kernels at a linear head's price."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from benchmarks.kernels import on_kept

FRACTIONS = (0.01, 0.03, 0.1)
WIDTHS = (0.3, 1.0)  # of the RBF kernel: times the mean squared distance, inverted
SHARES = (0.3, 1.0)  # of the kept features' variance that stands beside them
MOST = 4096  # random features, and products
AS_IT_IS = "as they are"


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant: a row a set of features, view, fraction and strength.

    The features are ranked with learned layer weights in each fold; the fraction counts them, not what is made of them.
    """
    return on_kept(X, y, columns, FRACTIONS, lambda z, root, scores, train: grams(z * root[:, None], scores, train))


def grams(z: torch.Tensor, scores: np.ndarray, train: np.ndarray) -> dict[str, torch.Tensor]:
    """Gram matrices (n, n) of features z (K, n), of random features of them, and of them beside others.

    Scales are those of the training rows. As many random features and products are made as features are kept.
    """
    z = z - z[:, train].mean(dim=1, keepdim=True)
    linear, count = z.T @ z, min(MOST, len(z))
    random = {width: _gram(random_features(z, width, count, train), train) for width in WIDTHS}
    products = _gram(products_of_best(z, scores, count), train)
    total = linear.diagonal()[train].mean()
    return {
        AS_IT_IS: linear,
        **{f"random Fourier features {width:g}": gram for width, gram in random.items()},
        **{f"with random Fourier features, {share:g}": linear + share * total * random[1.0] for share in SHARES},
        **{f"with products, {share:g}": linear + share * total * products for share in SHARES},
    }


def random_features(z: torch.Tensor, width: float, count: int, train: np.ndarray) -> torch.Tensor:
    """Random Fourier features (count, n) of features z (K, n): ``cos(w'z + b)`` (Rahimi and Recht 2007).

    Their inner products estimate those of the RBF kernel ``exp(-width r^2 / mean r^2)``, up to a factor.
    """
    generator = torch.Generator().manual_seed(0)
    mean_square = 2 * z[:, train].var(dim=1, correction=0).sum()  # of the distance of two rows
    directions = torch.randn(count, len(z), generator=generator) * math.sqrt(2 * width / float(mean_square))
    phases = 2 * math.pi * torch.rand(count, 1, generator=generator)
    return torch.cos(directions @ z.float() + phases).double()


def products_of_best(z: torch.Tensor, scores: np.ndarray, count: int) -> torch.Tensor:
    """Products (about `count`, n) of all pairs of the features with the largest scores, squares among them."""
    from head2toe.probes.ranking import largest

    best = z[largest(scores, max(1, math.isqrt(2 * count)))]
    first, second = torch.triu_indices(len(best), len(best))
    return best[first] * best[second]


def _gram(values: torch.Tensor, train: np.ndarray) -> torch.Tensor:
    """Of values (k, n), centred, with a mean of one on the training rows' diagonal."""
    values = values - values[:, train].mean(dim=1, keepdim=True)
    gram = values.T @ values
    return gram / gram.diagonal()[train].mean()
