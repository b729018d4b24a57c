"""Lessons: what a head of few features is taught, and the strengths and shrinkages that are chosen on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from head2toe.probes.closed_forms import ClosedForms
from head2toe.probes.discriminant import SHRINKAGE, discriminant
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import centre
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge, indicators
from head2toe.probes.settings import DISCRIMINANT, RIDGE_STRENGTHS

N, D, C = 60, 30, 3


def labelled(seed: int = 0) -> tuple[torch.Tensor, Labels]:
    """Rows of weights that differ (N, D), and their labels."""
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.integers(0, C, N))
    features = torch.from_numpy(rng.normal(size=(N, D)) + 0.8 * np.eye(C, D)[y])
    weight = torch.from_numpy(rng.uniform(0.1, 4, N))
    return features, Labels(y, indicators(y, C), weight / weight.mean())


def errors(features: torch.Tensor, known: Labels, strength: float, unit: float) -> torch.Tensor:
    """Squared errors (N,) of ridge regressions on all rows but one, by their normal equations."""
    design = torch.cat([features, torch.ones(N, 1, dtype=torch.float64)], dim=1)
    penalty = strength * unit * torch.eye(D + 1, dtype=torch.float64)
    penalty[-1, -1] = 0
    weight = known.weight * (1 - torch.eye(N, dtype=torch.float64))  # a row for each row left out
    weighted = design.T * weight[:, None]
    coef = torch.linalg.solve(weighted @ design + penalty, weighted @ known.targets)
    return (known.targets - torch.einsum("id,idc->ic", design, coef)).square().sum(dim=1)


def test_a_lesson_is_a_discriminant_at_the_strength_of_the_least_weighted_error() -> None:
    features, known = labelled(6)
    everything = np.arange(N)
    kernel = centre(features @ features.T, everything, everything, known.weight)
    left_out = torch.stack([errors(features, known, one, kernel.unit) for one in RIDGE_STRENGTHS])
    best, unweighted = int((left_out @ known.weight).argmin()), int(left_out.sum(dim=1).argmin())
    assert best > 0 and best != unweighted
    heads = ClosedForms(kernel, known)
    teacher = heads.solve(DISCRIMINANT, RIDGE_STRENGTHS[best])
    torch.testing.assert_close(heads.lesson(), kernel.held_out @ teacher.alpha + teacher.intercept)
    assert (
        KernelRidge(kernel.train, known.targets, known.weight).best_strength(RIDGE_STRENGTHS) == RIDGE_STRENGTHS[best]
    )


def test_weights_of_some_rows_have_the_mean_one() -> None:
    _, known = labelled()
    some = known.subset(np.arange(10))
    assert float(some.weight.mean()) == pytest.approx(1)
    torch.testing.assert_close(some.weight / some.weight[0], known.weight[:10] / known.weight[0])
    assert torch.equal(some.y, known.y[:10]) and torch.equal(some.targets, known.targets[:10])


def rule_of(outputs: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The rotation (c, c) of the discriminant on some outputs."""
    nothing = torch.zeros(outputs.shape[1], dtype=torch.float64)
    identity = DualSolution(torch.eye(len(nothing), dtype=torch.float64), nothing)
    return discriminant(identity, outputs, Labels(y, indicators(y, len(nothing)), weight)).alpha


def test_where_every_shrinkage_tells_the_classes_the_most_is_taken() -> None:
    """The covariance is then a sphere, and the rotation the means times a number."""
    y = torch.arange(N) % C
    outputs = indicators(y, C) + 0.01 * torch.randn(N, C, generator=torch.Generator().manual_seed(0)).double()
    found = rule_of(outputs, y, torch.ones(N, dtype=torch.float64))
    means = torch.stack([outputs[y == one].mean(dim=0) for one in range(C)])
    torch.testing.assert_close(found / found[0, 0], means.T / means[0, 0])


@pytest.mark.parametrize("seed", [0, 1, 16, 17])
def test_the_shrinkage_is_that_by_which_halves_judge_each_other_best(seed: int) -> None:
    """Weights are whole numbers, so that a row may stand as often in theirs."""
    generator = torch.Generator().manual_seed(seed)
    classes = 8
    y = torch.arange(5 * classes) % classes
    outputs = (indicators(y, classes) + torch.randn(len(y), classes, generator=generator)).double()
    outputs @= torch.randn(classes, classes, generator=generator).double()
    weight = torch.randint(1, 6, (len(y),), generator=generator)

    def theirs(shrinkage: float, rows: torch.Tensor) -> LinearDiscriminantAnalysis:
        several = rows.repeat_interleave(weight[rows])
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(outputs[several], y[several])

    order = torch.argsort(y, stable=True)
    right = np.zeros(len(SHRINKAGE))
    for fit, judge in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        for i, shrinkage in enumerate(SHRINKAGE):
            hit = theirs(shrinkage, fit).predict(outputs[judge]) == y[judge].numpy()
            right[i] += weight[judge].numpy() @ hit
    best = theirs(SHRINKAGE[right.argmax()], torch.arange(len(y)))
    torch.testing.assert_close(rule_of(outputs, y, weight.double()), torch.from_numpy(best.coef_.T))
