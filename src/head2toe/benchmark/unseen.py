"""What is looked at of the test images before any training: classes, which are training images, which are damaged."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from head2toe.benchmark.tasks import Task
from head2toe.data import Images
from head2toe.errors import DataFormatError, EmptyDataError, ParameterError, UnreadableImageError
from head2toe.features.reader import read

log = logging.getLogger(__name__)

_USE = {"train": "trained on", "test": "judged on"}


def check_classes(known: Iterable[Any], labels: Sequence[Any] | np.ndarray, task: str) -> list[Any]:
    """The test labels of classes that training images lack.

    Labels are compared as they are: the class "0" is another one than "0.0".

    Raises
    ------
    EmptyDataError
        There are no test labels.
    DataFormatError
        None of them is a training label.
    """
    classes = set(known)
    unknown = [label for label in labels if label not in classes]
    if not len(labels):
        raise EmptyDataError(f"{task}: there is no test image to judge by")
    if len(unknown) == len(labels):
        raise DataFormatError(
            f"{task}: no test label is a training label: write them alike (test labels are {_shown(unknown)}, "
            f"training labels {_shown(classes)})"
        )
    return unknown


def tell_classes(known: Iterable[Any], labels: Sequence[Any] | np.ndarray, task: str) -> None:
    """Name, in the log, the classes that test images have and training images lack.

    Raises
    ------
    EmptyDataError, DataFormatError
        As `check_classes`.
    """
    unknown = check_classes(known, labels, task)
    if unknown:
        log.warning(
            "%s: no training image is of the class %s: %d of %d test images count as errors",
            task,
            _shown(unknown),
            len(unknown),
            len(labels),
        )


def check_apart(task: Task) -> None:
    """Name, in the log, how many test images are training images too.

    Raises
    ------
    ParameterError
        All of them are.
    """
    known = {task.train.identity(i) for i in range(len(task.train))}
    shared = sum(task.test.identity(i) in known for i in range(len(task.test)))
    if shared == len(task.test):
        raise ParameterError(f"{task.name}: all test images are among the training images: name others")
    if shared:
        log.warning(
            "%s: %d of %d test images are training images too: accuracy is flattered",
            task.name,
            shared,
            len(task.test),
        )


def check_readable(images: Images, workers: int | None = None, part: str = "test") -> None:
    """Decode every image of a part, and keep none: a damaged one would otherwise be met after hours of training.

    Raises
    ------
    UnreadableImageError
        At the first that cannot be decoded.
    """
    try:
        deque(read(images, _forgotten, workers=workers, strict=True), maxlen=0)
    except UnreadableImageError as error:
        raise UnreadableImageError(
            f"a {part} image cannot be read: {error}; methods are {_USE[part]} all of them: mend it or leave it out"
        ) from error


def _forgotten(_: Any) -> None:
    """Keep nothing of an image."""


def _shown(labels: Iterable[Any], most: int = 5) -> str:
    names = sorted({str(label) for label in labels})
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
