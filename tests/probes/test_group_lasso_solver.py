"""The group-lasso solver: its certificate, its conditions of optimality, and what must not change the answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from head2toe.probes.group_lasso import entries, group_lasso, group_lasso_path, lambda_max


def problem(n=80, d=200, classes=3, seed=0, kind="plain"):
    """Gaussian features of which three shift with the class, then spoilt as `kind` says; float64."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    if kind == "unbalanced":
        y = np.minimum(y, rng.integers(0, 2, n) * y)
        y[:classes] = np.arange(classes)
    X = rng.normal(size=(n, d))
    X[:, :3] += rng.normal(size=(classes, 3))[y]
    if kind == "duplicated":
        X[:, d // 2 : d // 2 + d // 4] = X[:, : d // 4]
    if kind == "constant":
        X[:, 1], X[:, 5] = 7.0, 0.0
    if kind == "collinear":
        X = X[:, : max(2, d // 10)] @ rng.normal(size=(max(2, d // 10), d)) + 50
    if kind == "scaled":
        X *= np.geomspace(0.1, 10, d)
    if kind == "separable":
        X[:, 4] = 10 * y
    return X, y


def shares(n, weight=None):
    return np.full(n, 1 / n) if weight is None else weight / weight.sum()


def objective(X, y, W, b, strength, share, group_weights=1.0, ridge=0.0):
    z = X @ W + b
    top = z.max(axis=1)
    losses = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(y)), y]
    rows = np.linalg.norm(W, axis=1)
    return share @ losses + strength * (group_weights * rows).sum() + ridge / 2 * (rows**2).sum()


def gradient(X, y, W, b, share):
    """Of the loss with respect to the logits, written out a second time on purpose."""
    z = X @ W + b
    proba = np.exp(z - z.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    proba[np.arange(len(y)), y] -= 1
    return share[:, None] * proba


def assert_optimal(X, y, result, weight=None, group_weights=None, ridge=0.0, atol=1e-3):
    """Zero is a subgradient: ``X_j' theta + ridge W_j = -lambda w_j W_j / ||W_j||``, or short enough where W_j = 0."""
    W, b = result.coef.numpy(), result.intercept.numpy()
    theta = gradient(X, y, W, b, shares(len(y), weight))
    slope = X.T @ theta + ridge * W
    level = result.strength * (np.ones(X.shape[1]) if group_weights is None else group_weights)
    norms = np.linalg.norm(W, axis=1)
    on = norms > 0
    np.testing.assert_array_less(np.linalg.norm(slope[~on], axis=1), level[~on] * (1 + atol))
    at_most = level[on][:, None] * W[on] / norms[on][:, None]
    assert np.abs(slope[on] + at_most).max(initial=0) <= atol * level.max()
    np.testing.assert_allclose(theta.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(60, 400), (400, 30)], ids=["wide", "tall"])
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("kind", ["plain", "unbalanced", "duplicated", "constant", "collinear", "scaled", "separable"])
@pytest.mark.parametrize("ratio", [0.3, 0.03])
def test_the_gap_closes_and_the_conditions_of_optimality_hold(shape, classes, kind, ratio):
    X, y = problem(*shape, classes, kind=kind)
    strength = ratio * lambda_max(X, y)
    result = group_lasso(X, y, strength, tolerance=1e-8)
    assert result.status == "converged"
    assert result.gap <= 1e-8
    assert_optimal(X, y, result)
    found = objective(X, y, result.coef.numpy(), result.intercept.numpy(), strength, shares(len(y)))
    assert found == pytest.approx(result.objective, rel=1e-10)
    assert result.dual <= result.objective * (1 + 1e-12)


def test_a_hundred_classes():
    X, y = problem(300, 150, 100)
    result = group_lasso(X, y, 0.1 * lambda_max(X, y), tolerance=1e-7)
    assert result.status == "converged"
    assert_optimal(X, y, result, atol=1e-2)


@pytest.mark.parametrize("loss", ["multinomial", "squared"])
def test_nothing_is_selected_at_lambda_max_and_something_just_below(loss):
    X, y = problem()
    largest = lambda_max(X, y, loss=loss)
    assert len(group_lasso(X, y, largest, loss=loss).indices) == 0
    below = group_lasso(X, y, 0.999 * largest, loss=loss, tolerance=1e-8)
    assert len(below.indices) >= 1


def test_group_weights_sample_weights_and_ridge_meet_their_conditions():
    X, y = problem(kind="unbalanced")
    rng = np.random.default_rng(1)
    weight, groups = rng.uniform(0, 3, len(y)), rng.uniform(0.5, 2, X.shape[1])
    largest = lambda_max(X, y, sample_weight=weight, group_weights=groups)
    for ridge in (0.0, 1e-3, 0.5):
        result = group_lasso(
            X, y, 0.1 * largest, sample_weight=weight, group_weights=groups, ridge=ridge, tolerance=1e-9
        )
        assert result.status == "converged"
        assert_optimal(X, y, result, weight, groups, ridge)


def test_a_ridge_alone_is_a_ridge():
    X, y = problem(d=20)
    result = group_lasso(X, y, 0.0, ridge=0.1, tolerance=1e-10)
    W, b = result.coef.numpy(), result.intercept.numpy()
    np.testing.assert_allclose(X.T @ gradient(X, y, W, b, shares(len(y))) + 0.1 * W, 0, atol=1e-5)


def test_a_ridge_alone_is_not_led_astray_by_columns_of_zeros():
    X, y = problem(d=20)
    with_zeros = np.hstack([X, np.zeros((len(X), 300))])
    result = group_lasso(with_zeros, y, 0.0, ridge=0.1, tolerance=1e-8)
    assert result.status == "converged" and int(result.indices.max()) < 20
    assert result.objective == pytest.approx(group_lasso(X, y, 0.0, ridge=0.1, tolerance=1e-8).objective, rel=1e-7)


def test_without_an_intercept():
    X, y = problem()
    strength = 0.1 * lambda_max(X, y, fit_intercept=False)
    result = group_lasso(X, y, strength, fit_intercept=False, tolerance=1e-8)
    assert result.status == "converged"
    assert not result.intercept.any()
    slope = X.T @ gradient(X, y, result.coef.numpy(), 0.0, shares(len(y)))
    assert np.linalg.norm(slope, axis=1).max() == pytest.approx(strength, rel=1e-5)


def solve(X, y, strength, **options):
    result = group_lasso(X, y, strength, tolerance=1e-11, **options)
    return result.coef.numpy(), result.intercept.numpy(), result.objective


def test_the_order_of_features_and_classes_changes_nothing_else():
    X, y = problem()
    strength = 0.1 * lambda_max(X, y)
    W, b, value = solve(X, y, strength)
    features, classes = np.random.default_rng(2).permutation(X.shape[1]), np.array([2, 0, 1])
    W2, b2, value2 = solve(X[:, features], classes[y], strength)
    assert value2 == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(W2[:, classes], W[features], atol=1e-4)
    np.testing.assert_allclose(b2[classes], b, atol=1e-4)


def test_a_sample_twice_is_a_sample_of_weight_two():
    X, y = problem()
    times = np.random.default_rng(3).integers(0, 3, len(y))
    strength = 0.1 * lambda_max(X, y)
    W, b, value = solve(X, y, strength, sample_weight=times)
    W2, b2, value2 = solve(np.repeat(X, times, axis=0), np.repeat(y, times), strength)
    assert value2 == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(W2, W, atol=1e-4)
    np.testing.assert_allclose(b2, b, atol=1e-4)


def test_a_shift_of_the_features_moves_the_intercept_alone():
    X, y = problem()
    strength = 0.1 * lambda_max(X, y)
    W, b, _ = solve(X, y, strength)
    shift = np.random.default_rng(4).normal(size=X.shape[1]) * 100
    W2, b2, _ = solve(X + shift, y, strength)
    np.testing.assert_allclose(W2, W, atol=1e-4)
    np.testing.assert_allclose(b2, b - shift @ W, atol=1e-2)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("ratio", [0.3, 0.03])
def test_float32_reaches_the_objective_of_float64(classes, ratio):
    X, y = problem(200, 600, classes)
    strength = ratio * lambda_max(X, y)
    single = group_lasso(X.astype(np.float32), y, strength, tolerance=1e-5)
    assert single.rows.dtype == torch.float32
    assert single.status == "converged"
    double = group_lasso(X, y, strength, tolerance=1e-8)
    W, b = single.coef.double().numpy(), single.intercept.numpy()
    assert objective(X, y, W, b, strength, shares(len(y))) <= double.objective * (1 + 1e-4)


def test_the_path_starts_at_zero_ends_where_a_cold_start_does_and_saves_work():
    X, y = problem()
    path = group_lasso_path(X, y, count=8, eps=0.05, tolerance=1e-8)
    assert len(path[0].indices) == 0
    assert [r.status for r in path] == ["converged"] * 8
    assert all(a.strength > b.strength for a, b in pairwise(path))
    cold = group_lasso(X, y, path[-1].strength, tolerance=1e-8)
    assert path[-1].objective == pytest.approx(cold.objective, rel=1e-7)
    assert path[-1].iterations < cold.iterations
    again = group_lasso(X, y, path[-1].strength, tolerance=1e-7, start=path[-1])
    assert again.iterations == 0


def test_a_memmap_a_tensor_and_any_memory_order_give_the_same(tmp_path):
    X, y = problem()
    np.save(tmp_path / "X.npy", X)
    read_only = X.copy()
    read_only.flags.writeable = False
    strength = 0.1 * lambda_max(X, y)
    expected = group_lasso(X, y, strength, tolerance=1e-8)
    for same in (np.load(tmp_path / "X.npy", mmap_mode="r"), torch.from_numpy(X), np.asfortranarray(X), read_only,
                 X[:, ::-1].copy()[:, ::-1]):  # fmt: skip
        result = group_lasso(same, y, strength, tolerance=1e-8)
        assert result.objective == pytest.approx(expected.objective, rel=1e-8)
        torch.testing.assert_close(result.indices, expected.indices)


def test_chunks_cover_every_column(monkeypatch):
    from head2toe.probes.group_lasso import design

    X, y = problem()
    expected = lambda_max(X, y)
    monkeypatch.setattr(design, "CHUNK_BYTES", 8 * len(X) * 7)
    assert lambda_max(X, y) == pytest.approx(expected, rel=1e-12)
    assert lambda_max(X[:, ::-1].copy(), y) == pytest.approx(expected, rel=1e-12)


def test_too_few_rounds_are_reported():
    X, y = problem()
    result = group_lasso(X, y, 0.01 * lambda_max(X, y), tolerance=1e-9, max_iter=2)
    assert result.status == "max_iter"
    assert result.gap > 1e-9


def test_history_tells_of_every_pass():
    X, y = problem()
    result = group_lasso(X, y, 0.1 * lambda_max(X, y), tolerance=1e-6)
    assert result.history[0]["active"] == 0
    assert result.history[-1]["gap"] == result.gap
    assert result.history[-1]["active"] == len(result.indices)
    assert result.history[-1]["iterations"] == result.iterations


def test_lists_and_any_order_of_bytes_are_taken():
    X, y = problem(d=20)
    expected = group_lasso(X, y, 0.05).objective
    assert group_lasso(X.tolist(), y.tolist(), 0.05).objective == pytest.approx(expected, rel=1e-9)
    assert group_lasso(X.astype(">f8"), y.astype(">i8"), 0.05).objective == pytest.approx(expected, rel=1e-9)
    weight = np.ones(80, ">f8")
    assert group_lasso(X, y.astype(np.uint64), 0.05, sample_weight=weight).objective == pytest.approx(
        expected, rel=1e-9
    )
    assert group_lasso(X[::-1], y[::-1], 0.05).objective == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weak", [1e-4, 1e-3])
def test_a_start_from_a_weaker_strength_or_from_other_units_leads_to_the_same_optimum(weak):
    X, y = problem(n=60, d=10)
    begun = group_lasso(X, y, weak)
    for matrix, strength in ((X, 0.05), (X, 5.0), (100 * X, weak), (1e4 * X, 1.0)):
        cold = group_lasso(matrix, y, strength)
        warm = group_lasso(matrix, y, strength, start=begun)
        assert warm.status == "converged"
        assert warm.objective == pytest.approx(cold.objective, rel=2e-4)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(4, 40),
    d=st.integers(1, 60),
    classes=st.integers(2, 4),
    ratio=st.floats(0.02, 0.95),
    seed=st.integers(0, 10**6),
)
def test_any_small_problem_is_solved(n, d, classes, ratio, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), np.arange(n) % classes
    strength = ratio * lambda_max(X, y)
    result = group_lasso(X, y, strength, tolerance=1e-7)
    assert result.status == "converged"
    null = -np.mean(np.log(np.bincount(y) / n)[y])
    assert result.dual - 1e-9 <= result.objective <= null + 1e-12


