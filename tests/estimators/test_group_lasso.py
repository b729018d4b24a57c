"""The group lasso as scikit-learn estimators."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from head2toe import MultinomialGroupLasso, MultinomialGroupLassoCV
from head2toe.errors import NotFiniteError, OneClassError, ParameterError, TooFewImagesError
from head2toe.probes.group_lasso import group_lasso, lambda_max


# The tolerances are those that "the same to 7 digits" of some checks needs.
@parametrize_with_checks([MultinomialGroupLasso(tol=1e-8), MultinomialGroupLassoCV(n_alphas=3, cv=3, tol=1e-8)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, np.array([f"digit {k}" for k in y])[:600]


def test_it_is_what_the_solver_says(digits):
    X, y = digits
    model = MultinomialGroupLasso(alpha=0.02, tol=1e-8).fit(X, y)
    classes, numbers = np.unique(y, return_inverse=True)
    result = group_lasso(X, numbers, 0.02, tolerance=1e-8)
    np.testing.assert_array_equal(model.classes_, classes)
    np.testing.assert_allclose(model.coef_, result.coef.numpy().T)
    np.testing.assert_array_equal(model.selected_, np.nonzero(np.abs(model.coef_).sum(axis=0))[0])
    assert 0 < len(model.selected_) < 64
    assert model.dual_gap_ <= 1e-8
    np.testing.assert_allclose(model.decision_function(X), X @ model.coef_.T + model.intercept_)
    assert model.score(X, y) > 0.8


def test_ratio_is_a_share_of_the_largest_alpha(digits):
    X, y = digits
    largest = lambda_max(X, np.unique(y, return_inverse=True)[1])
    assert MultinomialGroupLasso(ratio=0.25).fit(X, y).alpha_ == pytest.approx(0.25 * largest)
    assert len(MultinomialGroupLasso(ratio=1.0).fit(X, y).selected_) == 0


def test_tensors_and_memmaps_are_rows_too(digits, tmp_path):
    X, y = digits
    expected = MultinomialGroupLasso(alpha=0.02).fit(X, y)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for same in (torch.from_numpy(X), mapped):
        model = MultinomialGroupLasso(alpha=0.02).fit(same, y)
        np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
        np.testing.assert_array_equal(model.predict(same), expected.predict(X))


def test_float32_features_are_worked_on_as_such_unless_told_otherwise(digits):
    X, y = digits
    single = X.astype(np.float32)
    assert MultinomialGroupLasso(alpha=0.02).fit(single, y).coef_.dtype == np.float32
    double = MultinomialGroupLasso(alpha=0.02, dtype="float64", tol=1e-9).fit(single, y)
    assert double.coef_.dtype == np.float64
    assert double.dual_gap_ <= 1e-9


def test_balanced_class_weights_are_sample_weights(digits):
    X, y = digits[0][:300], np.where(digits[1][:300] == "digit 3", "three", "other")
    counts = {label: (y == label).sum() for label in ("three", "other")}
    by_hand = np.array([150 / counts[label] for label in y])
    balanced = MultinomialGroupLasso(alpha=0.01, tol=1e-9, class_weight="balanced").fit(X, y)
    weighted = MultinomialGroupLasso(alpha=0.01, tol=1e-9).fit(X, y, sample_weight=by_hand)
    np.testing.assert_allclose(balanced.coef_, weighted.coef_, atol=1e-5)
    plain = MultinomialGroupLasso(alpha=0.01).fit(X, y)
    assert (balanced.predict(X) == "three").sum() > (plain.predict(X) == "three").sum()


def test_a_class_without_weight_is_no_class(digits):
    X, y = digits
    weight = (y != "digit 7").astype(float)
    model = MultinomialGroupLasso(alpha=0.02, tol=1e-8).fit(X, y, sample_weight=weight)
    without = MultinomialGroupLasso(alpha=0.02, tol=1e-8).fit(X[weight > 0], y[weight > 0])
    assert "digit 7" not in model.classes_
    np.testing.assert_allclose(model.coef_, without.coef_, atol=1e-5)


def test_heavier_groups_stay_out(digits):
    X, y = digits
    chosen = MultinomialGroupLasso(alpha=0.02).fit(X, y).selected_
    weights = np.ones(64)
    weights[chosen[0]] = 1e3
    assert chosen[0] not in MultinomialGroupLasso(alpha=0.02, group_weights=weights).fit(X, y).selected_


def test_a_warm_start_has_nothing_left_to_do(digits):
    X, y = digits
    model = MultinomialGroupLasso(alpha=0.01, warm_start=True).fit(X, y)
    first, coef = model.result_.iterations, model.coef_
    assert model.fit(X, y).result_.iterations == 0 < first
    np.testing.assert_array_equal(model.coef_, coef)


def test_a_gap_left_open_is_told(digits):
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model = MultinomialGroupLasso(alpha=1e-4, tol=1e-9, max_iter=1).fit(*digits)
    assert model.dual_gap_ > 1e-9


def test_cross_validation_scores_what_single_fits_score(digits):
    X, y = digits[0][:300], digits[1][:300]
    folds = StratifiedKFold(3)
    model = MultinomialGroupLassoCV(alphas=(0.05, 0.01), cv=folds, scoring="accuracy", tol=1e-7).fit(X, y)
    for row, alpha in zip(model.scores_, (0.05, 0.01), strict=True):
        for score, (train, test) in zip(row, folds.split(X, y), strict=True):
            single = MultinomialGroupLasso(alpha=alpha, tol=1e-7).fit(X[train], y[train])
            assert score == pytest.approx(single.score(X[test], y[test]), abs=0.011)
    again = MultinomialGroupLasso(alpha=model.alpha_, tol=1e-7).fit(X, y)
    np.testing.assert_allclose(model.coef_, again.coef_, atol=1e-3)


def test_cross_validation_chooses_a_strength_that_predicts(digits):
    X, y = digits
    model = MultinomialGroupLassoCV(n_alphas=6, cv=3).fit(X[:400], y[:400])
    assert model.alpha_ == model.alphas_[model.scores_.mean(axis=1).argmax()]
    assert model.alpha_ < model.alphas_[0]
    assert model.score(X[400:], y[400:]) > 0.8
    assert np.array_equal(np.flatnonzero(model.entry_alphas_ == 0), np.setdiff1d(np.arange(64), _ever(model, X, y)))
    assert sorted(model.ranking_) == list(range(1, 65))
    assert model.ranking_[model.entry_alphas_ > 0].max() == (model.entry_alphas_ > 0).sum()


def _ever(model, X, y):
    """Features that a single fit uses at one of the path's strengths."""
    alphas = model.alphas_[model.alphas_ >= model.alpha_]
    fits = [MultinomialGroupLasso(alpha=alpha, tol=1e-6).fit(X[:400], y[:400]) for alpha in alphas[1:]]
    return np.unique(np.concatenate([fit.selected_ for fit in fits]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MultinomialGroupLasso(alpha=0), "alpha is"),
        (MultinomialGroupLasso(alpha=-1), "alpha is"),
        (MultinomialGroupLasso(ratio=2), "ratio"),
        (MultinomialGroupLasso(tol=0), "tol"),
        (MultinomialGroupLasso(max_iter=0), "max_iter"),
        (MultinomialGroupLasso(dtype="float16"), "dtype"),
        (MultinomialGroupLassoCV(scoring="f1"), "scoring"),
        (MultinomialGroupLassoCV(eps=2), "eps"),
    ],
)
def test_parameters_out_of_range(digits, model, message):
    with pytest.raises(ParameterError, match=message):
        model.fit(*digits)


