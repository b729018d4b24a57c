"""The pool of the group lasso: what it tells is what the columns say, and it changes no solution."""

import numpy as np
import pytest
import torch

from head2toe.probes import group_lasso as solver
from head2toe.probes.datafits import Multinomial
from head2toe.probes.design import Design
from head2toe.probes.penalty import GroupPenalty, dual_value
from head2toe.probes.pool import Pool
from head2toe.probes.working_set import WorkingSet

N, CLASSES = 60, 3


def wide(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, d)) + rng.standard_normal((N, 8)) @ rng.standard_normal((8, d))
    y = (X[:, :20] @ rng.standard_normal((20, CLASSES)) + rng.gumbel(size=(N, CLASSES))).argmax(axis=1)
    y[:CLASSES] = range(CLASSES)
    return X, y


@pytest.fixture
def parts() -> tuple[np.ndarray, WorkingSet, GroupPenalty, torch.Tensor]:
    """Rows, a working set of three columns, the penalty of all rows, and a ratio for every column."""
    X, y = wide(50)
    share = torch.full((N,), 1 / N, dtype=torch.float64)
    working = WorkingSet(Multinomial(torch.from_numpy(y), CLASSES, share, torch.float64), True, N, torch.device("cpu"))
    indices = torch.tensor([4, 7, 9])
    rng = np.random.default_rng(1)
    working.extend(indices, torch.from_numpy(X[:, indices]), torch.from_numpy(rng.standard_normal((CLASSES, 3)) / 9))
    ratio = torch.from_numpy(rng.uniform(0.6, 2, 50))
    ratio[indices] = 0
    return X, working, GroupPenalty(torch.from_numpy(rng.uniform(0.05, 0.1, 50))), ratio


def test_the_pool_holds_the_largest_ratios_and_its_ratios_are_those_of_the_columns(parts):
    X, working, penalty, ratio = parts
    pool = Pool(Design(X, torch.float64), penalty, ratio, 10)
    assert set(pool.indices.tolist()) == set(torch.topk(ratio, 10).indices.tolist())
    dual = working.datafit.dual(working.predictions())
    found = pool.look(working, dual)[1]
    norms = np.linalg.norm(X.T @ dual.point().numpy().T, axis=1) / penalty.levels.numpy()
    np.testing.assert_allclose(found, norms[pool.indices], rtol=1e-12)


def test_a_column_that_has_joined_is_no_candidate_any_more(parts):
    X, working, penalty, ratio = parts
    pool = Pool(Design(X, torch.float64), penalty, ratio, 10)
    working.extend(pool.indices[:2], pool.columns(torch.tensor([0, 1])))
    np.testing.assert_allclose(working.X[:, -2:] + working.mean[-2:], X[:, pool.indices[:2]], atol=1e-14)
    found = pool.look(working, working.datafit.dual(working.predictions()))[1]
    assert found[:2].tolist() == [0, 0]
    assert bool((found[2:] > 0).all())


def test_its_dual_objective_is_at_least_that_of_all_columns(parts):
    X, working, penalty, ratio = parts
    dual = working.datafit.dual(working.predictions())
    everything = dual_value(dual, penalty, torch.from_numpy(np.linalg.norm(X.T @ dual.point().numpy().T, axis=1)))
    assert Pool(Design(X, torch.float64), penalty, ratio, 10).look(working, dual)[0] >= everything


@pytest.mark.parametrize("strength", [0.1, 0.03])
def test_the_pool_changes_no_solution_and_spares_passes(monkeypatch, strength):
    X, y = wide(40_000)
    strength *= solver.lambda_max(X, y)
    with_pool = solver.group_lasso(X, y, strength, tolerance=1e-8)
    monkeypatch.setattr(solver, "_POOL_SHARE", 0.0)
    without = solver.group_lasso(X, y, strength, tolerance=1e-8)
    assert with_pool.status == without.status == "converged"
    assert with_pool.objective == pytest.approx(without.objective, rel=2e-8)
    torch.testing.assert_close(with_pool.coef, without.coef, atol=1e-5, rtol=0)
    assert len(with_pool.history) < len(without.history)
