"""The discriminant on least squares outputs: what it cures, and that it is the textbook's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, search
from head2toe.probes.discriminant import SHRINKAGE, _best_shrinkage, _halves, discriminant
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import FoldKernel, centre
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge, indicators

N, D, C = 150, 12, 5
STRENGTH = 0.1


def in_a_row(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Five classes, one behind the other along one direction; all else is noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % C
    X = 0.3 * rng.normal(size=(n, D))
    return (X + 2.0 * y[:, None] * np.eye(D)[0]).astype(np.float32), y


class Fitted:
    """Least squares on 150 rows of classes in a row, and the discriminant on top, both in the dual."""

    def __init__(self, held_out: np.ndarray, weight: torch.Tensor) -> None:
        X, y = in_a_row(0)
        both = torch.from_numpy(np.concatenate([X, held_out]))
        train, rest = np.arange(N), np.arange(N, len(both))
        self.y, self.targets, self.weight = torch.from_numpy(y), indicators(torch.from_numpy(y), C), weight
        self.kernel: FoldKernel = centre(both @ both.T, train, rest, weight)
        ridge = KernelRidge(self.kernel.train, self.targets, weight)
        self.least_squares = ridge.solve(STRENGTH)
        self.left_out = self.targets - ridge.leave_one_out(STRENGTH)
        labels = Labels(self.y, self.targets, weight)
        self.discriminant = discriminant(self.least_squares, self.left_out, labels)

    def outputs(self, solution: DualSolution) -> torch.Tensor:
        return self.kernel.held_out @ solution.alpha + solution.intercept


def recall(logits: torch.Tensor, y: np.ndarray) -> np.ndarray:
    said = logits.argmax(dim=1).numpy()
    return np.array([(said[y == k] == k).mean() for k in range(C)])


def test_least_squares_masks_the_middle_classes_and_the_discriminant_does_not() -> None:
    X, y = in_a_row(1)
    fitted = Fitted(X, torch.ones(N, dtype=torch.float64))
    masked = recall(fitted.outputs(fitted.least_squares), y)
    assert masked[[0, -1]].min() > 0.9 and masked[1:-1].max() < 0.5
    assert recall(fitted.outputs(fitted.discriminant), y).min() > 0.9


@pytest.mark.parametrize("shrinkage", [1.0, 0.1, 0.01])
def test_is_the_linear_discriminant_of_scikit_learn_on_the_left_out_outputs(
    shrinkage: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("head2toe.probes.discriminant.SHRINKAGE", (shrinkage,))
    X, _ = in_a_row(1)
    fitted = Fitted(X, torch.ones(N, dtype=torch.float64))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    theirs.fit(fitted.left_out.numpy(), fitted.y.numpy())
    expected = theirs.decision_function(fitted.outputs(fitted.least_squares).numpy())
    ours = fitted.outputs(fitted.discriminant).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


def test_a_weight_of_two_is_a_row_that_stands_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("head2toe.probes.discriminant.SHRINKAGE", (0.1,))
    X, _ = in_a_row(1)
    f = Fitted(X, torch.ones(N, dtype=torch.float64))
    weight = torch.ones(N, dtype=torch.float64)
    weight[:40] = 2
    weighted = discriminant(f.least_squares, f.left_out, Labels(f.y, f.targets, weight))
    twice = torch.cat([torch.arange(N), torch.arange(40)])
    repeated = discriminant(
        f.least_squares, f.left_out[twice], Labels(f.y[twice], f.targets[twice], torch.ones(N + 40).double())
    )
    torch.testing.assert_close(weighted.alpha, repeated.alpha)
    torch.testing.assert_close(weighted.intercept, repeated.intercept)


def test_two_classes_with_a_singular_covariance_are_no_trouble() -> None:
    """Outputs that sum to one have a singular covariance, and outputs without any spread a covariance of zero."""
    y = torch.arange(20) % 2
    targets, weight = indicators(y, 2), torch.ones(20, dtype=torch.float64)
    solution = DualSolution(torch.eye(20, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    noisy = 0.6 * targets + 0.2 + 0.1 * torch.linspace(-1, 1, 20).double()[:, None] * torch.tensor([1.0, -1.0])
    for left_out in (noisy, targets):
        found = discriminant(solution, left_out, Labels(y, targets, weight))
        assert torch.isfinite(found.alpha).all() and torch.isfinite(found.intercept).all()
    assert min(SHRINKAGE) > 0


def test_the_search_keeps_it_as_one_linear_head() -> None:
    X, y = in_a_row(0)
    fresh, truth = in_a_row(2, 500)
    columns = Columns((Block("a", "mean", 0, D),), {"all": (0,), LINEAR_VIEW: (0,)})
    heads = ("least squares", "discriminant")
    settings = SearchSettings(fractions=(1.0,), layer_weights=("equal",), heads=heads, folds=3, repeats=1)
    found = search(X, y, columns, settings=settings)
    accuracy = {row["head"]: row["cv_accuracy"] for row in found.table if row["view"] == "all"}
    assert accuracy["discriminant"] > accuracy["least squares"] + 0.2
    assert found.choice["head"] == "discriminant" and found.head.coef.shape == (C, D)
    logits = found.head.logits(torch.from_numpy(fresh)[:, found.head.indices])
    assert recall(logits, truth).min() > 0.9


@pytest.mark.parametrize("each", [1, 2, 5])
def test_a_class_that_no_row_has_is_never_the_answer(each: int) -> None:
    rng = np.random.default_rng(each)
    y = torch.arange(each * 4) % 4
    targets = indicators(y, 5)  # the fifth is absent
    left_out = targets + 1e-7 * torch.from_numpy(rng.normal(size=(len(y), 5)))
    plain = DualSolution(torch.eye(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64))
    head = discriminant(plain, left_out, Labels(y, targets, torch.ones(len(y), dtype=torch.float64)))
    outputs = torch.from_numpy(rng.normal(size=(200, 5)))
    assert int((outputs @ head.alpha + head.intercept).argmax(dim=1).max()) < 4


def test_halves_divide_no_group_and_have_all_classes() -> None:
    y = torch.arange(120) % 6
    groups = 7 * (torch.arange(120) // 6 % 5 * 6 + y).numpy() - 3  # five groups of a class, four rows each
    first, second = _halves(y, groups)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(120))
    assert not set(groups[first.numpy()]) & set(groups[second.numpy()])
    assert {len(y[half].unique()) for half in (first, second)} == {6}


def test_one_group_has_no_other_half() -> None:
    y = torch.arange(12) % 2
    left_out, targets, one = torch.randn(12, 2, dtype=torch.float64), indicators(y, 2), torch.ones(12).double()
    assert _best_shrinkage(left_out, Labels(y, targets, one, np.zeros(12, np.int64))) == SHRINKAGE[0]
