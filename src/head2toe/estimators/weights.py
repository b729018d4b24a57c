"""Weights of rows, from those of samples and of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from head2toe.checks import is_number
from head2toe.errors import ParameterError, one_line
from head2toe.estimators.target import Target


def sample_weights(given: ArrayLike | None, n: int) -> np.ndarray:
    """Weights of n samples, float64 (n,); ones where none are given.

    Raises
    ------
    ParameterError
        Not n numbers, one negative or no number, or all zero.
    """
    try:
        weight = _check_sample_weight(given, np.empty((n, 0)), dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise ParameterError(f"sample_weight: {error}") from error
    if not weight.any():
        raise ParameterError("all sample weights are zero: at least two classes need a positive weight")
    return _of_finite_sum(weight)


def row_weights(
    target: Target, class_weight: Mapping[Any, float] | str | None, sample_weight: np.ndarray
) -> np.ndarray:
    """Weights of rows, float64 (n,): the sample weights times the weights of the classes.

    ``"balanced"`` gives every class the same total weight, sample weights counted.

    Raises
    ------
    ParameterError
        `class_weight` is neither that nor weights from 0 on of labels that are there.
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(target.y, weights=sample_weight, minlength=len(target.classes))
        factors = totals.sum() / (len(target.classes) * np.where(totals > 0, totals, 1))
        return _of_finite_sum(sample_weight * factors[target.y])
    if isinstance(class_weight, Mapping):
        bad = [label for label, weight in class_weight.items() if not _is_weight(weight)]
        if bad:
            raise ParameterError(f"class_weight of {bad[0]!r} is {class_weight[bad[0]]!r}: use a number from 0 on")
    try:
        factors = compute_class_weight(class_weight, classes=target.classes, y=target.classes[target.y])
    except ValueError as error:
        named = class_weight if isinstance(class_weight, Mapping) else ()
        strange = [label for label in named if label not in set(target.classes)]
        hint = f"; it names {strange[0]!r}, which no label is" if strange else ""
        raise ParameterError(f"class_weight: {one_line(error)}{hint}") from error
    return _of_finite_sum(sample_weight * factors[target.y])


def _of_finite_sum(weight: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ParameterError("weights are so large that their sum is infinite: only their proportions count")
    return weight


def _is_weight(weight: Any) -> bool:
    return is_number(weight) and bool(0 <= weight < np.inf)