def test_one_class_is_refused(digits):
    with pytest.raises(OneClassError, match="2 classes"):
        MultinomialGroupLasso().fit(digits[0], np.full(600, "same"))


def test_the_code_of_the_how_to_page_runs(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to-group-lasso.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 5
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    printed = capsys.readouterr().out
    assert "of 64 features, accuracy 0.9" in printed
    assert "the best tenth: columns [" in printed
    assert "[64, 10]" in printed


def test_the_how_to_page_shows_what_was_measured(monkeypatch):
    root = Path(__file__).resolve().parents[2]
    monkeypatch.syspath_prepend(root)
    from benchmarks.bench_group_lasso import on_page
    from benchmarks.records import read

    page = (root / "docs" / "how-to-group-lasso.md").read_text(encoding="utf-8")
    assert "| synthetic | 20,000 | 10 | 0.1 |" in page
    assert on_page(page, read("group_lasso")) == page


def test_the_benchmark_tells_a_crash_from_a_solver_that_is_too_slow(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    from benchmarks.bench_group_lasso import WITHIN, Run, summary

    far, there = {"objective": 2.0, "seconds": 1.0}, {"objective": 1 + WITHIN / 2, "seconds": 3.0}
    assert summary([Run([far])], 1.0, 60) == {"over": 60, "tried": True, "error": 1.0}
    assert summary([Run([far], crashed=True)], 1.0, 60) == {"crashed": True, "error": 1.0}
    assert summary([Run([], crashed=True)], 1.0, 60) == {"crashed": True, "error": None}
    assert summary([Run([far, there])], 1.0, 60)["seconds"] == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_matrix_on_cuda_is_solved_there_to_the_same_objective(digits, dtype):
    X, y = torch.from_numpy(digits[0]), digits[1]
    here = MultinomialGroupLasso(ratio=0.1, tol=1e-8).fit(X, y)
    tol = 1e-6 if dtype == torch.float64 else 1e-4
    torch.cuda.reset_peak_memory_stats()
    there = MultinomialGroupLasso(ratio=0.1, tol=tol).fit(X.to("cuda", dtype), y)
    assert torch.cuda.max_memory_allocated() > X.numel() * X.element_size() / 2
    assert there.dual_gap_ <= tol
    assert there.objective_ == pytest.approx(here.objective_, rel=1e-4)
    np.testing.assert_allclose(there.predict_proba(X), here.predict_proba(X), atol=1e-2)


@pytest.mark.parametrize("X", [np.ones((60, 3)), np.repeat(np.random.default_rng(0).normal(size=(20, 20)), 3, 0)])
@pytest.mark.parametrize("model", [MultinomialGroupLasso(ratio=0.1), MultinomialGroupLassoCV(n_alphas=5, cv=3)])
def test_where_no_feature_tells_the_classes_apart_nothing_is_selected(X, model):
    """Constant columns, and rows that stand there once with each label: the gradient at zero is rounding."""
    with pytest.warns(UserWarning, match="no feature tells the classes apart"):
        model = clone(model).fit(X, np.arange(60) % 3)
    assert len(model.selected_) == 0 and model.dual_gap_ == 0
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": None}, "alpha is None"),
        ({"alpha": 0}, "alpha is 0"),
        ({"tol": None}, "tol is None"),
        ({"ridge": None}, "ridge is None"),
        ({"ratio": "a"}, "ratio is 'a'"),
        ({"group_weights": ["a"] * 64}, "group_weights"),
    ],
)
def test_parameters_of_another_kind_are_told_in_a_line(digits, options, message):
    with pytest.raises(ParameterError, match=message):
        MultinomialGroupLasso(**options).fit(*digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphas": []}, "alphas is"),
        ({"alphas": 0.1}, "alphas is"),
        ({"n_alphas": 2.5}, "n_alphas is"),
        ({"cv": 1}, "cv is 1"),
        ({"cv": []}, "cv has no fold"),
        ({"cv": "a"}, "cv: "),
    ],
)
def test_choices_that_cannot_be_made_are_told_before_any_fit(digits, options, message):
    with pytest.raises(ParameterError, match=message):
        MultinomialGroupLassoCV(**options).fit(*digits)


