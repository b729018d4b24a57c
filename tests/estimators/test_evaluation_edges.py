"""What is said of a classifier on labelled images, of which some cannot be read and some have unknown labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from head2toe.errors import DataFormatError, EmptyDataError
from head2toe.estimators.evaluation import evaluate
from head2toe.estimators.outputs import Outputs
from head2toe.features import Skipped

CLASSES = np.array(["a", "b"])


def fitted(predicted, linear, kept, skipped=(), classes=CLASSES) -> Any:
    """Stands for a classifier, which says these class numbers."""
    logits = [np.eye(2, dtype=np.float32)[np.array(numbers, int)] for numbers in (predicted, linear)]
    found = Outputs(classes, *logits, np.array(kept, int), tuple(Skipped(i, f"{i}.png", "cut off") for i in skipped))
    return cast("Any", SimpleNamespace(classes_=classes, outputs=lambda images, **options: found))


def test_labels_that_the_probe_does_not_know_are_errors():
    found = evaluate(fitted([0, 0, 1, 1], [0, 1, 0, 0], range(4)), None, ["a", "a", "b", "c"])
    assert (found.accuracy, found.linear_accuracy, found.n, found.unknown) == (0.75, 0.25, 4, ["c"])
    assert found.balanced_accuracy == pytest.approx(2 / 3)


def test_labels_none_of_which_is_known_are_written_otherwise():
    with pytest.raises(DataFormatError, match="no label is a class of the probe: labels are 0, 1, classes a, b"):
        evaluate(fitted([0, 0], [0, 0], range(2)), None, [1, 0])


def test_images_that_cannot_be_read_count_for_nothing():
    found = evaluate(fitted([0, 1], [0, 1], [0, 2], [1]), None, ["a", "a", "b"])
    assert (found.accuracy, found.n, len(found.skipped)) == (1.0, 2, 1)
    with pytest.raises(EmptyDataError, match="none of the 2 images can be read; the first: cut off"):
        evaluate(fitted([], [], [], [0, 1]), None, ["a", "b"])


@pytest.mark.parametrize("n", [1, 3])
def test_each_image_has_one_label(n):
    with pytest.raises(DataFormatError, match=f"2 images but {n} labels"):
        evaluate(fitted([0, 1], [0, 1], [0, 1]), None, ["a"] * n)


def test_labels_of_another_unicode_form_are_the_same():
    """A Mac's names of folders are decomposed, and may have been given as they are; labels that are read are not."""
    decomposed, composed = "Mu\u0308ll", "M\u00fcll"
    classes = np.array([decomposed, "b"])
    found = evaluate(fitted([0, 1, 1], [0, 1, 1], range(3), classes=classes), None, [composed, decomposed, "b"])
    assert (found.accuracy, found.unknown) == (pytest.approx(2 / 3), [])


def test_labels_may_be_a_column_and_no_table():
    assert evaluate(fitted([0, 1], [0, 1], [0, 1]), None, np.array([["a"], ["b"]])).accuracy == 1
    with pytest.raises(DataFormatError, match=r"labels have the shape \(1, 2\)"):
        evaluate(fitted([0, 1], [0, 1], [0, 1]), None, np.array([["a", "b"]]))
