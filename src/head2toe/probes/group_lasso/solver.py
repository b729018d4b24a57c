"""The group lasso over the rows of W, exact and certified: working sets outside, Newton steps inside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from head2toe.errors import ParameterError
from head2toe.probes.group_lasso import active_newton
from head2toe.probes.group_lasso.penalty import GroupPenalty, dual_value
from head2toe.probes.group_lasso.problem import Loss, Problem, problem_of
from head2toe.probes.group_lasso.working_set import WorkingSet

Status = Literal["converged", "max_iter", "stalled"]
_FLOOR = 1e-3  # the gap is relative to the objective, but never to less than this share of the null model's
_FAR = 0.1  # a gap that float32's rounding does not leave
_DETOUR = 5  # strengths on the way down from lambda_max
_FIRST = 128  # rows let in at first
_GROWTH = 1.0  # later, this many times the rows that are active
_INNER = 0.3  # the reduced problem is solved to this share of the gap
_NEWTON_ROUNDS = 60
_ROUNDING = 1e-15  # of the objective: float64 knows the gap no better
_SLACK = 1e-12  # at lambda_max itself rounding must not let a row in


@dataclass(frozen=True)
class GroupLassoResult:
    """A minimiser with its certificate.

    Attributes
    ----------
    strength : float
        lambda.
    indices : Tensor (k,) int64, ascending
        The active set: rows of W that are not zero.
    rows : Tensor (k, c)
        Those rows.
    intercept : Tensor (c,) float64
    objective, dual : float
        Primal and dual objective; the optimum lies between.
    gap : float
        ``(objective - dual) / max(objective, 0.001 F(0))``, F(0) the loss of the intercept alone.
    iterations : int
        Newton rounds.
    status : "converged", "max_iter" or "stalled"
        "stalled": the precision of the dtype lets the objective fall no further.
    history : tuple of dict
        One a pass over X: objective, gap, working (columns in the working set), active, iterations, seconds.
    shape : (d, c)
    nearness : Tensor (d,) float64
        ``||X_j' theta||_2 / w_j``: for features that are not active how large a strength would let them in, were the
        residual to stay as it is; at most `strength`, up to the tolerance.
    """

    strength: float
    indices: torch.Tensor
    rows: torch.Tensor
    intercept: torch.Tensor
    objective: float
    dual: float
    gap: float
    iterations: int
    status: Status
    history: tuple[dict[str, float], ...]
    shape: tuple[int, int]
    nearness: torch.Tensor

    @property
    def coef(self) -> torch.Tensor:
        """W in full, (d, c)."""
        full = torch.zeros(self.shape, dtype=self.rows.dtype)
        full[self.indices] = self.rows.cpu()
        return full


def lambda_max(
    X: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor,
    *,
    loss: Loss = "multinomial",
    classes: int | None = None,
    fit_intercept: bool = True,
    sample_weight: np.ndarray | torch.Tensor | None = None,
    group_weights: np.ndarray | torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> float:
    """The smallest lambda whose solution is zero: ``max_j ||X_j' theta_0||_2 / w_j``.

    theta_0 is the gradient of the loss at the intercept alone, in closed form. Arguments, errors: as in `group_lasso`.
    """
    return problem_of(X, y, loss, classes, fit_intercept, sample_weight, group_weights, 0.0, dtype).largest


def group_lasso(
    X: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor,
    strength: float,
    *,
    loss: Loss = "multinomial",
    classes: int | None = None,
    fit_intercept: bool = True,
    sample_weight: np.ndarray | torch.Tensor | None = None,
    group_weights: np.ndarray | torch.Tensor | None = None,
    ridge: float = 0.0,
    tolerance: float = 1e-4,
    max_iter: int = 1000,
    dtype: torch.dtype | None = None,
    start: GroupLassoResult | None = None,
) -> GroupLassoResult:
    """Minimise ``sum_i p_i loss(x_i W + b, y_i) + strength sum_j w_j ||W_j||_2 + ridge / 2 ||W||^2``.

    p is the sample weight divided by its sum, W is (d, c) and its rows are the groups, the intercept is not penalised.
    X is used as given: nothing is standardised.

    Parameters
    ----------
    X : array, memmap or Tensor (n, d), float
        A memmap may be larger than memory. A tensor on a GPU is worked on there.
    y : int64 (n,), class numbers; or float (n,) or (n, c) where `loss` is "squared"
    strength : float
        lambda, not negative. Zero needs a `ridge`.
    loss : "multinomial" or "squared"
        Softmax cross-entropy; or ``1/2 ||.||^2``, which makes this scikit-learn's MultiTaskLasso.
    classes : int, optional
        c; by default one more than the largest y.
    fit_intercept : bool
        False: b is zero.
    sample_weight : (n,), optional
        Not negative; every class needs some where there is an intercept.
    group_weights : (d,), optional
        Positive.
    ridge : float
        Strength of the squared penalty, not negative.
    tolerance : float
        On the relative duality gap.
    max_iter : int
        Newton rounds in all.
    dtype : torch.dtype, optional
        Of the products, float32 or float64; by default that of X. The certificate is computed in float64 but for
        ``X' theta``.
    start : GroupLassoResult, optional
        A solution to start from, such as that of the next larger lambda.

    Returns
    -------
    GroupLassoResult

    Raises
    ------
    ParameterError, DataFormatError, NotFiniteError
    """
    problem = problem_of(X, y, loss, classes, fit_intercept, sample_weight, group_weights, ridge, dtype)
    return _solve(problem, _strength(strength, ridge), tolerance, max_iter, start)


def group_lasso_path(
    X: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor,
    strengths: Sequence[float] | None = None,
    *,
    count: int = 20,
    eps: float = 0.01,
    loss: Loss = "multinomial",
    classes: int | None = None,
    fit_intercept: bool = True,
    sample_weight: np.ndarray | torch.Tensor | None = None,
    group_weights: np.ndarray | torch.Tensor | None = None,
    ridge: float = 0.0,
    tolerance: float = 1e-4,
    max_iter: int = 1000,
    dtype: torch.dtype | None = None,
) -> list[GroupLassoResult]:
    """Solutions from the largest lambda down, each started from the one before.

    Parameters
    ----------
    strengths : sequence of float, optional
        By default `count` values in geometric progression from lambda_max to ``eps * lambda_max``.
    X, y, and the others
        As in `group_lasso`.

    Returns
    -------
    list of GroupLassoResult
        The largest lambda first.

    Raises
    ------
    ParameterError, DataFormatError, NotFiniteError
    """
    if strengths is None and not (count >= 1 and 0 < eps < 1):
        raise ParameterError(f"count is {count}, eps {eps}: use at least 1, and a share below 1")
    problem = problem_of(X, y, loss, classes, fit_intercept, sample_weight, group_weights, ridge, dtype)
    if strengths is None and not problem.largest > 0:
        raise ParameterError("no feature tells anything of y, so there is no path: X is constant, or y is")
    if strengths is None:
        strengths = list(problem.largest * np.geomspace(1, eps, count))
    results: list[GroupLassoResult] = []
    for strength in sorted((_strength(s, ridge) for s in strengths), reverse=True):
        results.append(_solve(problem, strength, tolerance, max_iter, results[-1] if results else None))
    return results


def entries(path: Sequence[GroupLassoResult]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each feature enters a path, and the ranking of all d features that follows.

    Returns
    -------
    entry : Tensor (d,) float64
        The largest strength at which the feature is active; 0: it never is.
    ranking : Tensor (d,) int64
        1 for the most relevant feature: the one that enters first. Of those that enter at one strength the larger row
        of W comes first; of those that never do, the one that is nearest to entering at the last strength.
    """
    entry = torch.zeros(path[0].shape[0], dtype=torch.float64)
    score = path[-1].nearness.clone()
    for result in path:
        new = entry[result.indices] == 0
        entry[result.indices[new]] = result.strength
        score[result.indices[new]] = result.rows[new].double().norm(dim=1).cpu()
    order = np.lexsort((-score.numpy(), -entry.numpy()))  # by entry, then score; ties in the order of the columns
    ranking = torch.empty(len(entry), dtype=torch.int64)
    ranking[torch.from_numpy(order)] = torch.arange(1, len(entry) + 1)
    return entry, ranking


