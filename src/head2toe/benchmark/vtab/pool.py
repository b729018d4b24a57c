"""A data set as it is on the disk, and the 1000 + test images that VTAB draws from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from head2toe.benchmark.vtab.definitions import Range, TaskDefinition
from head2toe.benchmark.vtab.order import tfds_order
from head2toe.data import LabelledImages, as_images
from head2toe.errors import DataFormatError

TFDS_ORDER = "the order of tensorflow_datasets"
LISTED_ORDER = "as listed in the folder"


@dataclass(frozen=True)
class Part:
    """One split of a data set.

    Attributes
    ----------
    keys : n str or int
        What tensorflow_datasets calls each image; they decide its order.
    labels : int64 array (n,)
        Class numbers.
    read : callable(i) -> path, PIL image or uint8 array (h, w[, 3])
        Image i, called from several threads.
    files : bool
        It gives paths.
    """

    keys: Sequence[str | int]
    labels: npt.NDArray[np.int64]
    read: Callable[[int], Any]
    files: bool = False

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Drawn:
    """The images of a task.

    Attributes
    ----------
    train : LabelledImages
        train800, then val200.
    test : LabelledImages
    order : str
        How they were found, for tables: `TFDS_ORDER` where they are VTAB's own.
    """

    train: LabelledImages
    test: LabelledImages
    order: str


def draw(
    definition: TaskDefinition,
    pool: Mapping[str, Part],
    place: str,
    *,
    order: str = TFDS_ORDER,
) -> Drawn:
    """Take a task's images out of its data set.

    Parameters
    ----------
    definition
        Whose ranges are taken.
    pool
        The splits of the data set, whole.
    place
        Where they are, for messages.
    order
        What to say of the order.

    Raises
    ------
    DataFormatError
        A split has another number of images than VTAB's, or a label is no class.
    """
    for name, size in definition.parts.items():
        found = len(pool[name]) if name in pool else 0
        if found != size:
            raise DataFormatError(
                f"{place}: {found:,} images in {name}, VTAB's {definition.name} has {size:,}: is it unpacked whole?"
            )
    orders = {name: tfds_order(name, part.keys) for name, part in pool.items()}
    chosen = [_chosen(pool, orders, part) for part in (definition.train800, definition.val200, definition.test)]
    train = labelled(definition, [*chosen[0], *chosen[1]], place)
    return Drawn(train, labelled(definition, chosen[2], place), order)


def labelled(definition: TaskDefinition, chosen: Sequence[tuple[Part, int]], place: str) -> LabelledImages:
    """Images with their class numbers as labels.

    Raises
    ------
    DataFormatError
        A label is no class of the task.
    """
    labels = [int(part.labels[i]) for part, i in chosen]
    wrong = next((label for label in labels if not 0 <= label < definition.classes), None)
    if wrong is not None:
        raise DataFormatError(
            f"{place}: label {wrong}, but the classes of {definition.name} are 0 to {definition.classes - 1}"
        )
    files = all(part.files for part, _ in chosen)
    images = as_images([part.read(i) for part, i in chosen] if files else _Chosen(chosen))
    names = [str(part.keys[i]) for part, i in chosen]
    return LabelledImages(images, [str(label) for label in labels], names, place)


def file_part(root: Path, keys: Sequence[str], labels: Sequence[int], files: Sequence[str] | None = None) -> Part:
    """A split whose images are files: at `root` / key, or at `root` / file."""
    paths = keys if files is None else files
    return Part(keys, np.asarray(labels, np.int64), lambda i: root / paths[i], files=True)


def array_part(images: npt.NDArray[Any], labels: Iterable[int]) -> Part:
    """A split in one array (n, h, w[, 3]), whose keys are numbers."""
    numbers = np.asarray(list(labels), np.int64)
    if len(images) != len(numbers):
        raise DataFormatError(f"a split has {len(images):,} images but {len(numbers):,} labels: its files are damaged")
    return Part(range(len(images)), numbers, lambda i: np.ascontiguousarray(images[i]))


def _chosen(
    pool: Mapping[str, Part], orders: Mapping[str, npt.NDArray[np.int64]], which: Range
) -> list[tuple[Part, int]]:
    part = pool[which.part]
    return [(part, int(i)) for i in orders[which.part][which.start : which.stop]]


class _Chosen(Dataset[Any]):
    def __init__(self, chosen: Sequence[tuple[Part, int]]) -> None:
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, i: int) -> Any:
        part, number = self._chosen[i]
        return part.read(number)
