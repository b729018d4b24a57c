"""The group lasso against other programs that solve the same problem."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, MultiTaskLasso

from head2toe.probes.group_lasso import group_lasso, lambda_max


def problem(n=60, d=30, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    X = rng.normal(size=(n, d)) * rng.uniform(0.5, 2, d)
    X[:, :4] += rng.normal(size=(classes, 4))[y]
    return X, y


def objective(X, y, W, b, strength):
    z = X @ W + b
    losses = np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)) + z.max(axis=1) - z[np.arange(len(y)), y]
    return losses.mean() + strength * np.linalg.norm(W, axis=1).sum()


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(50, 120), (120, 20)])
@pytest.mark.parametrize("ratio", [0.3, 0.03])
def test_squared_loss_is_scikit_learns_multi_task_lasso(shape, ratio, fit_intercept):
    rng = np.random.default_rng(5)
    X = rng.normal(size=shape) + 1
    Y = X[:, :3] @ rng.normal(size=(3, 4)) + rng.normal(size=(shape[0], 4)) + 2
    strength = ratio * lambda_max(X, Y, loss="squared", fit_intercept=fit_intercept)
    ours = group_lasso(X, Y, strength, loss="squared", fit_intercept=fit_intercept, tolerance=1e-10)
    theirs = MultiTaskLasso(alpha=strength, fit_intercept=fit_intercept, tol=1e-10, max_iter=20000).fit(X, Y)
    assert ours.status == "converged"
    np.testing.assert_allclose(ours.coef.numpy().T, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercept.numpy(), theirs.intercept_, atol=1e-4)


def test_squared_loss_of_one_output_without_much_penalty_is_least_squares():
    X, _ = problem(n=200, d=5)
    y = X @ np.arange(5.0) + 3 + np.random.default_rng(1).normal(size=200)
    ours = group_lasso(X, y, 1e-7, loss="squared", tolerance=1e-10)
    theirs = LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.coef.numpy()[:, 0], theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.intercept.numpy()[0], theirs.intercept_, atol=1e-5)


@pytest.mark.parametrize("ratio", [0.3, 0.03])
def test_two_classes_are_the_l1_logistic_regression_of_sqrt_2_times_the_penalty(ratio):
    # At the optimum W = (-u, u) / 2 for the binary coefficients u, and so ||W_j|| = |u_j| / sqrt(2).
    X, y = problem(classes=2)
    strength = ratio * lambda_max(X, y)
    ours = group_lasso(X, y, strength, tolerance=1e-11)
    theirs = LogisticRegression(
        C=np.sqrt(2) / (strength * len(y)), l1_ratio=1.0, solver="saga", tol=1e-9, max_iter=100_000
    ).fit(X, y)
    W = ours.coef.numpy()
    np.testing.assert_allclose(W[:, 0], -W[:, 1], atol=1e-6)
    np.testing.assert_allclose(W[:, 1] - W[:, 0], theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(np.diff(ours.intercept.numpy()), theirs.intercept_, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("ratio", [0.5, 0.1])
def test_a_small_problem_is_cvxpys(classes, ratio):
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    X, y = problem(n=30, d=8, classes=classes)
    strength = ratio * lambda_max(X, y)
    W, b = cvxpy.Variable((8, classes)), cvxpy.Variable((1, classes))
    logits = X @ W + np.ones((30, 1)) @ b
    right = cvxpy.sum(cvxpy.multiply(np.eye(classes)[y], logits))
    loss = (cvxpy.sum(cvxpy.log_sum_exp(logits, axis=1)) - right) / 30
    task = cvxpy.Problem(cvxpy.Minimize(loss + strength * cvxpy.sum(cvxpy.norm(W, 2, axis=1))))
    task.solve(solver="CLARABEL")
    ours = group_lasso(X, y, strength, tolerance=1e-10)
    assert ours.objective == pytest.approx(task.value, rel=1e-6)
    np.testing.assert_allclose(ours.coef.numpy(), W.value, atol=1e-3)


@pytest.mark.parametrize("ratio", [0.3, 0.1])
def test_the_objective_is_cyanures(ratio):
    cyanure = pytest.importorskip("cyanure.estimators", reason="cyanure is not installed")
    X, y = problem()
    strength = ratio * lambda_max(X, y, fit_intercept=False)
    theirs = cyanure.Classifier(loss="multiclass-logistic", penalty="l1l2", lambda_1=strength, fit_intercept=False,
                                tol=1e-8, max_iter=5000, verbose=False)  # fmt: skip
    theirs.fit(X, y)
    W = np.asarray(theirs.coef_)
    W = W if W.shape[0] == X.shape[1] else W.T
    ours = group_lasso(X, y, strength, fit_intercept=False, tolerance=1e-10)
    assert ours.objective == pytest.approx(objective(X, y, W, 0.0, strength), rel=1e-5)
