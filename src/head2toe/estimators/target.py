"""Labels as class numbers, and the checks that come before any long work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from head2toe.errors import (
    ClassTooSmallError,
    DataError,
    DataFormatError,
    OneClassError,
    TooFewImagesError,
    one_line,
    some_of,
)
from head2toe.estimators.labels import as_labels, kind_error
from head2toe.features import Skipped


@dataclass(frozen=True)
class Target:
    """Labels as class numbers.

    Attributes
    ----------
    classes : array (c,)
        The distinct labels, sorted.
    y : int64 array (n,)
        Positions in `classes`.
    """

    classes: np.ndarray
    y: np.ndarray

    @staticmethod
    def of(labels: ArrayLike) -> Target:
        """Encode n labels: strings, whole numbers or booleans.

        Raises
        ------
        MissingLabelError
            A label is None or NaN.
        DataFormatError
            The labels have more than one axis, are bytes, dates or other objects, or of kinds that have no order among
            them.
        ValueError
            The labels are continuous (scikit-learn's message).
        """
        try:
            values = column_or_1d(as_labels(labels), warn=True)
        except ValueError as error:
            raise error if isinstance(error, DataError) else DataFormatError(f"labels: {one_line(error)}") from error
        try:
            classes, y = np.unique(values, return_inverse=True)
        except TypeError as error:
            raise kind_error(values) from error
        if len(classes) and isinstance(classes[0], bytes):
            raise DataFormatError(f"labels are bytes, such as {bytes(classes[0])!r}: decode them into strings")
        _check_kind(classes)
        check_classification_targets(values)
        _check_text(classes)
        return Target(classes, y.astype(np.int64))

    def check(self, folds: int, fewest: int = 2) -> None:
        """Refuse labels that cannot be cross-validated, or a class with less than `fewest` samples.

        Raises
        ------
        OneClassError, ClassTooSmallError, TooFewImagesError
        """
        if not len(self.classes):
            raise OneClassError("no label is left whose weight is positive: a probe needs at least 2 classes")
        if len(self.classes) < 2:
            raise OneClassError(
                f"all labels are {some_of(_quoted(self.classes))}: 1 class, and a probe needs at least 2 classes"
            )
        counts = np.bincount(self.y, minlength=len(self.classes))
        if counts.min() < fewest:
            small = some_of(_quoted(self.classes[counts < fewest]))
            held = "only one sample" if fewest == 2 else f"fewer than {fewest} samples"
            raise ClassTooSmallError(f"{held} of class {small}: cross-validation needs {fewest}; add images or drop it")
        if len(self.y) < folds:
            raise TooFewImagesError(f"n_samples = {len(self.y)} is fewer than {folds} folds: add images or lower cv")


def _check_kind(classes: np.ndarray) -> None:
    """Refuse dates, spans of time and other objects, which could be learned and not be saved."""
    odd = classes if classes.dtype.kind in "mMV" else [one for one in classes if classes.dtype.kind == "O"]
    odd = [one for one in odd if not isinstance(one, str)]
    if odd:
        raise kind_error(odd)


def _check_text(classes: np.ndarray) -> None:
    """Refuse a label that no file can hold, such as the name of a folder that is not UTF-8."""
    for label in filter(lambda one: isinstance(one, str), classes):
        try:
            str(label).encode()
        except UnicodeEncodeError as error:
            raise DataFormatError(f"the label {str(label)!r} is no text in UTF-8: rename it") from error


def check_remaining(labels: np.ndarray, kept: np.ndarray, folds: int, skipped: Sequence[Skipped]) -> None:
    """`Target.check` for the labels of the images `kept`, which could be read: the message names those that could not.

    Raises
    ------
    OneClassError, ClassTooSmallError, TooFewImagesError
    """
    try:
        left = Target.of(labels[kept])
        left.check(folds)
        gone = np.setdiff1d(Target.of(labels).classes, left.classes).tolist()
        if gone:
            raise ClassTooSmallError(f"no image of class {gone[0]!r} can be read")
    except DataError as error:
        if not skipped:
            raise
        lost = f"{len(skipped)} images cannot be read, the first {skipped[0].name}: {skipped[0].reason}"
        raise type(error)(f"{error}; {lost}") from error


def _quoted(labels: np.ndarray) -> list[str]:
    return [repr(label) for label in labels.tolist()]