def _solve(
    problem: Problem, strength: float, tolerance: float, max_iter: int, start: GroupLassoResult | None
) -> GroupLassoResult:
    if not tolerance > 0 or max_iter < 1:
        raise ParameterError(f"tolerance is {tolerance}, max_iter {max_iter}: use a positive number, and at least 1")
    result = _Descent(problem, strength, tolerance, max_iter, start).run()
    if result.status != "stalled" or result.gap < _FAR:
        return result
    # So sure of every class that no gradient is left, from a start of other units or by a step too far: come again
    # from where nothing is sure.
    levels = [strength]
    if 0 < strength < problem.largest:
        levels = [*np.geomspace(problem.largest, strength, _DETOUR + 1)[1:-1].tolist(), strength]
    taken, other = result.iterations, None
    for level in levels:
        if taken >= max_iter:
            return replace(result, iterations=taken)
        other = _Descent(problem, level, tolerance, max_iter - taken, other).run()
        taken += other.iterations
    assert other is not None
    return replace(min(result, other, key=lambda one: one.gap), iterations=taken)


@dataclass(frozen=True)
class _Certificate:
    """What one pass over X says of the coefficients: both objectives, and ``||X_j' theta||_2``, float64 (d,)."""

    primal: float
    dual: float
    gap: float
    correlations: torch.Tensor


