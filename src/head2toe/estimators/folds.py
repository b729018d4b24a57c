"""Folds of cross-validation as users give them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import check_cv

from head2toe.checks import is_number, is_whole
from head2toe.errors import ParameterError, TooFewImagesError, one_line


def folds_of(cv: Any, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers of the training and the test part of each fold; cv as scikit-learn takes it.

    Raises
    ------
    ParameterError
        No folds, or no such ones.
    TooFewImagesError
        More folds than they can be made of.
    """
    n, counted = len(y), is_number(cv) or isinstance(cv, bool | np.bool_)
    given: Any = check_folds(cv) if counted else cv
    try:
        splitter: Any = check_cv(given, y, classifier=True)
        parts = [(_row_numbers(train, n), _row_numbers(test, n)) for train, test in splitter.split(y[:, None], y)]
    except (ValueError, TypeError) as error:
        kind = TooFewImagesError if counted else ParameterError
        hint = "; fit takes no groups: pass pairs of training and test rows" if "'groups'" in str(error) else ""
        raise kind(f"cv: {one_line(error)}{hint}") from error
    if not parts:
        raise ParameterError("cv has no fold: use a number of folds, or pairs of training and test rows")
    for train, test in parts:
        if not len(train) or not len(test):
            raise ParameterError("cv has a fold without rows to train on, or to test")
    return parts


def _row_numbers(rows: ArrayLike, n: int) -> np.ndarray:
    given = np.asarray(rows)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "biu"):
        raise ParameterError(f"cv names rows by {given.dtype} of shape {given.shape}: use row numbers or a mask")
    if given.dtype == bool and given.shape != (n,):
        raise ParameterError(f"cv has a mask of shape {given.shape}: {n} rows need ({n},)")
    numbers = np.flatnonzero(given) if given.dtype == bool else given.astype(np.int64)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n:
        first, last = numbers.min(), numbers.max()
        raise ParameterError(f"cv names rows from {first} to {last}, some beyond the {n} that there are")
    return numbers


def check_folds(cv: Any) -> int:
    """The number of folds, as an int.

    Raises
    ------
    ParameterError
        Not a whole number of at least 2.
    """
    if not is_whole(cv) or cv < 2:
        shown = repr(cv) if isinstance(cv, int | float | str) else f"a {type(cv).__name__}"
        raise ParameterError(f"cv is {shown}: use a whole number of folds, at least 2")
    return int(cv)
