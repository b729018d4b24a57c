"""The group lasso on a working set of columns, by Newton steps on the rows that are not zero.

Where ``W_j != 0`` the objective is smooth. A round (1) lets rows in whose zero is not optimal, (2) takes a truncated
Newton step on the nonzero rows, conjugate gradients inside, (3) sets rows to zero that the step carries through zero,
and (4) accepts it by a line search on the objective. The manifold is found in a few rounds and the end is superlinear
(Bareilles, Iutzeler & Malick 2022, "Newton acceleration on manifolds identified by proximal gradient methods").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from head2toe.probes.group_lasso.datafits import Hessian
from head2toe.probes.group_lasso.penalty import GroupPenalty, column_norms, dual_value
from head2toe.probes.group_lasso.preconditioner import Apply, Dense, Diagonal, worth_it
from head2toe.probes.group_lasso.working_set import WorkingSet

_HALVINGS = 12
_DAMPING = 1e-3  # Levenberg's term at first, as a share of each row's own curvature
_LEAST_DAMPING = 1e-8
_MOST_DAMPING = 1e15  # of saturated samples the curvature is next to nothing, and the damping a share of it
_CG_STEPS = 60
_TIRED = 12  # more conjugate-gradient steps than this, and the preconditioner is made anew
_FORCING = 0.1  # conjugate gradients stop at this share of the squared, preconditioned residual
_SUFFICIENT = 1e-4  # Armijo's share of the predicted decrease
_PATIENCE = 4  # rounds without a smaller gap or objective before rounding is blamed


def solve(problem: WorkingSet, penalty: GroupPenalty, tolerance: float, rounds: int, floor: float) -> int:
    """Newton rounds, in place, until the gap of the reduced problem is at most ``tolerance * max(objective, floor)``.

    Returns
    -------
    int
        Rounds taken, at most `rounds`; fewer also where rounding lets the gap fall no further.
    """
    newton = _Newton(problem, penalty)
    best, lowest, since = float("inf"), float("inf"), 0
    for turn in range(rounds):
        newton.refresh()
        gap = newton.gap()
        progress = gap < 0.9 * best or newton.value < lowest - 10 * newton.epsilon * abs(lowest)
        since = 0 if turn == 0 or progress else since + 1
        best, lowest = min(best, gap), min(lowest, newton.value)
        if gap <= tolerance * max(newton.value, floor) or since >= _PATIENCE or newton.stuck:
            return turn
        newton.enter()
        newton.step()
    return rounds


class _Newton:
    """One reduced problem on its way to the minimum; all matrices have outputs first: W (c, k), Z (c, n)."""

    def __init__(self, problem: WorkingSet, penalty: GroupPenalty) -> None:
        self.problem, self.penalty, self.datafit = problem, penalty, problem.datafit
        self.X, self.W = problem.X, problem.W
        self.epsilon = torch.finfo(self.X.dtype).eps
        self.noise = max(2 * self.epsilon, 1e-14)
        self.levels = penalty.levels.to(self.X)
        self.lipschitz = (self.datafit.p @ self.X.square())[0]
        self.b = problem.intercept.to(self.X.dtype)
        self.Z = self.W @ self.X.T + self.b[:, None]
        self.value = self._objective(self.Z, self.W)
        self.diagonal: Diagonal | None = None
        self.dense: Dense | None = None
        self.taken, self.excess = 0, 0
        self.stuck = False
        self.damping = _DAMPING

    def refresh(self) -> None:
        """Derivatives and row norms at the current point."""
        self.residual, self.hessian = self.datafit.gradient(self.Z)
        self.gradient = self.residual @ self.X
        self.norms = column_norms(self.W).to(self.W.dtype)

    def gap(self) -> float:
        """Duality gap of the reduced problem; a guide only, as the intercept is not exact: outside it is certified."""
        correlations = column_norms(self.gradient).cpu()
        return self.value - dual_value(self.datafit.dual(self.Z), self.penalty, correlations)

    def enter(self) -> None:
        """Give every zero row that should not be zero a proximal step of its own, all scaled by one line search.

        Together correlated rows go many times too far, and still to a lower objective where all samples are sure of
        their classes: there no gradient is left to come back by. So the scale is halved while the objective falls.
        """
        correlation = column_norms(self.gradient).to(self.W.dtype)
        new = (self.norms == 0) & (correlation > self.levels * (1 + 10 * self.epsilon)) & (self.lipschitz > 0)
        if not bool(new.any()):
            return
        length = (1 - self.levels[new] / correlation[new]) / (self.lipschitz[new] + self.penalty.ridge)
        entering = -length * self.gradient[:, new]
        change = entering @ self.X[:, new].T
        start, step, accepted = self.Z, 1.0, False
        for _ in range(_HALVINGS):
            W = self.W.clone()
            W[:, new] = step * entering
            decrease = -2 * self.noise * abs(self.value) if accepted else 0.0  # a lower one, beyond rounding
            if self._accept(W, self.b, start + step * change, decrease):
                accepted = True
            elif accepted:
                break
            step /= 2
        if accepted:
            self.refresh()

    def step(self) -> None:
        """A truncated Newton step on the nonzero rows, with rows that pass through zero set to zero."""
        active = torch.nonzero(self.norms > 0)[:, 0]
        while not (step := self._search(active)):
            if self.damping > _MOST_DAMPING:
                self.stuck = True
                return
            self.damping *= 100
        self.damping = max(_LEAST_DAMPING, self.damping * (0.1 if step == 1 else 1 if step > 0.1 else 10))

    def _search(self, active: torch.Tensor) -> float:
        """Line search along the damped Newton direction; the step taken, or zero."""
        system = self._system(active)
        direction, shift, slope, self.taken = system.direction()
        self.excess += max(0, self.taken - _TIRED)
        old, step = self.W[:, active], 1.0
        for _ in range(_HALVINGS):
            moved = old + step * direction
            moved *= (moved * old).sum(dim=0) > 0
            W = self.W.clone()
            W[:, active] = moved
            b = self.b + step * shift
            if self._accept(W, b, moved @ system.X.T + b[:, None], _SUFFICIENT * step * slope):
                return step
            step /= 2
        return 0.0

    def _system(self, active: torch.Tensor) -> _System:
        """The damped Newton system where we are."""
        X = self.X if len(active) == self.X.shape[1] else self.X.index_select(1, active)
        W, norms, levels, ridge = self.W[:, active], self.norms[active], self.levels[active], self.penalty.ridge
        unit, across = W / norms, levels / norms
        gradient = self.gradient[:, active] + levels * unit
        gradient += ridge * W
        shift = self.residual.sum(dim=1) if self.problem.fit_intercept else self.b * 0
        curvature = self.hessian.curvature()
        return _System(
            hessian=self.hessian,
            fit_intercept=self.problem.fit_intercept,
            X=X,
            unit=unit,
            across=across,
            gradient=gradient,
            shift=shift,
            damping=ridge + self.damping * curvature.sum() * self.lipschitz[active],
            approximate=self._preconditioner(X, active, curvature, unit, across).on(active, unit, across),
        )

    def _preconditioner(
        self, X: torch.Tensor, active: torch.Tensor, curvature: torch.Tensor, unit: torch.Tensor, across: torch.Tensor
    ) -> Dense | Diagonal:
        """The diagonal one, until the steps it took past `_TIRED` would have paid for the dense one."""
        if self.diagonal is None or self.taken > _TIRED:
            ridge, (n, k) = self.penalty.ridge, X.shape
            self.diagonal = Diagonal(self.X, curvature, ridge)
            if self.dense is not None or worth_it(self.excess, n, k, len(unit)):
                self.dense = Dense(X, active, curvature, unit, across, ridge, self.diagonal)
        return self.dense or self.diagonal

    def _accept(self, W: torch.Tensor, b: torch.Tensor, Z: torch.Tensor, decrease: float) -> bool:
        value = self._objective(Z, W)
        # Where the decrease drowns in the rounding of Z, the step is trusted: `solve` watches the gap.
        if not value <= self.value + decrease + self.noise * abs(self.value):
            return False
        self.W, self.b, self.Z, self.value = W, b, Z, value
        self.problem.W, self.problem.intercept = W, b.double()
        return True

    def _objective(self, Z: torch.Tensor, W: torch.Tensor) -> float:
        return self.datafit.value(Z) + self.penalty.value(W)


@dataclass(frozen=True)
class _System:
    """The Newton system of the nonzero rows and the intercept.

    The Hessian of ``level ||w||`` is ``level / ||w|| (I - u u')`` with u = w / ||w||: none along u, so that with more
    rows than samples the lengths alone may be undetermined, and the step without end. Levenberg's damping bounds it.

    Attributes
    ----------
    hessian : Hessian
        Of the loss.
    fit_intercept : bool
    X : Tensor (n, k)
        Columns of the nonzero rows.
    unit : Tensor (c, k)
        u.
    across : Tensor (k,)
        ``level / ||w||``.
    gradient, shift : Tensor (c, k), (c,)
        Of the objective, by the rows and by the intercept.
    damping : Tensor (k,)
        With the ridge.
    approximate : callable
        An approximate inverse.
    """

    hessian: Hessian
    fit_intercept: bool
    X: torch.Tensor
    unit: torch.Tensor
    across: torch.Tensor
    gradient: torch.Tensor
    shift: torch.Tensor
    damping: torch.Tensor
    approximate: Apply

    def product(self, D: torch.Tensor, d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The Hessian times a step of the rows (c, k) and of the intercept (c,)."""
        curved = self.hessian.product(torch.addmm(d[:, None], D, self.X.T))
        along = (D * self.unit).sum(dim=0)
        out = curved @ self.X
        out += self.across * (D - along * self.unit)
        out += self.damping * D
        return out, curved.sum(dim=1) if self.fit_intercept else d

    def direction(self) -> tuple[torch.Tensor, torch.Tensor, float, int]:
        """Conjugate gradients from zero: steps of rows and intercept, the slope along them, and the turns taken."""
        R, r = -self.gradient, -self.shift
        D, d = torch.zeros_like(R), torch.zeros_like(r)
        Y, y = self.approximate(R, r)
        P, p = Y, y
        rho = first = float((R * Y).sum() + r @ y)
        turn = 0
        while turn < _CG_STEPS:
            turn += 1
            H, h = self.product(P, p)
            curvature = float((P * H).sum() + p @ h)
            if not curvature > 0:
                break
            D, d = torch.add(D, P, alpha=rho / curvature), d + rho / curvature * p
            R, r = torch.sub(R, H, alpha=rho / curvature), r - rho / curvature * h
            Y, y = self.approximate(R, r)
            new = float((R * Y).sum() + r @ y)
            if new <= _FORCING * first:
                break
            P, p = torch.add(Y, P, alpha=new / rho), y + new / rho * p
            rho = new
        return D, d, float((self.gradient * D).sum() + self.shift @ d), turn
