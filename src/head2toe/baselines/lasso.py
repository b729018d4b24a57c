"""The multinomial lasso, every coefficient a penalty of its own: accelerated proximal steps on a working set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import softshrink

from head2toe.probes.group_lasso.datafits import Multinomial

_FIRST, _GROWTH = 256, 2  # columns let in at first; later, at most this many times those in use
_INNER = 0.3  # the reduced problem is solved to this share of the gap
_CHECK = 20  # proximal steps between two looks at the gap
_POWER = 15  # rounds of the power method
_STEPS = 2000  # proximal steps on one working set at most


@dataclass(frozen=True)
class LassoResult:
    """A minimiser with its certificate.

    Attributes
    ----------
    strength : float
        lambda.
    indices : int64 Tensor (k,), ascending
        Columns with a coefficient that is not zero.
    coef : float32 Tensor (c, k)
    intercept : float64 Tensor (c,)
    objective, gap : float
        The gap is relative to the objective.
    steps : int
        Proximal steps.
    """

    strength: float
    indices: torch.Tensor
    coef: torch.Tensor
    intercept: torch.Tensor
    objective: float
    gap: float
    steps: int


class MultinomialLasso:
    """minimise ``mean_i CE(W x_i + b, y_i) + lambda sum_jk |W_jk|`` along a path of strengths.

    Columns whose correlations with the residual break optimality enter the working set, the worst first; on it FISTA
    with adaptive restart (Beck and Teboulle 2009; O'Donoghue and Candes 2015). The intercept is solved exactly at each
    look at the gap, so that the dual point ``theta = (pi - e_y) / n``, scaled until ``|X_j' theta_k| <= lambda``, is
    feasible.

    Parameters
    ----------
    X : float32 Tensor (n, d)
        Columns of about mean zero and one scale.
    y : int64 Tensor (n,)
    classes : int
    """

    def __init__(self, X: torch.Tensor, y: torch.Tensor, classes: int) -> None:
        n = len(y)
        self.X, self.classes = X, classes
        self.datafit = Multinomial(y, classes, torch.full((n,), 1 / n, dtype=torch.float64), torch.float32)
        null = torch.zeros(classes, n)
        theta = self.datafit.dual(null.double() + self.datafit.intercept(null)[:, None]).point()
        self.largest = float(self._correlations(theta).abs().max())
        """lambda_max: the smallest strength whose solution is zero."""

    def solve(
        self, strength: float, tolerance: float = 1e-3, start: LassoResult | None = None, most: int = 20_000
    ) -> LassoResult:
        """The minimiser at one strength, to a relative duality gap, from the solution of a larger one.

        After `most` proximal steps it ends with the gap that it has reached, which the result tells.
        """
        indices = torch.empty(0, dtype=torch.int64) if start is None else start.indices
        W = torch.zeros(self.classes, 0) if start is None else start.coef
        steps = 0
        while True:
            columns = self.X[:, indices].contiguous()
            Z = W @ columns.T
            b = self.datafit.intercept(Z)
            theta = self.datafit.dual(Z.double() + b[:, None]).point()
            correlations = self._correlations(theta).abs().amax(dim=0)
            objective, gap = self._gap(Z, b, W, strength, float(correlations.max()))
            if gap <= tolerance or steps >= most:
                order = torch.argsort(indices)
                return LassoResult(strength, indices[order], W[:, order].contiguous(), b, objective, gap, steps)
            indices, W, added = _extended(indices, W, correlations / strength)
            columns = self.X[:, indices].contiguous()
            inner = max(0.3 * tolerance, _INNER * gap) if added else 0.1 * tolerance
            W, taken = self._proximal(columns, W, b, strength, inner, min(_STEPS, most - steps))
            steps += taken
            used = W.abs().amax(dim=0) > 0
            indices, W = indices[used], W[:, used]

    def _proximal(
        self, X: torch.Tensor, W: torch.Tensor, b: torch.Tensor, strength: float, tolerance: float, most: int
    ) -> tuple[torch.Tensor, int]:
        """FISTA on the columns X (n, k), until the gap of the reduced problem is small enough."""
        n = len(X)
        step = 1 / (_largest_eigenvalue(X) / (2 * n))  # Boehning: the Hessian of cross-entropy is at most half
        intercept = b.float()
        V, c, momentum, turn = W, intercept, 1.0, 0
        for turn in range(1, most + 1):
            residual = torch.addmm(c[:, None], V, X.T).softmax(dim=0)
            residual[self.datafit.y, torch.arange(n)] -= 1
            new = softshrink(V - (step / n) * (residual @ X), step * strength)
            new_intercept = c - 2 * residual.mean(dim=1)
            if float(((V - new) * (new - W)).sum()) > 0:
                momentum = 1.0  # the step goes back: start the acceleration anew
            ahead = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            V = new + (momentum - 1) / ahead * (new - W)
            c = new_intercept + (momentum - 1) / ahead * (new_intercept - intercept)
            W, intercept, momentum = new, new_intercept, ahead
            if turn % _CHECK == 0 and self._reduced_gap(X, W, strength) <= tolerance:
                break
        return W, turn

    def _reduced_gap(self, X: torch.Tensor, W: torch.Tensor, strength: float) -> float:
        Z = W @ X.T
        b = self.datafit.intercept(Z)
        theta = self.datafit.dual(Z.double() + b[:, None]).point()
        return self._gap(Z, b, W, strength, float((theta.float() @ X).abs().max()))[1]

    def _gap(
        self, Z: torch.Tensor, b: torch.Tensor, W: torch.Tensor, strength: float, largest: float
    ) -> tuple[float, float]:
        """Objective and relative gap; `largest` is ``max |X_j' theta_k|``."""
        logits = Z.double() + b[:, None]
        objective = self.datafit.value(logits) + strength * float(W.abs().sum(dtype=torch.float64))
        dual = self.datafit.dual(logits).value(1 / max(1.0, largest / strength))
        return objective, max(0.0, objective - dual) / max(objective, 1e-12)

    def _correlations(self, theta: torch.Tensor) -> torch.Tensor:
        return theta.float() @ self.X


def _extended(indices: torch.Tensor, W: torch.Tensor, ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Working set and coefficients with the columns whose zero is not optimal, the worst first."""
    ratio = ratio.clone()
    ratio[indices] = 0
    count = min(int((ratio > 1).sum()), max(_FIRST, _GROWTH * len(indices)))
    added = torch.topk(ratio, count).indices
    return torch.cat([indices, added]), torch.cat([W, W.new_zeros(len(W), count)], dim=1), count


def _largest_eigenvalue(X: torch.Tensor) -> float:
    """Of X'X, by the power method, with a margin for its being met from below."""
    v = torch.ones(X.shape[1]) / X.shape[1] ** 0.5
    value = 1.0
    for _ in range(_POWER):
        v = X.T @ (X @ v)
        value = float(v.norm())
        v = v / max(value, 1e-30)
    return 1.05 * max(value, 1e-30)