def test_features_are_ranked_by_where_they_enter_the_path():
    X, y = problem(n=80, d=40, classes=3)
    path = group_lasso_path(X, y, count=30, eps=0.02, tolerance=1e-8)
    entry, ranking = entries(path)
    assert sorted(ranking.tolist()) == list(range(1, 41))
    for result in path:
        active = torch.isin(torch.arange(40), result.indices)
        assert bool((entry[active] >= result.strength).all())
        in_before = entry > result.strength
        assert ranking[in_before].tolist() == [] or ranking[in_before].max() <= int(in_before.sum())
    just_below = group_lasso(X, y, 0.99 * lambda_max(X, y), tolerance=1e-9)
    assert just_below.indices.tolist() == [int(ranking.argmin())]


def test_features_that_never_enter_are_ranked_by_how_near_they_are():
    X, y = problem(n=80, d=40, classes=3)
    largest = lambda_max(X, y)
    short = group_lasso_path(X, y, [largest, 0.7 * largest], tolerance=1e-9)
    entry, ranking = entries(short)
    outside = torch.nonzero(entry == 0).flatten()
    assert 0 < len(outside) < 40
    assert bool((short[-1].nearness[outside] <= short[-1].strength * (1 + 1e-6)).all())
    np.testing.assert_allclose(short[-1].nearness[short[-1].indices], short[-1].strength, rtol=1e-3)
    by_nearness = outside[short[-1].nearness[outside].argsort(descending=True)]
    assert torch.equal(by_nearness, outside[ranking[outside].argsort()])
    nothing = group_lasso_path(X, y, [2 * largest], tolerance=1e-9)
    assert float(nothing[0].nearness.max()) == pytest.approx(largest)


