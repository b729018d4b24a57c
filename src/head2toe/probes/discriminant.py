"""Linear discriminant analysis of what least squares says: cures the masking of classes that stand in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from head2toe.probes.least_squares import DualSolution

_NOBODY = 1e-12  # prior of a class without rows
SHRINKAGE = (1.0, 0.1, 0.01, 0.001)  # never 0: the outputs sum to one, so that their covariance is singular


def discriminant(
    solution: DualSolution,
    left_out: torch.Tensor,
    y: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    groups: np.ndarray | None = None,
) -> DualSolution:
    """Put a linear discriminant on the c outputs of a least squares head; both together are one linear head.

    Least squares on class indicators cannot give the largest output to a class that lies between others ("masking").
    Its outputs hold what is needed all the same: a Gaussian for each class, with one covariance, finds it (flexible and
    penalised discriminant analysis, Hastie et al. 1994, 1995). Means and covariance are taken from leave-one-out
    outputs, so that they show the spread of images not trained on.

    Parameters
    ----------
    solution : DualSolution
        The least squares head.
    left_out : Tensor (m, c) float64
        `KernelRidge.left_out_outputs` on the training rows.
    y : Tensor (m,) int64
    targets : Tensor (m, c) float64
        Indicators of y; or class probabilities, the largest at y: priors and means are then theirs, and the spread is
        that around the mean of the likeliest class.
    weight : Tensor (m,) float64, positive
    groups : int64 array (m,), optional
        Rows of one number belong together.

    Returns
    -------
    DualSolution
        Its logits are log posteriors up to a constant.
    """
    fitted = _Gaussians(left_out, y, targets, weight)
    turn, offset = fitted.rules((_best_shrinkage(left_out, y, targets, weight, groups),))
    return DualSolution(solution.alpha @ turn[0], solution.intercept @ turn[0] + offset[0])


class _Gaussians:
    """Class means (c, c), shared covariance (c, c) and priors (c,) of outputs (m, c)."""

    def __init__(self, outputs: torch.Tensor, y: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor) -> None:
        share = weight / weight.sum()
        self.prior = (share @ targets).clamp_min(_NOBODY)
        self.means = (targets * share[:, None]).T @ outputs / self.prior[:, None]
        residual = outputs - self.means[y]
        self.covariance = (residual * share[:, None]).T @ residual

    def rules(self, shrinkages: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
        """Linear discriminants, (v, c, c) and (v, c): v times the covariance, shrunk to the sphere of its trace."""
        mean = self.covariance.diagonal().mean().clamp_min(1e-12)
        share = torch.tensor(shrinkages, dtype=mean.dtype)[:, None, None]
        shrunk = (1 - share) * self.covariance + share * mean * torch.eye(len(self.means), dtype=mean.dtype)
        turn = torch.linalg.solve(shrunk, self.means.T.expand_as(shrunk))  # else four vectors of four, where v is c
        offset = self.prior.log() - (self.means * turn.mT).sum(dim=2) / 2
        absent, usual = self.prior <= _NOBODY, int(self.prior.argmax())
        # A class that no row has would lie at zero, near to many where the covariance is small.
        beyond = offset[:, usual : usual + 1] + math.log(_NOBODY)
        return torch.where(absent, turn[:, :, usual : usual + 1], turn), torch.where(absent, beyond, offset)


def _best_shrinkage(
    left_out: torch.Tensor,
    y: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    groups: np.ndarray | None,
) -> float:
    """The shrinkage with which each half of the rows tells the classes of the other half best; ties to the most."""
    halves = _halves(y, groups)
    if not all(map(len, halves)):
        return SHRINKAGE[0]
    right = torch.zeros(len(SHRINKAGE), dtype=torch.float64)
    for fit, judge in (halves, halves[::-1]):
        turn, offset = _Gaussians(left_out[fit], y[fit], targets[fit], weight[fit]).rules(SHRINKAGE)
        hit = (left_out[judge] @ turn + offset[:, None]).argmax(dim=2) == y[judge]
        right += hit.double() @ weight[judge]
    return SHRINKAGE[int(right.argmax())]


def _halves(y: torch.Tensor, groups: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows in the order of their classes, in turn to one half and the other; groups as their first rows."""
    order = torch.argsort(y, stable=True)
    if groups is None:
        return order[::2], order[1::2]
    _, first, member = np.unique(groups[order.numpy()], return_index=True, return_inverse=True)
    second = torch.from_numpy(first.argsort().argsort()[member] % 2 == 1)
    return order[~second], order[second]
