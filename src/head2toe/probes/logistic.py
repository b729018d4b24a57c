"""Multinomial logistic regression with a ridge penalty, fitted in the eigenbasis of the kernel."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from head2toe.probes.least_squares import DualSolution

RANK = 1e-10  # eigenvalues below this share of the largest carry rounding only
CURVATURE = 0.5  # Boehning (1992): the Hessian of the softmax cross-entropy is at most half the identity


class KernelLogistic:
    """minimise ``mean_i v_i CE(f(z_i) + b, y_i) + strength / 2 ||f||^2`` along a path of strengths.

    With the kernel ``K = U S U'`` the problem is a ridge problem on the m x r matrix ``U S^(1/2)``, whose columns are
    orthogonal. Boehning's bound on the Hessian is diagonal there, ``S / 2m + strength``, so that after dividing by its
    root L-BFGS starts well conditioned whatever the spectrum; each strength starts from the solution before.

    Parameters
    ----------
    kernel : Tensor (m, m) float64, mean diagonal one
    y : Tensor (m,) int64
    classes : int
    weight : Tensor (m,) float64, mean one
    """

    def __init__(self, kernel: torch.Tensor, y: torch.Tensor, classes: int, weight: torch.Tensor) -> None:
        values, vectors = torch.linalg.eigh(kernel)
        kept = values > RANK * values[-1].clamp_min(1e-300)
        self.values, self.vectors = values[kept], vectors[:, kept]
        self.scores = self.vectors * self.values.sqrt()
        self.y, self.weight, self.m = y, weight / len(y), len(y)
        prior = torch.bincount(y, weights=weight, minlength=classes)
        self.coef = torch.zeros(len(self.values), classes, dtype=torch.float64)
        self.intercept = (prior / prior.sum()).clamp_min(1e-12).log()
        self.intercept -= self.intercept.mean()

    def solve(self, strength: float, tolerance: float = 1e-5, iterations: int = 100) -> DualSolution:
        """The minimiser at one strength, started from the last one solved.

        Parameters
        ----------
        strength : float
        tolerance : float
            Stops when no entry of the preconditioned gradient is larger.
        """
        root = (CURVATURE * self.values / self.m + strength).rsqrt()[:, None]
        scaled = self.scores * root.T
        coef = (self.coef / root).requires_grad_()
        intercept = self.intercept.clone().requires_grad_()
        solver = torch.optim.LBFGS([coef, intercept], max_iter=iterations, history_size=10,
                                   tolerance_grad=tolerance, tolerance_change=1e-10, line_search_fn="strong_wolfe")  # fmt: skip
        penalty = strength / 2 * root.square()

        def closure() -> torch.Tensor:
            solver.zero_grad()
            losses = cross_entropy(scaled @ coef + intercept, self.y, reduction="none")
            loss = self.weight @ losses + (penalty * coef.square()).sum()
            loss.backward()
            return loss

        solver.step(closure)  # type: ignore[arg-type]
        self.coef = (coef * root).detach()
        self.intercept = intercept.detach() - intercept.detach().mean()
        return DualSolution(self.vectors @ (self.coef / self.values.sqrt()[:, None]), self.intercept)
