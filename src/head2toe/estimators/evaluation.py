"""How good a fitted classifier is on labelled images, beside the linear probe fitted with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from head2toe.data.labelled import nfc
from head2toe.errors import DataFormatError, EmptyDataError, some_of
from head2toe.estimators.classifier import Head2ToeClassifier
from head2toe.estimators.labels import as_labels, labels_of
from head2toe.features import Skipped


@dataclass(frozen=True)
class Evaluation:
    """Accuracies in [0, 1] on the n images that could be read.

    Attributes
    ----------
    accuracy, linear_accuracy : float
        Of the probe and of the linear probe.
    balanced_accuracy : float
        The probe's mean recall over the classes that occur among the labels.
    n : int
    skipped : tuple of Skipped
        Images that could not be read; they count for nothing.
    unknown : list of str
        Labels that the probe has no class for; their images count as errors.
    """

    accuracy: float
    balanced_accuracy: float
    linear_accuracy: float
    n: int
    skipped: tuple[Skipped, ...]
    unknown: list[str]


def evaluate(
    classifier: Head2ToeClassifier, images: Any, labels: ArrayLike | None = None, *, strict: bool = False
) -> Evaluation:
    """Predict once, with both probes, and compare; labels and classes are compared as text.

    Parameters
    ----------
    classifier
        Fitted.
    images, labels
        n of each; labels are not needed where the images bring theirs.
    strict
        Raise for an image that cannot be read.

    Raises
    ------
    DataFormatError
        Not one label an image, or none that is a class of the probe.
    EmptyDataError
        No image can be read.
    MissingLabelError
        There are no labels.
    """
    given = as_labels(labels_of(images, labels)).astype(str)
    if given.ndim > 1 and given.shape[1:] != (1,):
        raise DataFormatError(f"labels have the shape {given.shape}: give one label an image")
    classes = {str(name) for name in classifier.classes_}
    true = _spelled_as(classes, given.ravel())
    unknown = sorted(set(true) - classes)
    if len(unknown) == len(set(true)):
        raise DataFormatError(
            f"no label is a class of the probe: labels are {some_of(unknown)}, classes {some_of(sorted(classes))}"
        )
    found = classifier.outputs(images, linear=True, strict=strict)
    seen = len(found.kept) + len(found.skipped)
    if seen != len(true):
        raise DataFormatError(f"{seen} images but {len(true)} labels: give one label an image")
    if not len(found.kept):
        raise EmptyDataError(f"none of the {len(true)} images can be read; the first: {found.skipped[0].reason}")
    true = true[found.kept]
    hits = np.asarray(found.labels).astype(str) == true
    return Evaluation(
        accuracy=float(hits.mean()),
        balanced_accuracy=mean_recall(hits, true),
        linear_accuracy=float((np.asarray(found.linear_labels).astype(str) == true).mean()),
        n=len(true),
        skipped=found.skipped,
        unknown=unknown,
    )


def _spelled_as(classes: set[str], labels: np.ndarray) -> np.ndarray:
    """Labels that differ from a class in Unicode's form alone, as that class: those that are read are composed."""
    known = dict(zip(nfc(classes), classes, strict=True))
    forms = zip(labels, nfc(labels), strict=True)
    return np.array([label if label in classes else known.get(form, label) for label, form in forms])


def mean_recall(hits: np.ndarray, true: np.ndarray) -> float:
    """Mean over the classes among the labels `true` (n,) of the share of their images that are hit, bool (n,)."""
    return float(np.mean([hits[true == label].mean() for label in np.unique(true)]))