def test_more_folds_than_samples_are_refused(digits):
    with pytest.raises(TooFewImagesError, match="cv: "):
        MultinomialGroupLassoCV(cv=10**4).fit(*digits)


def test_folds_may_be_given_as_masks(digits):
    X, y = digits
    first = np.arange(len(y)) < len(y) // 2
    by_mask = MultinomialGroupLassoCV(cv=[(first, ~first)], n_alphas=3).fit(X, y)
    by_number = MultinomialGroupLassoCV(cv=[(np.flatnonzero(first), np.flatnonzero(~first))], n_alphas=3).fit(X, y)
    np.testing.assert_allclose(by_mask.scores_, by_number.scores_, rtol=1e-6)


def test_finite_numbers_whose_sum_is_not_are_no_nan(digits):
    X, y = np.abs(np.random.default_rng(0).normal(size=(60, 12))) * 1e307, np.arange(60) % 3
    with pytest.raises(NotFiniteError, match="in X or y"):  # products overflow, and that is told
        MultinomialGroupLasso(0.1).fit(X, y)


def test_nan_is_told_with_its_place(digits):
    X, y = digits
    X = np.array(X)
    X[3, 5] = np.nan
    with pytest.raises(NotFiniteError, match="row 3, column 5"):
        MultinomialGroupLasso().fit(X, y)
    fitted = MultinomialGroupLasso(ratio=0.5).fit(*digits)
    with pytest.raises(NotFiniteError, match="row 3, column 5"):
        fitted.predict(X)


def test_tensors_in_bfloat16_are_taken_as_float32(digits):
    X, y = digits
    short = torch.as_tensor(np.asarray(X, np.float32)).bfloat16()
    found, same = (MultinomialGroupLasso(ratio=0.3).fit(one, y) for one in (short, short.float()))
    np.testing.assert_array_equal(found.selected_, same.selected_)


