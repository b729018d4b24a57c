"""Sparse multi-class logistic regression: whole features are chosen by a group lasso, with a certificate."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from head2toe.checks import is_number, require, require_whole
from head2toe.errors import OneClassError, ParameterError
from head2toe.estimators.checks import check_finite, check_strength
from head2toe.estimators.host import on_host
from head2toe.estimators.labels import as_labels
from head2toe.estimators.logits import FromLogits
from head2toe.estimators.target import Target
from head2toe.estimators.weights import row_weights, sample_weights
from head2toe.plain_torch import plain_torch
from head2toe.probes.group_lasso import GroupLassoResult, group_lasso, lambda_max

Matrix = np.ndarray | torch.Tensor
_ROUNDINGS = 8  # rounded products add up to more than one rounding error
_DTYPES = {None: None, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Data:
    """What the solver is given: rows where they lie, and weights of zero for those that do not count."""

    X: Matrix
    target: Target
    weight: np.ndarray


def _greatest(data: Data) -> float:
    """The largest magnitude in the rows that count; others may hold anything, a sentinel say."""
    if data.weight.all():
        return max(float(data.X.max()), -float(data.X.min()))
    return max(float(abs(data.X[row]).max()) for row in np.flatnonzero(data.weight))


class GroupLassoClassifier(FromLogits, ClassifierMixin, BaseEstimator):
    """What the estimators with a given and with a chosen strength share; each has a `fit` of its own."""

    coef_: np.ndarray
    intercept_: np.ndarray
    selected_: np.ndarray
    n_features_in_: int

    fit_intercept: bool
    tol: float
    max_iter: int
    ridge: float
    class_weight: Mapping[Any, float] | str | None
    group_weights: ArrayLike | None
    dtype: str | None

    def _logits(self, X: ArrayLike | torch.Tensor) -> np.ndarray:
        check_is_fitted(self)
        rows = validate_data(self, on_host(X), dtype=[np.float64, np.float32], ensure_all_finite=False, reset=False)
        check_finite(cast("np.ndarray", rows))
        kept = np.take(rows, self.selected_, axis=1).astype(np.float64)
        return kept @ self.coef_[:, self.selected_].T.astype(np.float64) + self.intercept_

    def _data(self, X: ArrayLike | torch.Tensor, y: ArrayLike, sample_weight: ArrayLike | None) -> Data:
        """Check everything; scikit-learn looks at tensors as arrays, without a copy where they lie on the CPU."""
        known = list(_DTYPES)  # a list looks at values that cannot be hashed too
        require(self.dtype in known, "dtype", self.dtype, "'float32', 'float64' or None")
        for name in ("fit_intercept", "warm_start"):
            value = getattr(self, name, False)
            require(isinstance(value, bool | np.bool_ | int), name, value, "True or False")
        require_whole("max_iter", self.max_iter)
        require(is_number(self.tol) and self.tol > 0, "tol", self.tol, "a positive number")
        fits = is_number(self.ridge) and 0 <= self.ridge < np.inf
        require(fits, "ridge", self.ridge, "a number that is not negative")
        labels = y if y is None else as_labels(y)
        # scikit-learn has no types, and the checker reads its defaults as such.
        kinds: Any = {"dtype": [np.float64, np.float32], "ensure_all_finite": False}
        rows, labels = validate_data(self, on_host(X), cast("Any", labels), **kinds)
        check_finite(cast("np.ndarray", rows))
        whole = Target.of(cast("ArrayLike", labels))
        weight = row_weights(whole, self.class_weight, sample_weights(sample_weight, len(whole.y)))
        present = np.unique(whole.y[weight > 0])
        if len(present) < 2:
            raise OneClassError(f"{len(present)} class with a positive weight: a classifier needs at least 2 classes")
        elsewhere = isinstance(X, torch.Tensor) and X.is_floating_point() and X.device.type != "cpu"
        numbers = np.searchsorted(present, whole.y).clip(max=len(present) - 1)
        return Data(cast("Matrix", X if elsewhere else rows), Target(whole.classes[present], numbers), weight)

    def _options(self, data: Data, weight: np.ndarray | None = None) -> dict[str, Any]:
        """The options of every call of the solver; tolerances and ridge are not for `lambda_max`."""
        return {
            "classes": len(data.target.classes),
            "fit_intercept": self.fit_intercept,
            "sample_weight": data.weight if weight is None else weight,
            "group_weights": self._group_weights(),
            "dtype": _DTYPES[self.dtype],
        }

    def _group_weights(self) -> np.ndarray | None:
        try:
            return None if self.group_weights is None else np.array(self.group_weights, np.float64)
        except (TypeError, ValueError) as error:
            raise ParameterError("group_weights must be positive numbers, one a feature") from error

    def _limits(self) -> dict[str, Any]:
        return {"ridge": self.ridge, "tolerance": self.tol, "max_iter": int(self.max_iter)}

    def _largest(self, data: Data) -> float:
        """The strength from which on nothing is selected; where it is rounding alone, one far above, with a warning."""
        largest = lambda_max(data.X, data.target.y, **self._options(data))
        greatest = _greatest(data)
        precision = np.finfo(np.float32 if self.dtype == "float32" or "32" in str(data.X.dtype) else np.float64).eps
        own = self._group_weights()
        weights = np.ones(1) if own is None else own
        if largest > _ROUNDINGS * precision * greatest / weights.min():
            return largest
        warnings.warn(
            "no feature tells the classes apart: nothing is selected; all that features say is rounding beside the "
            f"largest number of X, {greatest:.3g}: standardise X, and drop columns that do not vary",
            UserWarning,
            stacklevel=4,
        )
        return (greatest or 1.0) / weights.min()

    def _assume(self, result: GroupLassoResult, classes: np.ndarray) -> Self:
        """Become what the solver found."""
        if result.gap > self.tol:
            advice = "raise max_iter" if result.status == "max_iter" else "standardise X, use float64, or raise tol"
            warnings.warn(
                f"relative duality gap {result.gap:.1e} > tol = {self.tol:g} after {result.iterations} Newton steps: "
                f"{advice}",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.classes_ = classes
        self.coef_ = result.coef.numpy().T
        self.intercept_ = result.intercept.numpy()
        self.selected_ = result.indices.numpy()
        self.alpha_ = result.strength
        self.objective_, self.dual_gap_ = result.objective, result.gap
        self.n_iter_ = max(1, result.iterations)
        self.result_ = result
        return self


class MultinomialGroupLasso(GroupLassoClassifier):
    """Softmax regression with a group lasso: a feature is used by all classes or by none.

    minimise ``mean_i v_i CE(x_i W + b, y_i) + alpha sum_j w_j ||W_j||_2 + ridge / 2 ||W||^2``, the sample weights v
    scaled to mean one, W of shape (d, c). Solved to a certified relative duality gap; X is used as given, so features
    of different units should be standardised before.

    Parameters
    ----------
    alpha : float
        Strength of the penalty, lambda.
    ratio : float in (0, 1], optional
        Strength as a share of the smallest that selects nothing; replaces `alpha`.
    fit_intercept : bool
        The intercept is not penalised.
    tol : float
        Relative duality gap at which to stop: the objective is at most this share above the optimum; where that is
        below a thousandth of the objective of intercepts alone, at most this share of the thousandth.
    max_iter : int
        Newton steps in all.
    ridge : float
        Strength of an additional squared penalty.
    class_weight : None, "balanced" or dict of label to weight
    group_weights : array (d,), optional
        Positive factors of the features' penalties.
    warm_start : bool
        Start from the coefficients of the last fit, where features and classes are the same.
    dtype : "float32", "float64" or None
        Of the products; None: that of X.

    Attributes
    ----------
    classes_ : array (c,)
    coef_ : array (c, d)
        W transposed; exactly zero but for the columns in `selected_`. Two classes have two rows.
    intercept_ : float64 array (c,)
    selected_ : int64 array, ascending
        The features that are used.
    alpha_ : float
        The strength that was used.
    objective_, dual_gap_ : float
        The objective, and the relative duality gap reached (relative as for `tol`).
    n_iter_ : int
    result_ : head2toe.probes.group_lasso.GroupLassoResult
        All that the solver returned: status and history too.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> MultinomialGroupLasso(ratio=0.1).fit(X / 16, y).coef_.shape
    (10, 64)
    """

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        ratio: float | None = None,
        fit_intercept: bool = True,
        tol: float = 1e-4,
        max_iter: int = 1000,
        ridge: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        group_weights: ArrayLike | None = None,
        warm_start: bool = False,
        dtype: str | None = None,
    ) -> None:
        self.alpha = alpha
        self.ratio = ratio
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.ridge = ridge
        self.class_weight = class_weight
        self.group_weights = group_weights
        self.warm_start = warm_start
        self.dtype = dtype

    def fit(self, X: ArrayLike | torch.Tensor, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Solve.

        Parameters
        ----------
        X : array or Tensor (n, d)
            A memmap is read in column chunks; a tensor on a GPU is worked on there.
        y : array (n,)
            Strings, whole numbers or booleans.
        sample_weight : array (n,), optional
            Non-negative.

        Returns
        -------
        MultinomialGroupLasso
            Itself.

        Raises
        ------
        OneClassError, MissingLabelError, ParameterError, DataFormatError, NotFiniteError
        """
        fits = self.ratio is None or (is_number(self.ratio) and 0 < self.ratio <= 1)
        require(fits, "ratio", self.ratio, "a number above 0 and at most 1, or None")
        data = self._data(X, y, sample_weight)
        if self.ratio is None:
            check_strength("alpha", self.alpha, self.ridge)
        options = self._options(data)
        start = self._start(data) if self.warm_start else None
        with plain_torch():
            alpha = self.alpha if self.ratio is None else self.ratio * self._largest(data)
            found = group_lasso(data.X, data.target.y, alpha, start=start, **options, **self._limits())
            return self._assume(found, data.target.classes)

    def _start(self, data: Data) -> GroupLassoResult | None:
        same = hasattr(self, "result_") and np.array_equal(self.classes_, data.target.classes)
        return self.result_ if same and self.result_.shape[0] == data.X.shape[1] else None
