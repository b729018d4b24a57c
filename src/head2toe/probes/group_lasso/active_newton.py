"""The group lasso on a working set of columns, by Newton steps on the rows that are not zero.

Where ``W_j != 0`` the objective is smooth. A round (1) lets rows in whose zero is not optimal, (2) takes a truncated
Newton step on the nonzero rows, conjugate gradients inside, (3) sets rows to zero that the step carries through zero,
and (4) accepts it by a line search on the objective. The manifold is found in a few rounds and the end is superlinear
(Bareilles, Iutzeler & Malick 2022, "Newton acceleration on manifolds identified by proximal gradient methods").
"""

from __future__ import annotations

import torch

from head2toe.probes.group_lasso.penalty import GroupPenalty, column_norms, dual_value
from head2toe.probes.group_lasso.preconditioner import Dense, Diagonal, worth_it
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
        """Gradient and row norms at the current point."""
        self.residual = self.datafit.gradient(self.Z)
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
        system = _System(self, active)
        direction, shift, slope = system.direction()
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


class _System:
    """The Newton system of the nonzero rows and the intercept.

    The Hessian of ``level ||w||`` is ``level / ||w|| (I - u u')`` with u = w / ||w||: none along u, so that with more
    rows than samples the lengths alone may be undetermined, and the step without end. Levenberg's damping bounds it.
    """

    def __init__(self, newton: _Newton, active: torch.Tensor) -> None:
        self.newton, self.datafit, self.ridge = newton, newton.datafit, newton.penalty.ridge
        self.X = newton.X if len(active) == newton.X.shape[1] else newton.X.index_select(1, active)
        self.unit = newton.W[:, active] / newton.norms[active]
        self.across = newton.levels[active] / newton.norms[active]
        self.gradient = newton.gradient[:, active] + newton.levels[active] * self.unit
        self.gradient += self.ridge * newton.W[:, active]
        self.shift = newton.residual.sum(dim=1) if newton.problem.fit_intercept else newton.b * 0
        curvature = self.datafit.curvature()
        self.damping = self.ridge + newton.damping * curvature.sum() * newton.lipschitz[active]
        self.approximate = self._preconditioner(active, curvature).on(active, self.unit, self.across)

    def _preconditioner(self, active: torch.Tensor, curvature: torch.Tensor) -> Dense | Diagonal:
        """The diagonal one, until the steps it took past `_TIRED` would have paid for the dense one."""
        newton = self.newton
        if newton.diagonal is not None and newton.taken <= _TIRED:
            return newton.dense or newton.diagonal
        newton.diagonal = Diagonal(newton.X, curvature, self.ridge)
        n, k = self.X.shape
        if newton.dense is not None or worth_it(newton.excess, n, k, len(self.unit)):
            newton.dense = Dense(self.X, active, curvature, self.unit, self.across, self.ridge, newton.diagonal)
        return newton.dense or newton.diagonal

    def product(self, D: torch.Tensor, d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The Hessian times a step of the rows (c, k) and of the intercept (c,)."""
        curved = self.datafit.hessian(torch.addmm(d[:, None], D, self.X.T))
        along = (D * self.unit).sum(dim=0)
        out = curved @ self.X
        out += self.across * (D - along * self.unit)
        out += self.damping * D
        return out, curved.sum(dim=1) if self.newton.problem.fit_intercept else d

    def direction(self) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Conjugate gradients from zero: steps of the rows and the intercept, and the slope along them."""
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
        self.newton.taken = turn
        self.newton.excess += max(0, turn - _TIRED)
        return D, d, float((self.gradient * D).sum() + self.shift @ d)
