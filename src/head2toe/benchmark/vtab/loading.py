"""A task of VTAB-1k, ready to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from head2toe.benchmark.tasks import Task
from head2toe.benchmark.vtab.definitions import VALIDATION, definition
from head2toe.benchmark.vtab.hub import read_hub
from head2toe.benchmark.vtab.layouts import find, layouts
from head2toe.benchmark.vtab.pool import Drawn
from head2toe.benchmark.vtab.sources import access
from head2toe.data import LabelledImages
from head2toe.data.views import picked
from head2toe.errors import DataFormatError, Head2ToeError, ParameterError, one_line
from head2toe.paths import path_of


@dataclass(frozen=True)
class LoadedTask:
    """A task, and how its images were found.

    Attributes
    ----------
    task : Task
    classes : int
    facts : dict
        For JSON: layout, order, train, validation, test (numbers of images), test_of (test images of the whole split).
    """

    task: Task
    classes: int
    facts: Mapping[str, Any]


class Load(Protocol):
    """Loads a task, with at most so many of its test images; None: with all."""

    def __call__(self, *, test_limit: int | None = None) -> LoadedTask: ...


def load_task(
    name: str,
    root: str | PathLike[str] | None = None,
    *,
    layout: str | None = None,
    hub: str | None = None,
    label: str | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> LoadedTask:
    """Load one of the 19 tasks; images are read when they are indexed.

    Parameters
    ----------
    name
        One of `NAMES`.
    root
        The folder below which the data lie, in one of the task's `layouts`.
    layout
        "lists", "torchvision" or "original": only this one.
    hub
        Instead of `root`: a data set of Hugging Face, see `hub.read_hub`.
    label
        Its label column.
    test_limit
        Use so many test images, drawn with seed 0, instead of the whole split: quicker, and no VTAB figure any more.
    seed
        Of the training images, where VTAB's own cannot be found (`facts["order"]` says so).

    Raises
    ------
    ParameterError
        No such task or layout, or neither `root` nor `hub`.
    DataFormatError
        The data are not there, or not as VTAB has them.
    """
    task = definition(name)
    if (root is None) == (hub is None):
        raise ParameterError(f"{task.name}: one of root and hub is needed")
    if hub is not None:
        drawn, kind = read_hub(hub, task, label=label, seed=seed), "hub"
    else:
        drawn, kind = _from_disk(task.name, path_of(str(root)), layout, seed)
    return loaded(task.name, task.group, drawn, kind, whole=len(task.test), classes=task.classes, test_limit=test_limit)


def loaded(
    name: str,
    group: str,
    drawn: Drawn,
    layout: str,
    *,
    whole: int,
    classes: int,
    test_limit: int | None,
    validation: int = VALIDATION,
) -> LoadedTask:
    """A task of the images drawn; its test has at most `test_limit` of them."""
    test = _limited(drawn.test, test_limit)
    facts = {
        "layout": layout,
        "order": drawn.order,
        "train": len(drawn.train) - validation,
        "validation": validation,
        "test": len(test),
        "test_of": whole,
    }
    return LoadedTask(Task(name, group, drawn.train, test, validation), classes, facts)


def _from_disk(name: str, root: Path, layout: str | None, seed: int) -> tuple[Drawn, str]:
    task = definition(name)
    known = sorted({one.name for one in layouts(task)})
    if layout is not None and layout not in known:
        raise ParameterError(f"{task.name} has no layout {layout}: it has {', '.join(known)}")
    found = find(root, task, only=layout)
    if found.layout is None:
        lacking = "; ".join(f"{kind}: {', '.join(files)}" for kind, files in found.missing.items())
        raise DataFormatError(
            f"{task.name} is not below {root}: missing {lacking}; get it from {access(task.name).page}"
        )
    try:
        return found.layout.read(root, task, seed), found.layout.name
    except (Head2ToeError, MemoryError, PermissionError):
        raise
    except Exception as error:  # a file under another one's name, or cut off, makes nearly anything of its numbers
        place = root / found.layout.folder
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise DataFormatError(f"{place} is not {task.name} as it is handed out ({reason}): unpack it again") from error


def _limited(images: LabelledImages, limit: int | None) -> LabelledImages:
    if limit is None or limit >= len(images):
        return images
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:limit]).tolist()
    labels = None if images.labels is None else [images.labels[i] for i in chosen]
    return LabelledImages(picked(images, chosen), labels, [images.names[i] for i in chosen], images.source)
