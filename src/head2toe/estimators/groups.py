"""Groups of rows that belong together: pictures of one object, frames of one film, cells of one patient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from head2toe.data import LabelledImages
from head2toe.errors import ClassTooSmallError, DataFormatError, MissingLabelError, ParameterError, TooFewImagesError
from head2toe.estimators.labels import as_labels
from head2toe.estimators.target import Target


def groups_of(images: Any, groups: ArrayLike | None = None) -> ArrayLike | None:
    """The groups given, else those that `LabelledImages` bring, else None."""
    return images.groups if groups is None and isinstance(images, LabelledImages) else groups


def group_numbers(groups: ArrayLike | None, n: int) -> np.ndarray | None:
    """Groups of n rows as int64 numbers (n,); None where there are none.

    Raises
    ------
    ParameterError
        Not one name or number a row.
    """
    if groups is None:
        return None
    try:
        given = as_labels(groups)
        given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given  # a column of a table
        numbers = np.unique(given, return_inverse=True)[1] if given.ndim == 1 else given
    except (DataFormatError, MissingLabelError, TypeError) as error:
        raise ParameterError("groups must be one name or number a row, all of one kind and none missing") from error
    if numbers.shape != (n,):
        raise ParameterError(f"groups have shape {numbers.shape}: {n} rows need one name or number each, ({n},)")
    return numbers.astype(np.int64)


def check_groups(target: Target, groups: np.ndarray | None, folds: int, *, alone: bool = False) -> None:
    """Refuse groups that folds cannot keep together: too few, or a class in one of them unless it may stand `alone`.

    Raises
    ------
    TooFewImagesError, ClassTooSmallError
    """
    if groups is None:
        return
    many = len(np.unique(groups))
    if many < folds:
        raise TooFewImagesError(f"there are fewer groups ({many}) than folds ({folds}): add groups or lower cv")
    pairs = np.unique(np.stack([target.y, groups]), axis=1)[0]  # the class of each group that has it
    held = np.bincount(pairs, minlength=len(target.classes))
    if held.min() < 2 and not alone:
        small = target.classes.tolist()[held.argmin()]
        raise ClassTooSmallError(
            f"all of class {small!r} is in one group: no fold can both learn and judge it; add groups of it or drop it"
        )