def test_no_fold_copies_columns_that_nothing_selects(tmp_path):
    """Of a memmap the held-out rows of the selected columns alone are read into memory."""
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (60, 20_000))
    y = np.arange(60) % 2
    X[:] = rng.normal(size=X.shape)
    X[:, :3] += 3 * y[:, None]
    tracemalloc.start()
    MultinomialGroupLassoCV(alphas=[0.3], cv=2).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_a_row_that_a_fold_names_twice_counts_twice(digits):
    X, y = digits
    train, test = np.random.default_rng(0).integers(0, 400, 400), np.arange(400, 600)
    alphas = [0.05, 0.01]
    model = MultinomialGroupLassoCV(alphas, cv=[(train, test)], tol=1e-8).fit(X, y)
    for score, alpha in zip(model.scores_[:, 0], sorted(alphas, reverse=True), strict=True):
        alone = MultinomialGroupLasso(alpha, tol=1e-8).fit(X[train], y[train])
        told = np.log(alone.predict_proba(X[test]))[np.arange(200), np.searchsorted(alone.classes_, y[test])]
        assert score == pytest.approx(told.mean(), rel=1e-4)


def test_a_fold_that_tests_what_it_never_saw_is_told(digits):
    X, y = digits
    order = np.argsort(y, kind="stable")
    with pytest.warns(UserWarning, match="trains on no row of it"):
        MultinomialGroupLassoCV([0.1], cv=KFold(5)).fit(X[order], y[order])


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([(np.arange(40), np.arange(-300, 0))], "rows from -300"),
        ([(np.ones(10, bool), np.arange(5))], "mask of shape"),
        ([(np.arange(40), np.arange(590, 601))], "to 600"),
        (GroupKFold(3), "takes no groups"),
        ([5, 6], "cv"),
        ([(0, 1)], "cv"),
        (np.array(3), "cv"),
        ([(np.zeros((4, 2), int), np.arange(5))], "shape"),
        (True, "cv is True"),
    ],
)
def test_folds_that_name_no_rows_are_refused(digits, cv, message):
    with pytest.raises(ParameterError, match=message):
        MultinomialGroupLassoCV(n_alphas=2, cv=cv).fit(*digits)


@pytest.mark.parametrize("options", [{"fit_intercept": "no"}, {"warm_start": "x"}, {"fit_intercept": None}])
def test_switches_are_true_or_false(digits, options):
    with pytest.raises(ParameterError, match="use True or False"):
        MultinomialGroupLasso(**options).fit(*digits)


def test_weights_whose_sum_is_infinite_are_refused(digits):
    X, y = digits
    with pytest.raises(ParameterError, match="sum is infinite"):
        MultinomialGroupLasso().fit(X, y, np.full(len(y), 1e308))


def test_a_warm_start_towards_a_larger_alpha_is_where_a_cold_one_is(digits):
    X, y = digits
    model = MultinomialGroupLasso(1e-4, warm_start=True).fit(X, y)
    for alpha in (1e-2, 1.0):
        model.set_params(alpha=alpha).fit(X, y)
        assert model.objective_ == pytest.approx(MultinomialGroupLasso(alpha).fit(X, y).objective_, rel=2e-4)


def test_rows_of_weight_zero_are_in_no_fold_and_their_numbers_do_not_matter():
    rng = np.random.default_rng(1)
    y = np.arange(60) % 3
    X = (rng.normal(size=(60, 10)) + y[:, None] * (np.arange(10) < 2)).astype(np.float32)
    order, weight = rng.permutation(100), np.repeat([1.0, 0.0], [60, 40])[:, None]
    padded = np.concatenate([X, np.full((40, 10), -999999, np.float32)])[order]
    labels, weight = np.concatenate([y, np.zeros(40, int)])[order], weight[order, 0]
    counts, model = weight > 0, MultinomialGroupLassoCV(n_alphas=5)
    found = clone(model).fit(padded, labels, sample_weight=weight)
    alone = clone(model).fit(padded[counts], labels[counts])
    np.testing.assert_allclose(found.alphas_, alone.alphas_, rtol=1e-6)
    np.testing.assert_allclose(found.scores_, alone.scores_, atol=1e-3)
    np.testing.assert_array_equal(found.ranking_, alone.ranking_)


def test_of_strengths_that_are_right_as_often_the_largest_is_kept():
    """Sums of the same accuracies in another order differ by rounding."""
    rng = np.random.default_rng(20)
    X, y = rng.normal(size=(60, 8)), rng.integers(0, 2, 60)
    X[:, 0] += 0.7 * y
    model = MultinomialGroupLassoCV(cv=7, scoring="accuracy", tol=1e-3).fit(X, y)
    means = model.scores_.mean(axis=1)
    assert model.alpha_ == model.alphas_[np.isclose(means, means.max(), rtol=0, atol=1e-12)][0]
