"""What is looked at before any training: classes that it lacks, test images that it has too, damaged images."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from head2toe.benchmark.tasks import Task
from head2toe.data import Images
from head2toe.data.copies import copies
from head2toe.errors import DataFormatError, EmptyDataError, ParameterError, UnreadableImageError, some_of
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


def warn_of_unseen_classes(known: Iterable[Any], labels: Sequence[Any] | np.ndarray, task: str) -> None:
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


def check_shared_images(task: Task) -> None:
    """Name, in the log, how many test images are training images too, or of groups that these are of.

    A copy of a file is the same image, in a zip too.

    Raises
    ------
    ParameterError
        All of them are training images.
    """
    groups = set(task.train.groups or ())
    near = sum(group in groups for group in task.test.groups or ())
    if near:
        text = "%s: %d of %d test images are of groups that training images are of too: accuracy is flattered"
        log.warning(text, task.name, near, len(task.test))
    shared = sum(copies(task.test, task.train))
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
    with telling_what_for(part):
        deque(read(images, _forgotten, workers=workers, strict=True), maxlen=0)


@contextmanager
def telling_what_for(part: str) -> Iterator[None]:
    """Say of an image that cannot be read what it is for ("train", "test"), and what can be done."""
    try:
        yield
    except UnreadableImageError as error:
        raise UnreadableImageError(
            f"a {part} image cannot be read: {error}; methods are {_USE[part]} all of them: mend it or leave it out"
        ) from error


def _forgotten(_: Any) -> None:
    """Keep nothing of an image."""


def _shown(labels: Iterable[Any]) -> str:
    return some_of(sorted({str(label) for label in labels}))