def test_a_feature_of_larger_weight_enters_later():
    X, y = problem(n=80, d=10, classes=3)
    weights = torch.ones(10, dtype=torch.float64)
    first = int(entries(group_lasso_path(X, y, tolerance=1e-7))[1].argmin())
    weights[first] = 100
    _, ranking = entries(group_lasso_path(X, y, group_weights=weights, tolerance=1e-7))
    assert int(ranking[first]) == 10


@pytest.mark.parametrize("most", [5, 20, 40])
def test_no_more_rounds_are_taken_than_allowed_on_a_way_around_a_bad_start_either(most):
    X, y = problem(kind="separable")
    start = group_lasso(X, y, 0.001 * lambda_max(X, y))
    result = group_lasso(1e6 * X, y, 0.1 * lambda_max(1e6 * X, y), start=start, max_iter=most)
    assert result.iterations <= most


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "classes", "noise"), [(12, 30, 2, 1.0), (60, 300, 3, 0.3), (200, 500, 4, 1.0)])
def test_a_cold_start_reaches_the_optimum_where_all_features_tell_the_classes_apart(n, d, classes, noise, dtype):
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    X = rng.normal(size=(classes, d))[y] + noise * rng.normal(size=(n, d))
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(dtype)
    strengths = lambda_max(X, y) * np.geomspace(1, 0.003, 8)
    for along in group_lasso_path(X, y, strengths)[1:]:
        cold = group_lasso(X, y, along.strength)
        assert cold.gap < 1e-3
        assert cold.objective == pytest.approx(along.objective, rel=2e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_targets_far_from_zero_are_explained_as_those_about_it(dtype):
    """Rounding of the targets' mean would be larger than all that is to be explained."""
    X, _ = problem()
    y = X[:, 0] + 0.1 * np.random.default_rng(1).normal(size=len(X))
    near, far = (
        group_lasso(X.astype(dtype), y + shift, 0.1, loss="squared", tolerance=1e-6) for shift in (0.0, 2.0**30)
    )
    assert near.status == far.status == "converged" and far.dual <= far.objective
    assert far.objective == pytest.approx(near.objective, rel=1e-5)
    torch.testing.assert_close(far.coef, near.coef, rtol=1e-3, atol=1e-4)
    assert float(far.intercept - near.intercept) == pytest.approx(2.0**30)


def test_weights_in_half_precision_may_have_a_large_sum():
    X, y = problem(n=70_000, d=4)
    expected = lambda_max(X, y)
    assert lambda_max(X, y, sample_weight=np.ones(len(X), np.float16)) == pytest.approx(expected)
