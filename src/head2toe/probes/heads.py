"""The linear head that is kept: K columns of the feature matrix in, c logits out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.least_squares import DualSolution
from head2toe.probes.ranking import spread
from head2toe.probes.standardised import Standardised


@dataclass(frozen=True)
class LinearHead:
    """``logits = ((x[indices] - mean) / scale) @ coef.T + intercept``.

    Attributes
    ----------
    indices : int64 Tensor (K,), ascending
        Columns of the full feature matrix.
    mean, scale : float32 Tensor (K,)
    coef : float32 Tensor (c, K)
    intercept : float32 Tensor (c,)
    """

    indices: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    coef: torch.Tensor
    intercept: torch.Tensor

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (n, c) float32 of rows already restricted to `indices`, (n, K)."""
        z = (kept.to(self.mean.dtype) - self.mean) / self.scale
        return z @ self.coef.T + self.intercept


def head_from_dual(
    rows: Standardised,
    indices: np.ndarray,
    solution: DualSolution,
    train: np.ndarray,
    weight: torch.Tensor,
    unit: float,
    importance: np.ndarray | None = None,
) -> LinearHead:
    """The primal head of a dual solution whose kernel was ``gram(indices, importance) / unit``, centred on `train`."""
    alpha = spread(solution, train, weight, rows.n) / unit
    coef = rows.project(indices, alpha).T.contiguous()
    if importance is not None:
        coef = coef * torch.from_numpy(importance.astype(np.float32))
    p = torch.zeros(rows.n, 1, dtype=torch.float64)
    p[torch.from_numpy(train), 0] = weight / weight.sum()
    centre = rows.project(indices, p)[:, 0]
    return LinearHead(
        indices=torch.from_numpy(indices.copy()),
        mean=torch.from_numpy(rows.mean[indices].copy()),
        scale=torch.from_numpy(rows.scale[indices].copy()),
        coef=coef,
        intercept=(solution.intercept - (coef.double() @ centre.double())).float(),
    )
