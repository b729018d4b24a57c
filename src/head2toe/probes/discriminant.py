"""Linear discriminant analysis of what least squares says: cures the masking of classes that stand in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.labels import Labels

_NOBODY = 1e-12  # prior of a class without rows
SHRINKAGE = (1.0, 0.1, 0.01, 0.001)  # never 0: the outputs sum to one, so that their covariance is singular


def discriminant(solution: DualSolution, left_out: torch.Tensor, labels: Labels) -> DualSolution:
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
    labels : Labels
        Of the training rows. Where targets are class probabilities, the largest at y, priors and means are theirs, and
        the spread is that around the mean of the likeliest class.

    Returns
    -------
    DualSolution
        Its logits are log posteriors up to a constant.
    """
    turn, offset = _Gaussians(left_out, labels).rules((_best_shrinkage(left_out, labels),))
    return DualSolution(solution.alpha @ turn[0], solution.intercept @ turn[0] + offset[0])


class _Gaussians:
    """Class means (c, c), shared covariance (c, c) and priors (c,) of outputs (m, c)."""

    def __init__(self, outputs: torch.Tensor, labels: Labels) -> None:
        share = labels.weight / labels.weight.sum()
        self.prior = (share @ labels.targets).clamp_min(_NOBODY)
        self.means = (labels.targets * share[:, None]).T @ outputs / self.prior[:, None]
        residual = outputs - self.means[labels.y]
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


def _best_shrinkage(left_out: torch.Tensor, labels: Labels) -> float:
    """The shrinkage with which each half of the rows tells the classes of the other half best; ties to the most."""
    y, weight = labels.y, labels.weight
    halves = _halves(y, labels.groups)
    if not all(map(len, halves)):
        return SHRINKAGE[0]
    right = torch.zeros(len(SHRINKAGE), dtype=torch.float64)
    for fit, judge in (halves, halves[::-1]):
        known = Labels(y[fit], labels.targets[fit], weight[fit])  # `subset` would change its weights
        turn, offset = _Gaussians(left_out[fit], known).rules(SHRINKAGE)
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
