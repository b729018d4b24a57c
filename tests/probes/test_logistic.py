"""The logistic head equals scikit-learn's, and its gradient vanishes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from head2toe.probes.logistic import KernelLogistic


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(classes: int, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    n, d, strength = 60, 90, 1e-2
    X = rng.normal(size=(n, d)) / np.sqrt(d)
    y = rng.integers(0, classes, n)
    weight = rng.uniform(0.5, 2, n) if weighted else np.ones(n)
    weight /= weight.mean()
    path = KernelLogistic(torch.from_numpy(X @ X.T), torch.from_numpy(y), classes, torch.from_numpy(weight))
    path.solve(10 * strength)
    solution = path.solve(strength, tolerance=1e-7, iterations=500)
    ours = torch.from_numpy(X @ X.T) @ solution.alpha + solution.intercept
    # Of two classes scikit-learn penalises the difference of the two rows as one row: half of the softmax's penalty.
    inverse = (2 if classes == 2 else 1) / (n * strength)
    theirs = LogisticRegression(C=inverse, tol=1e-10, max_iter=10_000).fit(X, y, weight)
    assert torch.softmax(ours, 1).numpy() == pytest.approx(theirs.predict_proba(X), abs=2e-3)


def test_a_path_leads_to_what_its_steps_lead_to() -> None:
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.normal(size=(30, 50))), torch.from_numpy(rng.integers(0, 3, 30))
    weight = torch.ones(30, dtype=torch.float64)
    stepwise, at_once = (KernelLogistic(X @ X.T / 50, y, 3, weight) for _ in range(2))
    strengths = (0.1, 0.01, 0.001)
    expected = [stepwise.solve(strength) for strength in strengths][1]
    torch.testing.assert_close(at_once.down_to(0.01, strengths).alpha, expected.alpha)
    with pytest.raises(ValueError, match="is none of"):
        at_once.down_to(0.5, strengths)


def test_gradient_vanishes() -> None:
    rng = np.random.default_rng(1)
    n, strength = 50, 1e-3
    X = torch.from_numpy(rng.normal(size=(n, 200)) / np.sqrt(200))
    y = torch.from_numpy(rng.integers(0, 3, n))
    solution = KernelLogistic(X @ X.T, y, 3, torch.ones(n, dtype=torch.float64)).solve(strength, 1e-7, 1000)
    coef = (X.T @ solution.alpha).requires_grad_()
    loss = torch.nn.functional.cross_entropy(X @ coef + solution.intercept, y) + strength / 2 * coef.square().sum()
    (gradient,) = torch.autograd.grad(loss, coef)
    assert gradient.abs().max() < 1e-5


def _optimum(X: np.ndarray, y: np.ndarray, classes: int, strength: float) -> float:
    """The least objective, in float64, by scipy."""

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, intercept = flat[:-classes].reshape(-1, classes), flat[-classes:]
        log_p = log_softmax(X @ weights + intercept, axis=1)
        error = (np.exp(log_p) - np.eye(classes)[y]) / len(y)
        gradient = np.concatenate([(X.T @ error + strength * weights).ravel(), error.sum(axis=0)])
        return -log_p[np.arange(len(y)), y].mean() + strength / 2 * (weights**2).sum(), gradient

    options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-13, "gtol": 1e-10, "maxcor": 30}
    return minimize(objective, np.zeros((X.shape[1] + 1) * classes), jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.parametrize("classes", [3, 40])
def test_a_path_stays_near_the_optimum(classes: int) -> None:
    """Few classes and many, from heads that hardly learn to those that are certain of all rows."""
    rng = np.random.default_rng(2)
    y = np.arange(160) % classes
    X = (rng.normal(size=(classes, 90))[y] + 2 * rng.normal(size=(160, 90))) / np.sqrt(5 * 90)
    kernel = torch.from_numpy(X @ X.T)
    path = KernelLogistic(kernel, torch.from_numpy(y), classes, torch.ones(160, dtype=torch.float64))
    for strength in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        solution = path.solve(strength)
        logits = kernel @ solution.alpha + solution.intercept
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
        ours = float(loss + strength / 2 * (solution.alpha * (kernel @ solution.alpha)).sum())
        assert ours == pytest.approx(_optimum(X, y, classes, strength), rel=1e-2)


def test_few_features_need_few_eigenvectors() -> None:
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.normal(size=(60, 4))), torch.from_numpy(rng.integers(0, 3, 60))
    weight = torch.ones(60, dtype=torch.float64)
    kernel = (X - X.mean(dim=0)) @ (X - X.mean(dim=0)).T / 4
    every, few = (KernelLogistic(kernel, y, 3, weight, rank).solve(1e-3, 1e-7, 1000) for rank in (None, 4))
    torch.testing.assert_close(kernel @ few.alpha, kernel @ every.alpha, rtol=0, atol=1e-3)
    torch.testing.assert_close(few.intercept, every.intercept, rtol=0, atol=1e-4)
