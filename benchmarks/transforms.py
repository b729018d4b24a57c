"""Squares and thresholds of the kept features, beside them: what a linear head would gain from columns like these."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.kernels import on_kept

FRACTIONS = (0.01, 0.03, 0.1)
PARTS = (0.3, 1.0)  # of a feature's variance that each thing made of it has
AS_IT_IS = "as they are"


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant: a row a set of features, view, fraction and strength.

    The features are ranked with learned layer weights in each fold; the fraction counts them, not what is made of them.
    """
    return on_kept(X, y, columns, FRACTIONS, lambda z, root, _, train: grams(z, root, train))


def grams(z: torch.Tensor, root: torch.Tensor, train: np.ndarray) -> dict[str, torch.Tensor]:
    """Gram matrices (n, n) of features z (K, n) times their roots of importance, alone and with what is made of them.

    Scales are those of the training rows.
    """
    deviation = z[:, train].std(dim=1, correction=0)
    unit = _standardised(z, train)
    made = {"squares": (unit.square(),), "thresholds": ((unit - 1).clamp_min(0), (-unit - 1).clamp_min(0))}
    linear = _gram(z * root[:, None])
    found = {AS_IT_IS: linear}
    for name, parts in made.items():
        weight = (root * deviation)[:, None]
        beside = sum(_gram(_standardised(part, train) * weight) for part in parts)
        found |= {f"with {name}, {share:g}": linear + share * beside for share in PARTS}
    return found


def _standardised(values: torch.Tensor, train: np.ndarray) -> torch.Tensor:
    """Rows of mean zero and deviation one on the training columns; what does not vary there is zero."""
    own = values[:, train]
    deviation = own.std(dim=1, correction=0, keepdim=True)
    return torch.where(deviation > 1e-9, (values - own.mean(dim=1, keepdim=True)) / deviation.clamp_min(1e-9), 0)


def _gram(z: torch.Tensor) -> torch.Tensor:
    return z.T @ z
