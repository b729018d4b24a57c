"""Labels as users give them, or as their images bring them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score
from torch.utils.data import Dataset

from head2toe.data import LabelledImages
from head2toe.data.dataset_table import advice
from head2toe.errors import DataFormatError, MissingLabelError
from head2toe.estimators.dataset_labels import labels_of_dataset
from head2toe.estimators.host import on_host


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
    brought = labels_of_dataset(images) if isinstance(images, Dataset) else getattr(images, "labels", None)
    if brought is None:
        table = advice(images)
        how = "pass them after the images, or a dataset of (image, label) pairs"
        raise MissingLabelError(f"there are no labels in {table}" if table else f"there are no labels: {how}")
    return brought


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
        raise kind_error(given)
    if array.dtype.kind == "U":
        return np.asarray([str.__str__(one) if isinstance(one, str) else one for one in given]) if text else array
    return _as_numbers(array) if array.dtype.kind == "O" else array


def accuracy(labels: ArrayLike, predicted: np.ndarray, sample_weight: ArrayLike | None = None) -> float:
    """Share of the labels, as `as_labels` takes them, that are predicted, weighted, in [0, 1].

    Raises
    ------
    MissingLabelError, DataFormatError
    """
    weight: Any = None if sample_weight is None else on_host(sample_weight)
    return float(accuracy_score(as_labels(labels), predicted, sample_weight=weight))


def _as_numbers(objects: np.ndarray) -> np.ndarray:
    """Whole numbers or booleans that a column of a table holds as objects; all else as it is."""
    alike = len({type(label) for label in objects.ravel()}) == 1
    numbers = np.asarray(objects.tolist()) if alike else objects
    return numbers if numbers.dtype.kind in "biu" and numbers.shape == objects.shape else objects


def kind_error(labels: Iterable[Any]) -> DataFormatError:
    """The error to raise for labels of several kinds, or of one kind that cannot be learned."""
    first, *others = labels
    kinds = sorted({type(label).__name__ for label in (first, *others)})
    if len(kinds) > 1:
        return DataFormatError(f"labels are of several kinds ({', '.join(kinds)}): give all as one kind")
    return DataFormatError(
        f"labels are of the type {kinds[0]}, such as {first}: give strings, whole numbers or booleans, "
        "for instance [str(label) for label in labels]"
    )


def _is_missing(label: Any) -> bool:
    """None, NaN, or pandas' NA, which is neither equal to itself nor unequal."""
    return label is None or type(label).__name__ == "NAType" or bool(label != label)  # noqa: PLR0124 - NaN