class _Descent:
    """One problem at one strength on its way to the minimum, a working set after the other."""

    def __init__(
        self, problem: Problem, strength: float, tolerance: float, max_iter: int, start: GroupLassoResult | None
    ) -> None:
        self.problem, self.strength, self.tolerance, self.max_iter = problem, strength, tolerance, max_iter
        self.penalty = GroupPenalty(strength * problem.group_weights, problem.ridge)
        self.working = WorkingSet(problem.datafit, problem.fit_intercept, problem.design.n, problem.design.device)
        if start is not None and len(start.indices):
            self.working.extend(start.indices, problem.design.columns(start.indices), start.rows.T)
        self.floor = _FLOOR * problem.null
        self.dual, self.lowest, self.iterations = -np.inf, np.inf, 0
        self.history: list[dict[str, float]] = []
        self.began = time.perf_counter()

    def run(self) -> GroupLassoResult:
        while True:
            at = self._certified()
            if at.gap <= self.tolerance:
                return self._result(at, "converged")
            if self.iterations >= self.max_iter:
                return self._result(at, "max_iter")
            added = self._violators(at)
            if not len(added) and len(self.history) > 1 and at.primal >= self.lowest:
                return self._result(at, "stalled")
            self._improve(at, added)

    def _certified(self) -> _Certificate:
        """That of the current coefficients, by the best dual objective so far; a line of the history too."""
        problem, working = self.problem, self.working
        Z = working.predictions()
        primal = problem.datafit.value(Z) + self.penalty.at(working.indices).value(working.W)
        point = problem.datafit.dual(Z)
        correlations = problem.design.correlations(point.point()) if len(working.indices) else problem.null_correlations
        self.dual = max(self.dual, dual_value(point, self.penalty, correlations))
        lost = max(0.0, primal - self.dual)
        gap = 0.0 if lost <= _ROUNDING * primal else lost / max(primal, self.floor, 1e-300)
        self.history.append({"objective": primal, "gap": gap, "working": len(working.indices),
                             "active": int(working.support.sum()), "iterations": self.iterations,
                             "seconds": time.perf_counter() - self.began})  # fmt: skip
        return _Certificate(primal, self.dual, gap, correlations)

    def _violators(self, at: _Certificate) -> torch.Tensor:
        """Columns outside the working set whose zero is not optimal, the worst first, at most as many as it holds."""
        ratio = self.penalty.ratios(at.correlations)
        ratio[self.working.indices] = 0
        most = max(_FIRST, int(_GROWTH * int(self.working.support.sum())))
        count = min(int((ratio > 1 + _SLACK).sum()), most)
        return torch.topk(ratio, count).indices.sort().values

    def _improve(self, at: _Certificate, added: torch.Tensor) -> None:
        """Newton steps on the columns that are not zero and those that are added."""
        self.lowest = min(self.lowest, at.primal)
        self.working.prune()
        self.working.extend(added, self.problem.design.columns(added))
        inner = max(0.3 * self.tolerance, _INNER * at.gap) if len(added) else 0.1 * self.tolerance
        rounds = min(_NEWTON_ROUNDS, self.max_iter - self.iterations)
        penalty = self.penalty.at(self.working.indices)
        self.iterations += max(1, active_newton.solve(self.working, penalty, inner, rounds, self.floor))

    def _result(self, at: _Certificate, status: Status) -> GroupLassoResult:
        problem, working = self.problem, self.working
        working.prune()
        order = torch.argsort(working.indices)
        intercept = (working.intercept + problem.datafit.offset).cpu()
        return GroupLassoResult(
            strength=self.strength,
            indices=working.indices[order],
            rows=working.W.T.cpu()[order].contiguous(),
            intercept=intercept - working.W.double().cpu() @ working.mean.cpu(),
            objective=at.primal,
            dual=at.dual,
            gap=at.gap,
            iterations=self.iterations,
            status=status,
            history=tuple(self.history),
            shape=(problem.design.d, problem.datafit.outputs),
            nearness=(at.correlations / problem.group_weights).cpu(),
        )


def _strength(strength: float, ridge: float) -> float:
    if not (0 < strength < np.inf or (strength == 0 and ridge > 0)):
        raise ParameterError(f"strength is {strength}: use a positive number (zero only with a ridge)")
    return float(strength)
