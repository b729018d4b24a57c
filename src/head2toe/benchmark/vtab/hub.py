"""Data sets of Hugging Face: a repository of the hub, or a folder on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from head2toe.benchmark.vtab.definitions import TRAINING, VALIDATION, TaskDefinition
from head2toe.benchmark.vtab.pool import Drawn, Part, labelled
from head2toe.errors import DataFormatError, MissingDependencyError, MissingLabelError, one_line
from head2toe.paths import path_of

_TRAIN = ("train", "train800")  # the whole split first, VTAB's own part of it last
_HELD = ("validation", "valid", "val", "val200")
_TEST = "test"
_LABELS = ("label", "labels", "fine_label", "cls")
_READY = "train800val200"  # VTAB's thousand images as one split


def read_hub(name: str, definition: TaskDefinition, *, label: str | None = None, seed: int = 0) -> Drawn:
    """Read a task from a data set of Hugging Face.

    Parameters
    ----------
    name
        ``ORG/REPOSITORY`` on the hub; or a folder: what ``save_to_disk`` wrote, Parquet files, or images. Data are
        downloaded only for the first, as ``datasets.load_dataset`` does.
    definition
        The task. A split ``train800val200``, or ``train800`` and ``val200`` (``train`` and ``validation``) of 800 and
        200 images, is taken as it is, whatever else is there. Otherwise 800 images are drawn with the seed from
        ``train`` and 200 from ``validation`` or, without that, from the rest of ``train``:
        such copies have lost the names that VTAB's own order needs. The test is on the whole split ``test``.
    label
        The column of class numbers; by default the first there is of label, labels, fine_label and cls.
    seed
        Of the drawing.

    Raises
    ------
    MissingDependencyError
        ``datasets`` is not installed.
    DataFormatError
        It cannot be loaded, has no column of images, or too few images.
    MissingLabelError
        It has no such label column.
    """
    splits = _load(name)
    if _TEST not in splits or not splits.keys() & {*_TRAIN, _READY}:
        raise DataFormatError(f"{name} has splits {', '.join(splits)}: train (or {_READY}) and test are needed")
    used = {_READY, *_TRAIN, *_HELD, _TEST}
    parts = {split: _part(name, split, table, label) for split, table in splits.items() if split in used}
    train, order = _training(parts, name, seed)
    test = [(parts[_TEST], i) for i in range(len(parts[_TEST]))]
    return Drawn(labelled(definition, train, name), labelled(definition, test, name), order)


def _training(parts: Mapping[str, Part], name: str, seed: int) -> tuple[list[tuple[Part, int]], str]:
    if _READY in parts and len(parts[_READY]) == TRAINING + VALIDATION:
        return [(parts[_READY], i) for i in range(TRAINING + VALIDATION)], f"split {_READY} of {name}"
    trains = [parts[split] for split in _TRAIN if split in parts]
    helds = [parts[split] for split in _HELD if split in parts]
    if not trains:
        raise DataFormatError(f"{name}: split {_READY} has {len(parts[_READY])} images, not {TRAINING + VALIDATION}")
    pairs = product(reversed(trains), reversed(helds))
    own = next((pair for pair in pairs if [len(part) for part in pair] == [TRAINING, VALIDATION]), None)
    if own is not None:
        return [(part, i) for part in own for i in range(len(part))], f"the 800 and 200 images of {name}"
    train, held = trains[0], helds[0] if helds else None
    generator = np.random.default_rng(seed)
    numbers = generator.permutation(len(train))
    rest = numbers[TRAINING:] if held is None else generator.permutation(len(held))
    if len(numbers) < TRAINING or len(rest) < VALIDATION:
        raise DataFormatError(f"{name}: {TRAINING} + {VALIDATION} training images are needed, there are fewer")
    chosen = [(train, int(i)) for i in numbers[:TRAINING]]
    chosen += [(train if held is None else held, int(i)) for i in rest[:VALIDATION]]
    return chosen, f"drawn with seed {seed} from {name}"


def _load(name: str) -> Mapping[str, Any]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "data sets of Hugging Face need the package datasets: pip install datasets"
        ) from error
    folder = path_of(name)
    try:
        saved = folder.is_dir() and any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
        found = (
            datasets.load_from_disk(str(folder))
            if saved
            else datasets.load_dataset(str(folder) if folder.is_dir() else name)
        )
    except Exception as error:  # of the hub, the network, the files: `datasets` raises nearly anything
        raise DataFormatError(f"{name} cannot be loaded by datasets: {one_line(error)}") from error
    if not isinstance(found, Mapping):
        raise DataFormatError(f"{name} is one split: splits train and test are needed")
    return {str(split): table for split, table in found.items()}


def _part(name: str, split: str, table: Any, label: str | None) -> Part:
    images = next((column for column, kind in table.features.items() if type(kind).__name__ == "Image"), None)
    if images is None:
        raise DataFormatError(f"{name}: split {split} has no column of images: {', '.join(table.column_names)}")
    wanted = (label,) if label else _LABELS
    column = next((column for column in wanted if column in table.column_names), None)
    if column is None:
        raise MissingLabelError(f"{name}: no column {' or '.join(wanted)}, but {', '.join(table.column_names)}")
    labels = np.asarray(table[column])
    if not np.issubdtype(labels.dtype, np.integer):
        raise MissingLabelError(f"{name}: column {column} holds no class numbers: choose another one")
    rows = table.select_columns([images])
    keys = [f"{split}[{i}]" for i in range(len(labels))]
    return Part(keys, labels.astype(np.int64), lambda i: rows[i][images])
