"""Labels as the probes want them, and the checks that come before any long work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import Tensor
from torch.utils.data import Dataset, Subset

from head2toe.data import LabelledImages
from head2toe.data.dataset_table import advice
from head2toe.errors import (
    ClassTooSmallError,
    DataError,
    DataFormatError,
    MissingLabelError,
    OneClassError,
    TooFewImagesError,
    UnreadableImageError,
    one_line,
    some_of,
)
from head2toe.estimators.host import on_host
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
            raise _of_several_kinds(values) from error  # or of one that has no order
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
        raise _of_several_kinds(odd)  # or of one kind that is odd


def _of_odd_kind(label: Any) -> DataFormatError:
    return DataFormatError(
        f"labels are of the type {type(label).__name__}, such as {label}: give strings, whole numbers or booleans, "
        "for instance [str(label) for label in labels]"
    )


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


def labels_of(images: Any, labels: ArrayLike | None = None) -> ArrayLike:
    """The labels given, else those that the images bring: `LabelledImages`, or a dataset of (image, label) pairs.

    Raises
    ------
    MissingLabelError
        There are none.
    """
    if labels is not None:
        return labels
    if isinstance(images, LabelledImages):
        return images.known_labels()
    brought = getattr(images, "labels", None)
    if brought is None and isinstance(images, Dataset):
        brought = _labels_of_dataset(images)
    if brought is None:
        table = advice(images)
        how = "pass them after the images, or a dataset of (image, label) pairs"
        raise MissingLabelError(f"there are no labels in {table}" if table else f"there are no labels: {how}")
    return brought


def _labels_of_dataset(dataset: Any) -> list[Any]:
    if not hasattr(dataset, "__len__"):
        raise DataFormatError("a Dataset without a length cannot be used: pass one that can be indexed")
    known = _targets(dataset)
    if known is not None:
        return known
    pairs = [item if isinstance(item, tuple | list) and len(item) == 2 else (item, None) for item in _items(dataset)]
    return [_plain(label) for _, label in pairs]


def _targets(dataset: Any) -> list[Any] | None:
    """Labels that are known without decoding an image: torchvision's way, and parts of such datasets."""
    if isinstance(dataset, Subset):
        whole = _targets(dataset.dataset)
        return None if whole is None else [whole[i] for i in dataset.indices]
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None or len(targets) != len(dataset):
        return None
    return [_plain(label) for label in targets]


def _items(dataset: Any) -> Iterator[Any]:
    for i in range(len(dataset)):
        try:
            yield dataset[i]
        except (OSError, SyntaxError) as error:  # what Pillow raises inside most datasets
            raise UnreadableImageError(
                f"image {i} cannot be read, so its label is not known: pass labels beside the dataset ({error})"
            ) from error


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, Tensor) and label.numel() == 1 else label


def as_labels(labels: ArrayLike) -> np.ndarray:
    """Labels as an array in which nothing missing hides as a string.

    Raises
    ------
    MissingLabelError
        A label is None or NaN.
    DataFormatError
        They are not one value an image.
    """
    held: Any = on_host(labels)
    try:
        array = np.asarray(held)
        array = array.astype(object) if array.dtype.kind == "T" else array  # strings of NumPy's newer kind
        # NumPy prints None, NaN, numbers and members of an Enum into strings: look at what was given.
        text = array.dtype.kind in "US" and array.ndim == 1
        given = list(held) if text else array.ravel() if array.dtype.kind in "fOMm" else ()
    except (TypeError, ValueError) as error:
        raise DataFormatError(f"labels are not one value an image: {error}") from error
    if array.ndim == 0:
        raise DataFormatError("labels are a single value: pass one label an image")
    missing = [i for i, label in enumerate(given) if _is_missing(label)]
    if missing:
        raise MissingLabelError(f"{len(missing)} of {len(array)} labels are None or NaN, the first at {missing[0]}")
    if text and not all(isinstance(label, str | bytes) for label in given):
        raise _of_several_kinds(given)
    if array.dtype.kind == "U":
        return np.asarray([str.__str__(one) if isinstance(one, str) else one for one in given]) if text else array
    return _as_numbers(array) if array.dtype.kind == "O" else array


def _as_numbers(objects: np.ndarray) -> np.ndarray:
    """Whole numbers or booleans that a column of a table holds as objects; all else as it is."""
    alike = len({type(label) for label in objects.ravel()}) == 1
    numbers = np.asarray(objects.tolist()) if alike else objects
    return numbers if numbers.dtype.kind in "biu" and numbers.shape == objects.shape else objects


def _of_several_kinds(labels: Iterable[Any]) -> DataFormatError:
    first, *others = labels
    kinds = sorted({type(label).__name__ for label in (first, *others)})
    if len(kinds) == 1:
        return _of_odd_kind(first)
    return DataFormatError(f"labels are of several kinds ({', '.join(kinds)}): give all as one kind")


def _is_missing(label: Any) -> bool:
    """None, NaN, or pandas' NA, which is neither equal to itself nor unequal."""
    return label is None or type(label).__name__ == "NAType" or bool(label != label)  # noqa: PLR0124 - NaN


def _quoted(labels: np.ndarray) -> list[str]:
    return [repr(label) for label in labels.tolist()]
