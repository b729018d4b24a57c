"""All features under a sparse penalty, solved to a duality gap along a path: all-l1, all-gl."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from head2toe.baselines import LassoResult, MultinomialLasso
from head2toe.baselines.patience import without_progress
from head2toe.baselines.tuning import accuracy_and_loss
from head2toe.benchmark.costs import counted
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.methods.heads import of_rows, tensors
from head2toe.benchmark.trial import Trial
from head2toe.errors import ConstantFeaturesError
from head2toe.probes import LinearHead
from head2toe.probes.group_lasso import GroupLassoResult, group_lasso, lambda_max

RATIOS = (0.3, 0.1, 0.03, 0.01)  # of lambda_max
FEW_CLASSES = 20  # with more, the last ratio takes longest and was no better
TOLERANCE = 3e-3  # on the relative duality gap: accuracy on held-out images does not see less
MOST_STEPS = 2000  # proximal steps of the lasso at one strength; the gap that is left is told in the choice
PATIENCE = 1  # strengths without a better accuracy or loss, and the path ends


@dataclass(frozen=True)
class _Solution:
    """Coefficients (c, k) of the columns that have some, and intercepts (c,)."""

    indices: torch.Tensor
    coef: torch.Tensor
    intercept: torch.Tensor
    gap: float

    def logits(self, Z: torch.Tensor) -> torch.Tensor:
        return Z[:, self.indices] @ self.coef.T + self.intercept


Solver = Callable[[float, Any], tuple[Any, _Solution]]  # ratio, what to start from -> what to start from, solution
Problem = Callable[[torch.Tensor, torch.Tensor, int], Solver]


def all_l1(trial: Trial) -> Fitted:
    """``lambda sum_jk |W_jk|``."""
    return _fitted(trial, _lasso)


def all_gl(trial: Trial) -> Fitted:
    """``lambda sum_j ||W_j||_2``."""
    return _fitted(trial, _group_lasso)


def ratios(classes: int) -> tuple[float, ...]:
    """The strengths of a path, as shares of lambda_max, from strong to weak."""
    return RATIOS if classes <= FEW_CLASSES else RATIOS[:-1]


def _fitted(trial: Trial, problem: Problem) -> Fitted:
    """The strength by accuracy on one split, along a path of warm starts; then all images, from the solution there.

    Raises
    ------
    ConstantFeaturesError
    """
    view = trial.rows.paper_views[0]
    indices, rows = trial.rows.standardised(view)
    Z, y, split = rows.tile(np.arange(rows.d)).T, torch.from_numpy(trial.y), trial.split
    train, held_out = torch.from_numpy(split.train), torch.from_numpy(split.held_out)
    with counted() as spent:
        tried: list[dict[str, float]] = []
        reached = [None]
        solve = problem(Z[train], y[train], trial.classes)
        for ratio in ratios(trial.classes):
            state, solution = solve(ratio, reached[-1])
            reached.append(state)
            tried.append({"ratio": ratio, **accuracy_and_loss(solution.logits(Z[held_out]), y[held_out])})
            if without_progress(tried, PATIENCE):
                break
        best = max(tried, key=lambda row: (row["accuracy"], -row["loss"]))
        _, final = problem(Z, y, trial.classes)(best["ratio"], reached[tried.index(best) + 1])
    head = LinearHead(
        indices=torch.from_numpy(indices)[final.indices],
        mean=torch.from_numpy(rows.mean)[final.indices],
        scale=torch.from_numpy(rows.scale)[final.indices],
        coef=final.coef.float(),
        intercept=final.intercept.float(),
    )
    choice = {"view": view, "lambda": f"{best['ratio']:g} of lambda_max", "features": len(head.indices)}
    return Fitted(
        flops=spent.total,
        stored=tensors(head),
        choice={**choice, "relative_gap": final.gap, "tried": len(tried), "validation": trial.split_name},
        cv_accuracy=best["accuracy"],
        of_rows=of_rows(head),
    )


def _check_path(largest: float, Z: torch.Tensor) -> None:
    """Refuse features that never vary: a path begins at lambda_max."""
    if not largest > 0:
        same = f"all {Z.shape[1]} features are the same for every image"
        raise ConstantFeaturesError(f"{same}: there is nothing to learn from")


def _lasso(Z: torch.Tensor, y: torch.Tensor, classes: int) -> Solver:
    problem = MultinomialLasso(Z, y, classes)
    _check_path(problem.largest, Z)

    def solve(ratio: float, start: LassoResult | None) -> tuple[LassoResult, _Solution]:
        found = problem.solve(ratio * problem.largest, TOLERANCE, start, MOST_STEPS)
        return found, _Solution(found.indices, found.coef, found.intercept.float(), found.gap)

    return solve


def _group_lasso(Z: torch.Tensor, y: torch.Tensor, classes: int) -> Solver:
    largest = lambda_max(Z, y, classes=classes)
    _check_path(largest, Z)

    def solve(ratio: float, start: GroupLassoResult | None) -> tuple[GroupLassoResult, _Solution]:
        found = group_lasso(Z, y, ratio * largest, classes=classes, tolerance=TOLERANCE, start=start)
        return found, _Solution(found.indices, found.rows.T.contiguous(), found.intercept.float(), found.gap)

    return solve
