"""What tells a task's data from others of the same name and size."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from head2toe.benchmark.tasks import Task
from head2toe.data import LabelledImages

_BY_CONTENT = (".npz", ".zip")  # their images are told apart by content; a file by path and time, which do not travel
_LOOKED_AT = 64  # images of a part: a look at each costs reading it


def fingerprint(task: Task) -> dict[str, str]:
    """Short hashes of a task's labels and images, the same on another machine or in another folder.

    Parameters
    ----------
    task : Task
        With labels.

    Returns
    -------
    dict
        "labels": of the labels of all training and test images, in their order. "images": of their names without
        folders and, out of an npz or zip, of the content of some of them; the pixels of a folder's files are not read.
    """
    parts = (task.train, task.test)
    labels = [part.labels for part in parts]
    images = [[[_file(name) for name in part.names], _content(part)] for part in parts]
    return {"labels": _hash(labels), "images": _hash(images)}


def _file(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _content(part: LabelledImages) -> list[str]:
    if Path(part.source).suffix.lower() not in _BY_CONTENT:
        return []
    looked_at = np.unique(np.linspace(0, len(part) - 1, _LOOKED_AT).astype(int)) if len(part) else []
    return [part.identity(int(i)) for i in looked_at]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
