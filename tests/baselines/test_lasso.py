from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from head2toe.baselines.lasso import MultinomialLasso


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    X = rng.normal(size=(90, 400)).astype(np.float32)
    X[np.arange(90), y] += 2
    X[:, 200] = X[:, 0]  # twice the same column
    return torch.from_numpy(X), torch.from_numpy(y)


def test_zero_at_lambda_max_and_not_just_below(problem):
    lasso = MultinomialLasso(*problem, 3)
    assert len(lasso.solve(1.0001 * lasso.largest).indices) == 0
    assert len(lasso.solve(0.95 * lasso.largest, 1e-5).indices) > 0


@pytest.mark.parametrize("ratio", [0.5, 0.1, 0.02])
def test_the_solution_is_optimal(problem, ratio):
    X, y = problem
    lasso = MultinomialLasso(X, y, 3)
    strength = ratio * lasso.largest
    found = lasso.solve(strength, 1e-4)
    assert found.gap <= 1e-4
    W = torch.zeros(3, X.shape[1])
    W[:, found.indices] = found.coef
    p = (W @ X.T + found.intercept[:, None]).softmax(dim=0).double()
    p[y, torch.arange(len(y))] -= 1
    gradient = p @ X.double() / len(y)
    assert p.sum(dim=1).abs().max() < 1e-4  # the intercept's condition
    assert gradient.abs().max() <= 1.05 * strength
    at = W != 0
    torch.testing.assert_close(gradient[at], -strength * W[at].sign().double(), atol=0.1 * strength, rtol=0)


def test_objective_equals_scikit_learns(problem):
    X, y = problem
    lasso = MultinomialLasso(X, y, 3)
    strength = 0.1 * lasso.largest
    found = lasso.solve(strength, 1e-5)
    theirs = LogisticRegression(l1_ratio=1.0, solver="saga", C=1 / (strength * len(y)), max_iter=5000, tol=1e-6).fit(
        X.numpy(), y.numpy()
    )
    logits = X.double() @ torch.from_numpy(theirs.coef_.T).double() + torch.from_numpy(theirs.intercept_)
    objective = torch.nn.functional.cross_entropy(logits, y) + strength * np.abs(theirs.coef_).sum()
    assert found.objective == pytest.approx(float(objective), rel=2e-4)


def test_a_warm_start_reaches_the_same_optimum(problem):
    lasso = MultinomialLasso(*problem, 3)
    cold = lasso.solve(0.05 * lasso.largest, 1e-5)
    warm = lasso.solve(0.05 * lasso.largest, 1e-5, lasso.solve(0.2 * lasso.largest))
    assert warm.objective == pytest.approx(cold.objective, rel=1e-4)
