"""The group lasso on a working set of columns, by Newton steps on the rows that are not zero.

Where ``W_j != 0`` the objective is smooth. A round (1) lets rows in whose zero is not optimal, (2) takes a truncated
Newton step on the nonzero rows, conjugate gradients inside, (3) sets rows to zero that the step carries through zero,
and (4) accepts it by a line search on the objective. The manifold is found in a few rounds and the end is superlinear
(Bareilles, Iutzeler & Malick 2022, "Newton acceleration on manifolds identified by proximal gradient methods").
"""

from __future__ import annotations

import torch

from head2toe.probes.datafits import Datafit
from head2toe.probes.penalty import GroupPenalty, dual_value

_HALVINGS = 30
_CG_STEPS = 60
_DENSE = 6000  # a larger active set gets a diagonal preconditioner
_SUFFICIENT = 1e-4  # Armijo's share of the predicted decrease


class WorkingSet:
    """Columns, coefficients and intercept of the reduced problem.

    With an intercept the columns are centred by their weighted mean, which changes the intercept alone and makes the
    Newton systems well conditioned; `intercept` belongs to the centred columns.

    Attributes
    ----------
    indices : Tensor (k,) int64
    X : Tensor (n, k)
    mean : Tensor (k,) float64
        What was taken from the columns.
    W : Tensor (k, c)
    b : Tensor (c,) float64
    """

    def __init__(self, datafit: Datafit, fit_intercept: bool, n: int, device: torch.device) -> None:
        self.datafit, self.fit_intercept = datafit, fit_intercept
        self.indices = torch.empty(0, dtype=torch.int64)
        self.X = torch.empty(n, 0, dtype=datafit.dtype, device=device)
        self.mean = torch.empty(0, dtype=torch.float64, device=device)
        self.W = torch.empty(0, datafit.outputs, dtype=datafit.dtype, device=device)
        self.b = torch.zeros(datafit.outputs, dtype=torch.float64, device=device)

    def extend(self, indices: torch.Tensor, columns: torch.Tensor, rows: torch.Tensor | None = None) -> None:
        """Add columns (n, k) with coefficients `rows` (k, c), zero where None."""
        mean = torch.zeros(columns.shape[1], dtype=torch.float64, device=columns.device)
        if self.fit_intercept:
            mean = (self.datafit.p64.T @ columns.double())[0]
            columns = (columns.double() - mean).to(columns.dtype)
        if rows is None:
            rows = self.W.new_zeros(len(indices), self.W.shape[1])
        self.indices = torch.cat([self.indices, indices])
        self.X = torch.cat([self.X, columns], dim=1)
        self.mean = torch.cat([self.mean, mean])
        self.W = torch.cat([self.W, rows.to(self.W)])

    def prune(self) -> None:
        """Drop the columns whose coefficients are zero."""
        kept = self.W.abs().amax(dim=1) > 0
        self.indices = self.indices[kept.cpu()]
        self.X, self.mean, self.W = self.X[:, kept].contiguous(), self.mean[kept], self.W[kept]

    def logits(self) -> torch.Tensor:
        """X W + b, (n, c), after the intercept has been solved exactly."""
        Z = self.X @ self.W
        if self.fit_intercept:
            self.b = self.datafit.intercept(Z, self.b if len(self.indices) else None)
        return Z.double() + self.b

    def solve(self, penalty: GroupPenalty, tolerance: float, rounds: int, scale: float) -> int:
        """Newton rounds until the gap of the reduced problem is at most ``tolerance * max(primal, scale)``.

        Returns
        -------
        int
            Rounds taken; `stalled` says that rounding lets the objective fall no further.
        """
        newton = _Newton(self, penalty)
        for turn in range(rounds):
            newton.refresh()
            if newton.gap() <= tolerance * max(newton.value, scale) or newton.stalled:
                return turn
            newton.enter()
            newton.step()
        return rounds

    @property
    def support(self) -> torch.Tensor:
        """Which rows are nonzero, bool (k,)."""
        return self.W.abs().amax(dim=1) > 0


