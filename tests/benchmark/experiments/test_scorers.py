from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.feature_selection import chi2, f_classif, mutual_info_classif

from head2toe.benchmark.experiments.scorers import SCORERS, Question, interpolated
from head2toe.benchmark.experiments.sklearn_scorers import ALL_SCORERS
from head2toe.probes.least_squares import indicators
from head2toe.probes.ranking import largest, top
from head2toe.probes.standardised import Standardised

N, D, PLANTED = 120, 200, np.array([3, 40, 77, 150, 199])
BY_LABEL = [name for name in ALL_SCORERS if name not in ("random", "variance")]


@pytest.fixture(scope="module")
def question():
    """Five columns that know the class among noise; 30 further rows that no scorer may look at."""
    rng = np.random.default_rng(0)
    y = np.arange(N + 30) % 4
    X = rng.normal(size=(N + 30, D)).astype(np.float32)
    X[:, PLANTED] += 2.0 * rng.normal(size=(4, 5))[y]
    return ask(X, y, np.arange(N))


def ask(X, y, train):
    rows = Standardised(X)
    indices = np.arange(X.shape[1])
    targets = indicators(torch.from_numpy(y[train]), 4)
    return Question(rows, indices, indices // 50, train, targets, rows.gram(indices))


@pytest.mark.parametrize("name", BY_LABEL)
def test_planted_features_come_first(name, question):
    scores = ALL_SCORERS[name](question)
    assert scores.shape == (D,) and np.isfinite(scores).all()
    np.testing.assert_array_equal(top(scores, 5 / D), PLANTED)


@pytest.mark.parametrize("name", ALL_SCORERS)
def test_rows_outside_the_training_part_do_not_matter(name, question):
    X = question.rows.X.copy()
    held_out = np.arange(N, N + 30)
    y = np.arange(N + 30) % 4
    shuffled = X.copy()
    shuffled[held_out] = X[held_out[::-1]]  # the same values of each column, so the same scale
    again = ask(shuffled, y, np.arange(N))
    np.testing.assert_allclose(ALL_SCORERS[name](again), ALL_SCORERS[name](question), rtol=2e-3, atol=1e-6)


def test_filters_are_scikit_learns(question):
    X, y = question.rows.X[:N], np.arange(N) % 4
    np.testing.assert_allclose(ALL_SCORERS["f_classif"](question), f_classif(X, y)[0], rtol=1e-3)
    unit = (X - X.min(0)) / (X.max(0) - X.min(0))
    np.testing.assert_allclose(ALL_SCORERS["chi2"](question), chi2(unit, y)[0], rtol=1e-3)
    bins = (X[None] > np.quantile(X, np.arange(1, 10) / 10, axis=0)[:, None]).sum(0)
    expected = mutual_info_classif(bins, y, discrete_features=True)
    np.testing.assert_allclose(ALL_SCORERS["mutual_info_classif"](question), expected, rtol=1e-4, atol=1e-6)


def test_norms_are_those_of_one_ridge_head(question):
    l1, l2, linf = (SCORERS[name](question) for name in ("l1", "l2", "linf"))
    assert (linf <= l2 * (1 + 1e-6)).all() and (l2 <= l1 * (1 + 1e-6)).all() and (l1 <= 2 * l2 * (1 + 1e-6)).all()


def test_variance_is_of_unit_blocks(question):
    X = question.rows.X[:N, :50].astype(float)
    expected = (X / np.linalg.norm(X, axis=1, keepdims=True)).var(0)
    np.testing.assert_allclose(SCORERS["variance"](question)[:50], expected, rtol=1e-6)


def test_constant_features_score_nothing():
    X = np.random.default_rng(1).normal(size=(40, 60)).astype(np.float32)
    X[:, 7] = 3.0
    question = ask(X, np.arange(40) % 4, np.arange(40))
    for name in BY_LABEL:
        assert ALL_SCORERS[name](question)[7] == pytest.approx(0, abs=1e-9), name


def test_interpolation_has_features_and_layers_at_its_ends():
    scores, blocks = np.array([1.0, 5.0, 2.0, 2.0]), np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(interpolated(scores, blocks, 0.0), scores)
    np.testing.assert_array_equal(interpolated(scores, blocks, 1.0), [3, 3, 2, 2])
    np.testing.assert_array_equal(interpolated(scores, blocks, 0.5), [2, 4, 2, 2])


@pytest.mark.parametrize("count", [1, 7, 60, 100, 130])
def test_the_largest_are_those_a_stable_sort_puts_first(count):
    scores = np.random.default_rng(0).integers(0, 6, 100).astype(float)  # many ties
    expected = np.sort(np.argsort(-scores, kind="stable")[:count])
    np.testing.assert_array_equal(largest(scores, count), expected)
