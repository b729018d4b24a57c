"""Multinomial logistic regression with a ridge penalty, fitted in the eigenbasis of the kernel."""

from __future__ import annotations

import torch

from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import spectrum, widened

RANK = 1e-10  # eigenvalues below this share of the largest carry rounding only
LEAST_CURVATURE = 1e-6  # of samples that are all but certain


class KernelLogistic:
    """minimise ``mean_i v_i CE(f(z_i) + b, y_i) + strength / 2 ||f||^2`` along a path of strengths.

    With the kernel ``K = U S U'`` the problem is a ridge problem on the m x r matrix ``U S^(1/2)``, whose columns are
    orthogonal. Were all samples as curved as the mean of them, h, the Hessian would be diagonal there,
    ``h S / m + strength``: divided by its root, L-BFGS starts well conditioned whatever the spectrum. Each strength
    starts from the solution before, and with h there. (Boehning's bound of 1992, h = 1/2, is far from it where classes
    are many or samples certain.)

    Parameters
    ----------
    kernel : Tensor (m, m) float64, mean diagonal one
    y : Tensor (m,) int64
    classes : int
    weight : Tensor (m,) float64, mean one
    rank : int, optional
        That of the kernel, at most.
    """

    def __init__(
        self, kernel: torch.Tensor, y: torch.Tensor, classes: int, weight: torch.Tensor, rank: int | None = None
    ) -> None:
        values, vectors = spectrum(kernel, rank)
        kept = values > RANK * values[-1].clamp_min(1e-300)
        self.values, self.vectors = values[kept], vectors[:, kept]
        self.scores = (self.vectors * self.values.sqrt()).float()
        self.y, self.m, self.classes = y, len(y), classes
        self.weight = (weight / len(y)).float()
        prior = torch.bincount(y, weights=weight, minlength=classes)
        self.coef = widened(torch.zeros(len(self.values), classes))  # further columns stay zero
        self.intercept = (prior / prior.sum()).clamp_min(1e-12).log().float()
        self.intercept -= self.intercept.mean()

    def down_to(self, strength: float, strengths: tuple[float, ...]) -> DualSolution:
        """The minimiser at one of the descending `strengths`, by way of those before it."""
        for one in strengths:
            solution = self.solve(one)
            if one == strength:
                return solution
        raise ValueError(f"{strength} is none of {strengths}")

    def solve(self, strength: float, tolerance: float = 1e-5, iterations: int = 100) -> DualSolution:
        """The minimiser at one strength, started from the last one solved.

        Parameters
        ----------
        strength : float
        tolerance : float
            Stops when no entry of the preconditioned gradient is larger.
        """
        root = (self._curvature() * self.values / self.m + strength).rsqrt().float()[:, None]
        scaled, penalty = self.scores * root.T, strength * root.square()
        coef, intercept = self.coef / root, self.intercept.clone()
        rows, residual = torch.arange(self.m), torch.zeros(self.m, coef.shape[1])
        mine = residual[:, : self.classes]
        coef.requires_grad_()
        intercept.requires_grad_()
        solver = torch.optim.LBFGS(
            [coef, intercept],
            max_iter=iterations,
            history_size=10,
            tolerance_grad=tolerance,
            tolerance_change=1e-7,  # of the loss: a float32 knows no less
            line_search_fn="strong_wolfe",
        )

        @torch.no_grad()
        def closure() -> torch.Tensor:
            log_p = ((scaled @ coef)[:, : self.classes] + intercept).log_softmax(dim=1)
            loss = -(self.weight @ log_p[rows, self.y]) + (penalty * coef.square()).sum() / 2
            torch.exp(log_p, out=mine)
            mine[rows, self.y] -= 1
            mine.mul_(self.weight[:, None])
            coef.grad = torch.addmm(penalty * coef, scaled.T, residual)
            intercept.grad = mine.sum(dim=0)
            return loss

        solver.step(closure)  # type: ignore[arg-type]
        self.coef = (coef * root).detach()
        self.intercept = intercept.detach() - intercept.detach().mean()
        alpha = self.vectors @ (self.coef[:, : self.classes].double() / self.values.sqrt()[:, None])
        return DualSolution(alpha, self.intercept.double())

    def _curvature(self) -> float:
        """Mean nonzero eigenvalue of the samples' Hessians, the loss as a function of the logits, where we are."""
        proba = ((self.scores @ self.coef)[:, : self.classes] + self.intercept).softmax(dim=1)
        mean = float(self.weight @ (1 - proba.square().sum(dim=1))) / max(1, self.classes - 1)
        return max(LEAST_CURVATURE, mean)
