"""CLEVR's scenes and KITTI's labels, in their original files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from head2toe.benchmark.vtab.definitions import TaskDefinition
from head2toe.benchmark.vtab.labels import clevr_count, clevr_distance, kitti_distance
from head2toe.benchmark.vtab.pool import Drawn, draw, file_part
from head2toe.benchmark.vtab.raw_files import lines
from head2toe.errors import DataFormatError, one_line

_CLEVR_SPLITS = {"train": "train", "validation": "val"}
_KITTI_COLUMNS = 15
_SHARE = 10  # per cent of KITTI's drives for validation, and for the test


@dataclass(frozen=True)
class KittiObject:
    """One annotated object: its kind, and its distance z from the camera in metres."""

    kind: str
    z: float


def read_clevr(folder: Path, definition: TaskDefinition) -> Drawn:
    """CLEVR, ``clevr/CLEVR_v1.0``: ``images/`` and ``scenes/CLEVR_{train,val}_scenes.json``.

    The test is on CLEVR's validation images. Keys are the files' names, as in tensorflow_datasets' clevr.py.

    Raises
    ------
    DataFormatError
        A file is missing or is no list of scenes.
    """
    label = _count if definition.name == "clevr-count" else _distance
    pool = {}
    for name, split in _CLEVR_SPLITS.items():
        files, labels = _scenes(folder / "scenes" / f"CLEVR_{split}_scenes.json", label)
        pool[name] = file_part(folder / "images" / split, files, labels)
    return draw(definition, pool, str(folder))


def read_kitti(folder: Path, definition: TaskDefinition) -> Drawn:
    """KITTI, ``Kitti/raw``: ``training/{image_2,label_2}/`` and the development kit's ``mapping/``.

    The images of one drive stay on one side, as in tensorflow_datasets' kitti.py, whose drawing of drives is repeated.
    Keys are the files' names.

    Raises
    ------
    DataFormatError
        A file is missing or of another form, or has a vehicle whose distance is in no class.
    """
    pool = {}
    for name, numbers in kitti_splits(folder / "mapping").items():
        files = [f"{i:06d}.png" for i in numbers]
        labels = [_kitti_label(folder / "training" / "label_2" / f"{i:06d}.txt") for i in numbers]
        pool[name] = file_part(folder / "training" / "image_2", files, labels)
    return draw(definition, pool, str(folder))


def kitti_objects(path: Path) -> list[KittiObject]:
    """The objects of one KITTI label file; regions marked DontCare are none.

    Raises
    ------
    DataFormatError
        The file is missing, or a line has not KITTI's 15 columns.
    """
    objects = []
    for line in lines(path):
        columns = line.split(" ")
        if len(columns) != _KITTI_COLUMNS:
            raise DataFormatError(f"{path}: a line has {len(columns)} columns, KITTI's labels have {_KITTI_COLUMNS}")
        if columns[0] != "DontCare":
            objects.append(KittiObject(columns[0], _number(path, columns[13])))
    return objects


def _kitti_label(path: Path) -> int:
    found = kitti_objects(path)
    try:
        return kitti_distance([one.kind for one in found], [one.z for one in found])
    except DataFormatError as error:
        raise DataFormatError(f"{path}: {error}; get the file again") from error


def _number(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataFormatError(f"{path}: {text[:40]!r} is no number") from error


def kitti_splits(mapping: Path) -> dict[str, list[int]]:
    """Numbers of KITTI's training images for each part, divided by drive.

    Parameters
    ----------
    mapping
        Folder of the development kit with ``train_rand.txt`` (for each image the line, from 1, in the other file) and
        ``train_mapping.txt`` (date, drive and frame).

    Returns
    -------
    dict
        "train", "validation" and "test" to numbers. A tenth of the drives is drawn for the test, then a tenth for
        validation, by numpy's generator with seed 123, as in tensorflow_datasets' kitti.py.

    Raises
    ------
    DataFormatError
        A file is missing, or they do not fit each other.
    """
    numbers, places = mapping / "train_rand.txt", mapping / "train_mapping.txt"
    try:
        rows = [int(number) - 1 for number in " ".join(lines(numbers)).split(",")]
        drives = [line.split(" ")[1] for line in lines(places)]
        of_images = [drives[row] for row in rows]
    except (ValueError, IndexError) as error:
        raise DataFormatError(f"{numbers} and {places.name} are not those of KITTI's development kit") from error
    images: dict[str, list[int]] = {}
    for number, drive in enumerate(of_images):
        images.setdefault(drive, []).append(number)
    generator = np.random.RandomState(123)  # the generator that drew the published split
    share = max(1, _SHARE * len(images) // 100)
    test = set(generator.choice(sorted(images), share, replace=False).tolist())
    validation = set(generator.choice(sorted(set(images) - test), share, replace=False).tolist())
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for drive, numbers in images.items():
        part = "test" if drive in test else "validation" if drive in validation else "train"
        parts[part].extend(numbers)
    return parts


def _scenes(path: Path, label: Callable[[list[dict[str, Any]]], int]) -> tuple[list[str], list[int]]:
    try:
        scenes = json.loads(path.read_bytes())["scenes"]
        # fspath refuses what is no name.
        return [os.fspath(scene["image_filename"]) for scene in scenes], [label(scene["objects"]) for scene in scenes]
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise DataFormatError(f"{path} is no list of CLEVR's scenes: {one_line(error)}") from error


def _count(objects: list[dict[str, Any]]) -> int:
    return clevr_count(len(objects))


def _distance(objects: list[dict[str, Any]]) -> int:
    return clevr_distance([one["pixel_coords"][2] for one in objects])
