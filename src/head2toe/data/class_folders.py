"""Folders of which each is a class, and the folder around them that is given instead."""

from __future__ import annotations

from pathlib import Path

from head2toe.data.files import is_hidden, is_there
from head2toe.data.labelled import LabelledImages
from head2toe.errors import OneClassError


def check_class_folders(path: Path, images: LabelledImages) -> None:
    """Refuse a folder around the one that holds the classes, as unpacking leaves it.

    Parameters
    ----------
    path
        Where the images were read.
    images
        With labels.

    Raises
    ------
    OneClassError
        All labels are the name of one folder there, which has folders of its own.
    """
    only, *others = set(images.known_labels())
    folder = path / only
    if not others and path.is_dir() and is_there(folder) and _has_folders(folder):
        raise OneClassError(f"all labels are {only!r}: a probe needs 2 classes, each a folder; try {folder}")


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() and not is_hidden(path.name) for path in folder.iterdir())
