"""Scores of features: of the group lasso the norms of its exact solution, given enough rounds; of a ridge its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import MultiTaskLasso

from head2toe.benchmark.experiments.scorers import SCORERS, Question, interpolated
from head2toe.probes import scores
from head2toe.probes.kernels import centre
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge, indicators
from head2toe.probes.scores import group_lasso_scores
from head2toe.probes.settings import RIDGE_STRENGTHS
from head2toe.probes.standardised import Standardised


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_many_rounds_solve_the_group_lasso(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the penalty that the ridge of the first round implies: its strength times the mean norm that it leaves."""
    monkeypatch.setattr(scores, "ROUNDS", 300)
    rng = np.random.default_rng(0)
    n, d, classes = 80, 40, 3
    y = np.arange(n) % classes
    X = rng.normal(size=(n, d)).astype(np.float32)
    X[:, :6] += np.eye(classes)[y][:, [0, 1, 2, 0, 1, 2]]
    rows, everything, one = Standardised(X), np.arange(n), torch.ones(n, dtype=torch.float64)
    targets, gram = indicators(torch.from_numpy(y), classes), rows.gram(np.arange(d))
    found = group_lasso_scores(
        rows, np.arange(d), everything, Labels(torch.from_numpy(y), targets, one), (strength,), gram
    )
    kernel, z = centre(gram, everything, everything, one), rows.tile(np.arange(d)).double()
    ridge = z @ KernelRidge(kernel.train, targets, one).solve(strength).alpha / kernel.unit
    penalty = strength * kernel.unit * float(ridge.norm(dim=1).mean())
    exact = MultiTaskLasso(alpha=penalty / n, tol=1e-10, max_iter=10_000).fit(z.T.numpy(), targets.numpy())
    norms = np.linalg.norm(exact.coef_, axis=0)
    assert 0 < np.count_nonzero(norms) < d
    np.testing.assert_allclose(found, norms, atol=0.01 * norms.max())


def test_norms_are_those_of_the_ridge_whose_left_out_error_is_least() -> None:
    rng = np.random.default_rng(0)
    n, d, classes = 80, 40, 3
    y = np.arange(n) % classes
    X = (rng.normal(size=(n, d)) + 0.5 * np.eye(classes, d)[y]).astype(np.float32)
    rows, everything, one = Standardised(X), np.arange(n), torch.ones(n, dtype=torch.float64)
    targets, gram = indicators(torch.from_numpy(y), classes), rows.gram(np.arange(d))
    ridge = KernelRidge(centre(gram, everything, everything, one).train, targets, one)
    best = min(RIDGE_STRENGTHS, key=lambda strength: float(ridge.leave_one_out(strength).square().sum()))
    z = rows.tile(np.arange(d)).double()
    coef = torch.linalg.solve(z @ z.T + best * float(gram.diagonal().mean()) * torch.eye(d).double(), z @ targets)
    question = Question(rows, np.arange(d), np.zeros(d, int), everything, targets, gram)
    for name, order in (("l1", 1), ("l2", 2), ("linf", float("inf"))):
        expected = torch.linalg.vector_norm(coef, order, dim=1)
        np.testing.assert_allclose(SCORERS[name](question), expected, rtol=1e-3, atol=1e-5)


def test_a_layer_s_score_is_the_mean_of_its_own_features() -> None:
    scores, blocks = np.array([1.0, 5.0, 3.0, 2.0]), np.array([7, 7, 7, 2])
    np.testing.assert_allclose(interpolated(scores, blocks, 1.0), [3, 3, 3, 2])