class _Newton:
    """One reduced problem on its way to the minimum."""

    def __init__(self, problem: WorkingSet, penalty: GroupPenalty) -> None:
        self.problem, self.penalty, self.datafit = problem, penalty, problem.datafit
        self.X, self.dtype = problem.X, problem.X.dtype
        self.levels = penalty.levels.to(self.X.device, self.dtype)
        self.W = problem.W
        self.b = problem.b.to(self.dtype)
        self.stalled = False
        share = self.datafit.p.T
        self.lipschitz = (share @ self.X.square())[0]
        self.epsilon = torch.finfo(self.dtype).eps
        self.Z = self.X @ self.W + self.b
        self.value = self._objective(self.Z, self.W)

    def refresh(self) -> None:
        """Gradient and correlations at the current point."""
        self.residual = self.datafit.gradient(self.Z)
        self.gradient = self.X.T @ self.residual
        self.norms = torch.linalg.vector_norm(self.W, dim=1)

    def gap(self) -> float:
        """Duality gap of the reduced problem; a heuristic, as the intercept is not exact: outside it is certified."""
        correlations = torch.linalg.vector_norm(self.gradient, dim=1).double().cpu()
        return self.value - dual_value(self.datafit.dual(self.Z), self.penalty, correlations)

    def enter(self) -> None:
        """Give every zero row that should not be zero a proximal step of its own, all scaled by one line search."""
        correlation = torch.linalg.vector_norm(self.gradient, dim=1)
        new = (self.norms == 0) & (correlation > self.levels * (1 + 10 * self.epsilon)) & (self.lipschitz > 0)
        if not bool(new.any()):
            return
        excess = (1 - self.levels[new] / correlation[new]) / (self.lipschitz[new] + self.penalty.ridge)
        rows = -excess[:, None] * self.gradient[new]
        change = self.X[:, new] @ rows
        step = 1.0
        for _ in range(_HALVINGS):
            W = self.W.clone()
            W[new] = step * rows
            if self._accept(W, self.b, self.Z + step * change, 0.0):
                self.refresh()
                return
            step /= 2

    def step(self) -> None:
        """A truncated Newton step on the nonzero rows, with rows that pass through zero set to zero."""
        active = torch.nonzero(self.norms > 0)[:, 0]
        system = _System(self, active)
        direction, shift = system.direction()
        slope = float((system.gradient * torch.cat([direction, shift[None]])[: len(system.gradient)]).sum())
        old = self.W[active]
        step = 1.0
        for _ in range(_HALVINGS):
            rows = old + step * direction
            rows[(rows * old).sum(dim=1) <= 0] = 0
            W = self.W.clone()
            W[active] = rows
            b = self.b + step * shift
            if self._accept(W, b, system.X[:, : len(active)] @ rows + b, _SUFFICIENT * step * slope):
                return
            step /= 2
        self.stalled = True

    def _accept(self, W: torch.Tensor, b: torch.Tensor, Z: torch.Tensor, decrease: float) -> bool:
        value = self._objective(Z, W)
        if not value <= self.value + min(decrease, -1e-15 * abs(self.value)):
            return False
        self.W, self.b, self.Z, self.value = W, b, Z, value
        self.problem.W, self.problem.b = W, b.double()
        return True

    def _objective(self, Z: torch.Tensor, W: torch.Tensor) -> float:
        return self.datafit.value(Z) + self.penalty.value(W)


class _System:
    """The Newton system of the nonzero rows and the intercept, and its two-level preconditioner.

    The Hessian of ``level ||w||`` is ``level / ||w|| (I - u u')``, u = w / ||w||: none along u and a lot across it as
    the row shrinks. So the inverse is approximated by the sum of two: across, ``(X' diag(h) X + diag(level / ||w||))``
    for every output alike; along, the |S| x |S| matrix ``(X' diag(h) X) * (U U')`` of the lengths alone. h is the mean
    curvature of each sample.
    """

    def __init__(self, newton: _Newton, active: torch.Tensor) -> None:
        self.datafit, self.ridge, self.k = newton.datafit, newton.penalty.ridge, len(active)
        X = newton.X[:, active] if len(active) < newton.X.shape[1] else newton.X
        self.unit = newton.W[active] / newton.norms[active][:, None]
        self.across = newton.levels[active] / newton.norms[active]
        self.gradient = (
            newton.gradient[active]
            + newton.levels[active][:, None] * self.unit
            + newton.penalty.ridge * newton.W[active]
        )
        self.fit_intercept = newton.problem.fit_intercept
        if self.fit_intercept:
            X = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
            self.gradient = torch.cat([self.gradient, newton.residual.sum(dim=0, keepdim=True)])
        self.X = X
        self._precondition(newton.epsilon)

    def _precondition(self, epsilon: float) -> None:
        h = self.datafit.curvature()
        diagonal = torch.cat([self.across + self.ridge, self.across.new_zeros(int(self.fit_intercept))])
        if self.k > _DENSE:
            self.inverse = 1 / (h @ self.X.square() + diagonal).clamp_min(1e-30)
            return
        gram = self.X.T @ (h[:, None] * self.X)
        jitter = 100 * epsilon * gram.diagonal().mean() + 1e-30
        along = gram[: self.k, : self.k] * (self.unit @ self.unit.T)
        along.diagonal().add_(self.ridge + jitter)
        gram.diagonal().add_(diagonal + jitter)
        self.inverse, self.inverse_along = _inverse(gram), _inverse(along)

    def product(self, D: torch.Tensor) -> torch.Tensor:
        """The Hessian times D."""
        out = self.X.T @ self.datafit.hessian(self.X @ D)
        rows = D[: self.k]
        along = (rows * self.unit).sum(dim=1, keepdim=True)
        out[: self.k] += self.across[:, None] * (rows - along * self.unit) + self.ridge * rows
        return out

    def preconditioned(self, R: torch.Tensor) -> torch.Tensor:
        """An approximate inverse Hessian times R."""
        if self.inverse.ndim == 1:
            return self.inverse[:, None] * R
        out = self.inverse @ R
        along = (R[: self.k] * self.unit).sum(dim=1)
        out[: self.k] += (self.inverse_along @ along)[:, None] * self.unit
        return out

    def direction(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Conjugate gradients from zero: the steps of the rows (k, c) and of the intercept (c,)."""
        R = -self.gradient
        D = torch.zeros_like(R)
        Y = self.preconditioned(R)
        P, rho = Y, float((R * Y).sum())
        first = rho
        for turn in range(_CG_STEPS):
            H = self.product(P)
            curvature = float((P * H).sum())
            if not curvature > 0:
                break
            alpha = rho / curvature
            D = D + alpha * P
            R = R - alpha * H
            Y = self.preconditioned(R)
            new = float((R * Y).sum())
            if new <= 1e-4 * first or turn == _CG_STEPS - 1:
                break
            P = Y + (new / rho) * P
            rho = new
        shift = D[self.k] if self.fit_intercept else D.new_zeros(D.shape[1])
        return D[: self.k], shift


def _inverse(matrix: torch.Tensor) -> torch.Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        return torch.diag(1 / matrix.diagonal().clamp_min(1e-30))
    return torch.cholesky_inverse(factor)
