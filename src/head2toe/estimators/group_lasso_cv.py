"""The sparse classifier whose strength is chosen by cross-validation along a path."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning

from head2toe.checks import is_number, is_whole, require
from head2toe.errors import OneClassError, ParameterError
from head2toe.estimators.checks import check_strength
from head2toe.estimators.folds import folds_of
from head2toe.estimators.group_lasso import Data, GroupLassoClassifier
from head2toe.estimators.host import columns_on_host
from head2toe.estimators.logits import probabilities
from head2toe.plain_torch import plain_torch
from head2toe.probes.group_lasso import GroupLassoResult, entries, group_lasso_path


class MultinomialGroupLassoCV(GroupLassoClassifier):
    """`MultinomialGroupLasso` with its strength chosen by cross-validation along a warm-started path.

    Parameters
    ----------
    alphas : sequence of float, optional
        Strengths to choose among; by default `n_alphas` in geometric progression from the smallest that selects
        nothing down to `eps` times it.
    n_alphas : int
    eps : float
    cv : int, splitter or iterable of (train, test)
        A number means stratified folds, not shuffled, of the rows whose weight is not zero. No fold's matrix is copied:
        held-out rows get weight zero.
    scoring : "neg_log_loss" or "accuracy"
        Ties go to the larger strength, which is the smaller model.
    fit_intercept, tol, max_iter, ridge, class_weight, group_weights, dtype
        As in `MultinomialGroupLasso`.

    Attributes
    ----------
    alphas_ : float64 array (m,), descending
    scores_ : float64 array (m, folds)
        Larger is better; weighted by the sample and class weights.
    alpha_ : float
        The strength chosen.
    entry_alphas_ : float64 array (d,)
        The largest strength of the path, down to the one chosen, at which a feature is used; 0: it never is.
    ranking_ : int64 array (d,)
        1 for the most relevant feature, d for the least: by entry, then by the size of its coefficients there; of
        those that are never used by how near they are to it. ``ranking_ <= F * d`` keeps a share F of the features.
    classes_, coef_, intercept_, selected_, objective_, dual_gap_, n_iter_, result_, n_features_in_
        Of the fit on all rows; as in `MultinomialGroupLasso`.
    """

    def __init__(
        self,
        alphas: Sequence[float] | None = None,
        *,
        n_alphas: int = 20,
        eps: float = 1e-2,
        cv: Any = 5,
        scoring: str = "neg_log_loss",
        fit_intercept: bool = True,
        tol: float = 1e-4,
        max_iter: int = 1000,
        ridge: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        group_weights: ArrayLike | None = None,
        dtype: str | None = None,
    ) -> None:
        self.alphas = alphas
        self.n_alphas = n_alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.ridge = ridge
        self.class_weight = class_weight
        self.group_weights = group_weights
        self.dtype = dtype

    def fit(self, X: ArrayLike | torch.Tensor, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Choose the strength by cross-validation, then solve on all rows.

        Arguments and errors are those of `MultinomialGroupLasso.fit`.

        Raises
        ------
        TooFewImagesError
            Fewer rows than folds.
        OneClassError
            Also where the training rows of a fold are of one class.
        """
        require(self.scoring in ("neg_log_loss", "accuracy"), "scoring", self.scoring, "'neg_log_loss' or 'accuracy'")
        data = self._data(X, y, sample_weight)
        folds = self._folds(data)
        with plain_torch():
            self.alphas_ = self._strengths(data)
            _warn_of_unseen(data, folds)
            self.scores_ = np.stack([self._scores(data, train, test) for train, test in folds], axis=1)
            best = int(np.argmax(self.scores_.mean(axis=1).round(12)))  # of a tie the first, whatever its sum rounds to
            path = group_lasso_path(
                data.X, data.target.y, list(self.alphas_[: best + 1]), **self._options(data), **self._limits()
            )
            self.entry_alphas_, self.ranking_ = (values.numpy() for values in entries(path))
            return self._assume(path[-1], data.target.classes)

    def _strengths(self, data: Data) -> np.ndarray:
        if self.alphas is not None:
            listed = list(self.alphas) if isinstance(self.alphas, Iterable) and not isinstance(self.alphas, str) else []
            require(bool(listed), "alphas", self.alphas, "one or more numbers, or None")
            for alpha in listed:
                check_strength("alphas", alpha, self.ridge)
            return np.sort(np.asarray(listed, np.float64))[::-1]
        if not is_whole(self.n_alphas) or self.n_alphas < 1 or not is_number(self.eps) or not 0 < self.eps < 1:
            raise ParameterError(f"n_alphas is {self.n_alphas}, eps {self.eps}: use at least 1, and a share below 1")
        return self._largest(data) * np.geomspace(1, self.eps, self.n_alphas)

    def _folds(self, data: Data) -> list[tuple[np.ndarray, np.ndarray]]:
        """A number of folds is made of the rows that count; others name rows themselves."""
        if self.cv is not None and not is_number(self.cv):
            return folds_of(self.cv, data.target.y)
        counts = np.flatnonzero(data.weight)
        return [(counts[train], counts[test]) for train, test in folds_of(self.cv, data.target.y[counts])]

    def _scores(self, data: Data, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """One fold's score of every strength on the rows `test`; classes it never saw have probability zero."""
        weight = np.bincount(train, weights=data.weight[train], minlength=len(data.weight))  # a row may come twice
        present = np.unique(data.target.y[weight > 0])
        if len(present) < 2:
            raise OneClassError("a fold's training rows are of one class: use fewer or stratified folds")
        numbers = np.searchsorted(present, data.target.y).clip(max=len(present) - 1)
        options = {**self._options(data, weight), "classes": len(present)}
        path = group_lasso_path(data.X, numbers, list(self.alphas_), **options, **self._limits())
        loose = [result for result in path if result.gap > self.tol and result.status == "max_iter"]
        if loose:
            warnings.warn(
                f"in a fold {len(loose)} of {len(path)} strengths ended at a relative duality gap above tol = "
                f"{self.tol:g}, the worst at {max(result.gap for result in loose):.1e}: raise max_iter",
                ConvergenceWarning,
                stacklevel=3,
            )
        columns = np.unique(np.concatenate([result.indices.numpy() for result in path]))
        kept = columns_on_host(data.X, columns)[test].astype(np.float64)  # columns first: no copy of all of them
        held = [kept[:, np.searchsorted(columns, result.indices.numpy())] for result in path]
        return np.array([self._score(data, part, test, present, one) for part, one in zip(held, path, strict=True)])

    def _score(
        self, data: Data, kept: np.ndarray, test: np.ndarray, present: np.ndarray, result: GroupLassoResult
    ) -> float:
        """Of the rows `test`, whose selected columns are `kept`."""
        logits = kept @ result.rows.double().numpy() + result.intercept.numpy()
        truth, weight = data.target.y[test], data.weight[test]
        if self.scoring == "accuracy":
            gain = (present[logits.argmax(axis=1)] == truth).astype(np.float64)
        else:
            proba = np.zeros((len(test), len(data.target.classes)))
            proba[:, present] = probabilities(logits)
            gain = np.log(np.maximum(proba[np.arange(len(test)), truth], np.finfo(np.float64).tiny))
        return float(weight @ gain / max(weight.sum(), np.finfo(np.float64).tiny))


def _warn_of_unseen(data: Data, folds: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Say that a fold tests classes that it does not train on: such rows decide alone, and alike for all strengths."""
    for train, test in folds:
        trained = data.target.y[train[data.weight[train] > 0]]
        unseen = np.setdiff1d(data.target.y[test], trained)
        if len(unseen):
            first = data.target.classes.tolist()[unseen[0]]
            warnings.warn(
                f"cv has a fold that tests the class {first!r} and trains on no row of it: "
                "the scores say little about the strengths; use stratified or shuffled folds",
                UserWarning,
                stacklevel=3,
            )
            return
