"""Kernel ridge regression: closed forms against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.probes.kernels import centre
from head2toe.probes.least_squares import KernelRidge, indicators, ridge_path

N, D, C = 24, 40, 3


@pytest.fixture(params=[False, True], ids=["equal", "weighted"])
def problem(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(N, D)) + 3)
    targets = indicators(torch.from_numpy(rng.integers(0, C, N)), C)
    weight = torch.from_numpy(rng.uniform(0.5, 2, N)) if request.param else torch.ones(N, dtype=torch.float64)
    return features, targets, weight / weight.mean()


def primal(features: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor, strength: float) -> torch.Tensor:
    """Coefficients and intercept of ``sum v ||f + b - y||^2 + s ||f||^2`` from its normal equations, (D + 1, C)."""
    design = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    penalty = strength * torch.eye(D + 1, dtype=torch.float64)
    penalty[-1, -1] = 0
    weighted = design * weight[:, None]
    return torch.linalg.solve(weighted.T @ design + penalty, weighted.T @ targets)


def test_solutions_are_those_of_the_normal_equations(problem: tuple[torch.Tensor, ...]) -> None:
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight)
    solution = KernelRidge(kernel.train, targets, weight).solve(0.3)
    ours = kernel.held_out @ solution.alpha + solution.intercept
    expected = primal(features, targets, weight, 0.3 * kernel.unit)
    torch.testing.assert_close(ours, features @ expected[:-1] + expected[-1])
    (by_factor,) = ridge_path(kernel.train, targets, weight, (0.3,))
    torch.testing.assert_close(by_factor.alpha, solution.alpha)


def test_leave_one_out_equals_leaving_one_out(problem: tuple[torch.Tensor, ...]) -> None:
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight)
    ours = KernelRidge(kernel.train, targets, weight).leave_one_out(0.3)
    for i in range(N):
        rest = np.delete(everything, i)
        coef = primal(features[rest], targets[rest], weight[rest], 0.3 * kernel.unit)
        torch.testing.assert_close(ours[i], targets[i] - features[i] @ coef[:-1] - coef[-1])


def test_left_out_outputs_differ_from_leaving_one_out_by_the_intercept_alone(problem: tuple[torch.Tensor, ...]) -> None:
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight)
    ridge = KernelRidge(kernel.train, targets, weight)
    found = ridge.left_out_outputs(0.3)
    for i in (0, 7, N - 1):
        others = np.delete(everything, i)
        mean = weight[others] @ targets[others] / weight[others].sum()
        shift = targets[i] - ridge.leave_one_out(0.3)[i] - found[i]
        torch.testing.assert_close(shift, mean - ridge.intercept)


GROUPS = np.r_[np.repeat([5, 3, 9], [4, 4, 1]), 20 + np.arange(N - 9) // 3]


@pytest.mark.parametrize("rank", [None, 3])
def test_leaving_a_group_out_equals_leaving_its_rows_out(problem: tuple[torch.Tensor, ...], rank: int | None) -> None:
    features, targets, weight = problem
    features = features * (torch.arange(D) < (rank or D))
    turn = np.random.default_rng(3).permutation(N)
    groups, everything = GROUPS[turn], np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight, rank)
    ridge = KernelRidge(kernel.train, targets, weight, kernel.rank, groups)
    ours, outputs = ridge.leave_one_out(0.3), ridge.left_out_outputs(0.3)
    for group in np.unique(groups):
        mine, rest = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
        coef = primal(features[rest], targets[rest], weight[rest], 0.3 * kernel.unit)
        said = features[mine] @ coef[:-1] + coef[-1]
        torch.testing.assert_close(ours[mine], targets[mine] - said)
        mean = weight[rest] @ targets[rest] / weight[rest].sum()
        torch.testing.assert_close(outputs[mine], said - mean + ridge.intercept)


def test_groups_of_one_row_are_rows(problem: tuple[torch.Tensor, ...]) -> None:
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight)
    plain, grouped = (KernelRidge(kernel.train, targets, weight, None, one) for one in (None, everything))
    torch.testing.assert_close(grouped.left_out_outputs(0.3), plain.left_out_outputs(0.3))


def test_copies_say_nothing_for_a_weak_penalty() -> None:
    """Each row four times, labels at random: left out alone a row is known from its copies, with them it is not."""
    rng = np.random.default_rng(0)
    groups = np.arange(400) % 100
    features = torch.from_numpy(rng.normal(size=(100, 200)))[groups]
    targets = indicators(torch.from_numpy(rng.integers(0, 2, 100)), 2)[groups]
    everything, one = np.arange(400), torch.ones(400, dtype=torch.float64)
    kernel = centre(features @ features.T, everything, everything, one)
    strengths = (1e-3, 1e3)
    assert KernelRidge(kernel.train, targets, one).best_strength(strengths) == 1e-3
    assert KernelRidge(kernel.train, targets, one, None, groups).best_strength(strengths) == 1e3


def test_left_out_outputs_tell_nothing_where_features_do(problem: tuple[torch.Tensor, ...]) -> None:
    """With an endless penalty all rows say the same, whatever their label: a rule fitted to that learns nothing."""
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight)
    found = KernelRidge(kernel.train, targets, weight).left_out_outputs(1e12)
    torch.testing.assert_close(found, found[:1].expand_as(found))


def test_fold_kernels_see_only_training_rows() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(N, D)) + 5
    train, held_out = np.arange(16), np.arange(16, N)
    one = torch.ones(16, dtype=torch.float64)
    kernel = centre(torch.from_numpy(features @ features.T), train, held_out, one)
    moved = features - features[train].mean(axis=0)
    torch.testing.assert_close(kernel.train * kernel.unit, torch.from_numpy(moved[train] @ moved[train].T))
    torch.testing.assert_close(kernel.held_out * kernel.unit, torch.from_numpy(moved[held_out] @ moved[train].T))
    features[held_out] = rng.normal(size=(len(held_out), D))
    again = centre(torch.from_numpy(features @ features.T), train, held_out, one)
    torch.testing.assert_close(again.train, kernel.train)


def test_what_is_taught_other_targets_solves_for_them(problem: tuple[torch.Tensor, ...]) -> None:
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, weight)
    lesson = features[:, :C] ** 2
    ridge = KernelRidge(kernel.train, targets, weight)
    before = ridge.solve(0.3)
    taught, fresh = ridge.taught(lesson), KernelRidge(kernel.train, lesson, weight)
    torch.testing.assert_close(taught.solve(0.3).alpha, fresh.solve(0.3).alpha)
    torch.testing.assert_close(taught.solve(0.3).intercept, fresh.solve(0.3).intercept)
    torch.testing.assert_close(taught.leave_one_out(0.3), fresh.leave_one_out(0.3))
    assert torch.equal(ridge.solve(0.3).alpha, before.alpha)


def test_few_features_need_few_eigenvectors(problem: tuple[torch.Tensor, ...]) -> None:
    """Of a kernel whose rank is known all is as with every eigenvector, also what lies outside its range."""
    features, targets, weight = problem
    everything = np.arange(N)
    kernel = centre(features[:, :3] @ features[:, :3].T, everything, everything, weight, 3)
    all_of_them, few = (KernelRidge(kernel.train, targets, weight, rank) for rank in (None, kernel.rank))
    assert few.vectors.shape[1] < all_of_them.vectors.shape[1] == N
    for strength in (1e-4, 0.3, 30.0):
        torch.testing.assert_close(few.solve(strength).alpha, all_of_them.solve(strength).alpha)
        torch.testing.assert_close(few.leave_one_out(strength), all_of_them.leave_one_out(strength))
    assert few.best_strength((1e-4, 0.3, 30.0)) == all_of_them.best_strength((1e-4, 0.3, 30.0))
    taught = few.taught(targets.flip(0))
    torch.testing.assert_close(taught.solve(0.3).alpha, all_of_them.taught(targets.flip(0)).solve(0.3).alpha)
