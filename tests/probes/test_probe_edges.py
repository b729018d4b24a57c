"""Probes at the edges: few images, groups, ridges, rows in a sample, and what a figure must be by its formula."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from head2toe.errors import ParameterError
from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, search
from head2toe.probes.evidence import Evidence
from head2toe.probes.folds import stratified_folds
from head2toe.probes.group_lasso import group_lasso
from head2toe.probes.group_lasso.penalty import GroupPenalty, column_norms
from head2toe.probes.group_lasso.preconditioner import Dense, Diagonal
from head2toe.probes.kernels import centre
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge, indicators
from head2toe.probes.paired import paired_difference
from head2toe.probes.recipe_search import RecipeGrid, recipe_search
from head2toe.probes.rounding import MANY_CLASSES, bytes_a_feature, levels, packed, unpacked
from head2toe.probes.scores import group_lasso_scores
from head2toe.probes.settings import RIDGE_STRENGTHS
from head2toe.probes.standardised import HELD_SHARE, Standardised


@pytest.mark.parametrize("n", [2, 8, 40])
def test_the_calibration_of_images_that_are_all_right_is_platts(n: int) -> None:
    """Of n images of two classes, all right by a margin of one, ``log(n + 1)``: they are (n + 1) / (n + 2) sure."""
    y = torch.arange(n) % 2
    found = Evidence()
    found.add(np.arange(n), torch.nn.functional.one_hot(y, 2))
    step = 400 ** (1 / 39)  # of the factors that are tried
    factor = found.calibration(y, torch.ones(n, dtype=torch.float64))
    assert np.log(n + 1) / step <= factor <= np.log(n + 1) * step


def test_a_difference_that_is_the_same_in_every_row_is_sure() -> None:
    """However the rows are grouped: where one is always wrong and the other never, there is nothing to vary."""
    groups, share = np.repeat(np.arange(4), [1, 2, 3, 6]), np.full(12, 1 / 12)
    gap, spread = paired_difference(np.zeros((1, 12), bool), np.ones(12, bool), share, 12, groups)
    assert (gap[0], spread[0]) == pytest.approx((1, 0), abs=1e-6)


def test_a_ridge_is_in_both_approximate_inverses() -> None:
    """Across the direction of a single row both are ``1 / (g + level / ||w|| + ridge)``."""
    X = torch.randn(30, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    curvature, across = torch.full((30,), 1 / 30, dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    unit = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64)
    ridge, only = 5.0, torch.arange(1)
    diagonal = Diagonal(X, curvature, ridge)
    dense = Dense(X, only, curvature, unit, across, ridge, diagonal)
    R = torch.tensor([[0.0], [1.0], [-2.0]], dtype=torch.float64)
    expected = R / (float(curvature @ X[:, 0].square()) + 0.3 + ridge)
    for one in (diagonal, dense):
        found, _ = one.on(only, unit, across)(R, torch.zeros(3).double())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_a_class_whose_samples_weigh_nothing_has_no_intercept() -> None:
    """It would be minus infinity; without an intercept the problem is one as any other."""
    X, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
    weight = np.where(y == 1, 0.0, 1.0)
    with pytest.raises(ParameterError, match="class 1 has no sample of positive weight"):
        group_lasso(X, y, 0.1, sample_weight=weight)
    assert group_lasso(X, y, 0.1, sample_weight=weight, fit_intercept=False).status == "converged"


def test_a_level_of_zero_asks_nothing_of_a_column_that_says_nothing() -> None:
    """With a ridge alone."""
    penalty = GroupPenalty(torch.zeros(2, dtype=torch.float64), ridge=1.0)
    assert penalty.ratios(torch.tensor([0.0, 2.0], dtype=torch.float64)).tolist() == [0, np.inf]


def test_norms_of_the_largest_numbers_are_finite_and_leave_them_as_they_are() -> None:
    large = torch.tensor([[3e30, 0.0], [4e30, 1e-30]])
    before = large.clone()
    torch.testing.assert_close(column_norms(large), torch.tensor([5e30, 1e-30], dtype=torch.float64))
    assert torch.equal(large, before)


def test_unlabelled_rows_belong_to_no_group_of_labelled_ones() -> None:
    y = torch.tensor([0, 1, 1, 0])
    known = Labels(y, indicators(y, 2), torch.tensor([0.5, 1.0, 1.0, 1.5]).double(), np.array([4, 0, 4, 2]))
    soft = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], dtype=torch.float64)
    joined = known.with_soft(soft)
    assert joined.groups is not None and joined.groups[:4].tolist() == [4, 0, 4, 2]
    assert len({*joined.groups[4:].tolist()} - {0, 2, 4}) == 3
    assert joined.y.tolist() == [0, 1, 1, 0, 0, 1, 1] and torch.equal(joined.targets[4:], soft)
    torch.testing.assert_close(joined.weight / joined.weight[1], torch.tensor([0.5, 1, 1, 1.5, 1, 1, 1]).double())
    assert float(joined.weight.mean()) == pytest.approx(1)


def test_a_view_without_blocks_has_no_columns() -> None:
    columns = Columns((Block("a", "mean", 0, 3),), {"none": (), "all": (0,)})
    assert columns.indices("none").tolist() == [] and columns.width("none") == 0
    assert columns.indices("all").tolist() == [0, 1, 2]


def test_the_recipes_search_tells_how_far_it_is_and_what_it_cost() -> None:
    """Four FLOPs a multiply-add pair, step and image of a batch: of the scores on all features, of each head on few."""
    n, d, c, steps = 30, 20, 3, 4
    X, y = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32), np.arange(n) % c
    columns = Columns((Block("a", "mean", 0, 12), Block("b", "mean", 12, d)), {"all": (0, 1), LINEAR_VIEW: (1,)})
    grid = RecipeGrid(learning_rates=(0.1, 0.01), steps=(steps,), penalties=(1e-5,), fractions=(0.1, 0.5))
    told: list[tuple[int, int]] = []
    folds = stratified_folds(y, 3)
    found = recipe_search(X, y, columns, folds, grid=grid, progress=lambda done, total, _: told.append((done, total)))
    assert told == [(i, 7) for i in range(7)]  # two learning rates in three folds, and the last fit
    kept = {0.1: 2, 0.5: 10}
    in_folds = 6 * 4 * (d + 2 + 10) * c * steps * 20
    assert found.flops == in_folds + 4 * (d + kept[found.choice["fraction"]]) * c * steps * n
    assert found.choice["features"] == kept[found.choice["fraction"]] == len(found.head.indices)


@pytest.mark.parametrize("room", [0.5, 0.99, 1.01, 2.0])
def test_the_standardised_copy_takes_its_share_of_the_free_memory_at_most(
    room: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, tiles are made of the matrix itself, and are the same."""
    X = np.random.default_rng(0).normal(size=(50, 70)).astype(np.float32)
    free = SimpleNamespace(available=room * X.nbytes / HELD_SHARE)
    monkeypatch.setattr("head2toe.probes.standardised.psutil.virtual_memory", lambda: free)
    rows = Standardised(X)
    assert (rows._copy is not None) == (room > 1)
    expected = torch.from_numpy(((X - X.mean(0)) / X.std(0)).T)
    torch.testing.assert_close(rows.tile(np.arange(70)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("classes", "most", "size"), [(2, 127, 2), (31, 127, 31), (32, 3, 12), (100, 3, 38)])
def test_coefficients_of_many_classes_take_three_bits_and_of_few_eight(classes: int, most: int, size: int) -> None:
    assert (classes >= MANY_CLASSES) == (most == 3)
    assert levels(classes) == most and bytes_a_feature(classes) == size
    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(-most, most + 1, (classes, 50), generator=generator).float()
    whole[:, 0], whole[:, 1] = most, -most
    stored = packed(whole)
    assert stored.nbytes == 50 * size and torch.equal(unpacked(stored, classes), whole)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_strength_of_scores_is_not_chosen_again_on_the_features_that_it_selected(seed: int) -> None:
    """There leaving one out would warn of nothing: several strengths are as the one that all features choose."""
    rng = np.random.default_rng(seed)
    n, d, y = 60, 900, np.arange(60) % 3
    X = rng.normal(size=(n, d)).astype(np.float32)
    X[:, :6] += 0.7 * np.eye(3)[y][:, np.arange(6) % 3]
    rows, everything = Standardised(X), np.arange(n)
    known = Labels(torch.from_numpy(y), indicators(torch.from_numpy(y), 3), torch.ones(n, dtype=torch.float64))
    gram = rows.gram(np.arange(d))
    kernel = centre(gram, everything, everything[:0], known.weight)
    best = KernelRidge(kernel.train, known.targets, known.weight).best_strength(RIDGE_STRENGTHS)
    several, one = (
        group_lasso_scores(rows, np.arange(d), everything, known, s, gram) for s in (RIDGE_STRENGTHS, (best,))
    )
    np.testing.assert_allclose(several, one, rtol=1e-6)


def test_of_few_columns_no_number_of_features_is_tried_twice() -> None:
    """A thirtieth of twenty columns is one of them, and so is a thousandth: a candidate each would be the same one."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 20)).astype(np.float32), np.arange(60) % 2
    X[:, 0] += y
    table = search(X, y, Columns.plain(20), settings=SearchSettings(patience=np.inf)).table
    sizes = {row["fraction"]: row["features"] for row in table if row["view"] != LINEAR_VIEW}
    assert sizes == {0.03: 1, 0.1: 2, 1.0: 20}
