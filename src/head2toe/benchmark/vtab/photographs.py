"""Data sets that are folders of image files, in the layout of torchvision where it has them.

They are read without torchvision's classes, because VTAB's order needs the name of each file, and Caltech101's 102nd
class (background) is one that torchvision leaves out. The keys are those of tensorflow_datasets 3 and 4
(``tensorflow_datasets/image_classification``), file by file as each docstring says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from head2toe.benchmark.vtab.definitions import TaskDefinition
from head2toe.benchmark.vtab.pool import Drawn, Part, draw, file_part
from head2toe.benchmark.vtab.raw_files import lines, matlab
from head2toe.data.files import is_hidden
from head2toe.errors import DataFormatError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif")
_PETS_COLUMNS = 4
_CALTECH_TRAIN = 30  # images of each class for training
_SUN_IGNORED = "/c/church/outdoor/sun_bhenjvsvrtumjuri.jpg"  # badly encoded; tensorflow_datasets leaves it out too
_SUN_LISTS = {
    "train": "sun397_tfds_tr.txt",
    "validation": "sun397_tfds_va.txt",
    "test": "sun397_tfds_te.txt",
}


def read_dtd(folder: Path, definition: TaskDefinition) -> Drawn:
    """DTD, ``dtd/dtd`` of torchvision: ``labels/train1.txt`` and so on, the first fold; keys as in dtd.py."""
    lists = {"train": "train1", "validation": "val1", "test": "test1"}
    files = {name: lines(folder / "labels" / f"{file}.txt") for name, file in lists.items()}
    classes = sorted({file.split("/")[0] for file in files["train"]})
    pool = {
        name: file_part(folder / "images", part, [_number(classes, file.split("/")[0], folder) for file in part])
        for name, part in files.items()
    }
    return draw(definition, pool, str(folder))


def read_flowers(folder: Path, definition: TaskDefinition) -> Drawn:
    """Flowers102, ``flowers-102``: ``jpg/``, ``imagelabels.mat`` and ``setid.mat``; keys as in oxford_flowers102.py."""
    labels = matlab(folder / "imagelabels.mat", "labels")["labels"].ravel().astype(np.int64) - 1
    sets = matlab(folder / "setid.mat", "trnid", "valid", "tstid")
    pool = {}
    for name, key in {"train": "trnid", "validation": "valid", "test": "tstid"}.items():
        numbers = sets[key].ravel().astype(np.int64)
        pool[name] = file_part(folder / "jpg", [f"image_{i:05d}.jpg" for i in numbers], labels[numbers - 1].tolist())
    return draw(definition, pool, str(folder))


def read_pets(folder: Path, definition: TaskDefinition) -> Drawn:
    """Pets, ``oxford-iiit-pet``: ``images/`` and ``annotations/{trainval,test}.txt``; keys as in oxford_iiit_pet.py."""
    pool = {}
    for name, file in {"train": "trainval.txt", "test": "test.txt"}.items():
        rows = [line.split(" ") for line in lines(folder / "annotations" / file)]
        if any(len(row) != _PETS_COLUMNS or not row[1].isdigit() for row in rows):
            raise DataFormatError(f"{folder / 'annotations' / file}: lines are name, class, species and breed")
        pool[name] = file_part(folder / "images", [f"{row[0]}.jpg" for row in rows], [int(row[1]) - 1 for row in rows])
    return draw(definition, pool, str(folder))


def read_class_folders(folder: Path, definition: TaskDefinition) -> Drawn:
    """EuroSAT (``eurosat/2750``) and Resisc45 (``NWPU-RESISC45``): a folder a class.

    Keys are ``class_file`` as in eurosat.py and resisc45.py since 2020; before, they held the path on the machine that
    prepared the data.
    """
    classes = _folders(folder)
    keys, labels, files = [], [], []
    for number, name in enumerate(classes):
        for file in _images(folder / name):
            keys.append(f"{name}_{file}")
            labels.append(number)
            files.append(f"{name}/{file}")
    return draw(definition, {"train": file_part(folder, keys, labels, files)}, str(folder))


def read_caltech(folder: Path, definition: TaskDefinition, seed: int = 0) -> Drawn:
    """Caltech101, ``caltech101/101_ObjectCategories``, all 102 folders.

    caltech.py of tensorflow_datasets draws 30 training images of each class out of a listing in the order of the file
    system, which is lost; here they are drawn with a seed. Keys are ``Class/file`` as there.
    """
    pool: dict[str, tuple[list[str], list[int]]] = {"train": ([], []), "test": ([], [])}
    generator = np.random.default_rng(seed)
    for number, name in enumerate(_folders(folder)):
        files = _images(folder / name)
        mixed = [files[i] for i in generator.permutation(len(files))]
        for part, chosen in (("train", mixed[:_CALTECH_TRAIN]), ("test", mixed[_CALTECH_TRAIN:])):
            pool[part][0].extend(f"{name}/{file}" for file in chosen)
            pool[part][1].extend([number] * len(chosen))
    parts = {part: file_part(folder, *found) for part, found in pool.items()}
    return draw(definition, parts, str(folder), order=f"30 training images of each class drawn with seed {seed}")


def read_sun(folder: Path, definition: TaskDefinition, seed: int = 0) -> Drawn:
    """Sun397, ``SUN397``: ``ClassName.txt`` and the folders it names.

    With the lists ``sun397_tfds_{tr,va,te}.txt`` of tensorflow_datasets beside it, the splits are VTAB's; without, all
    images are divided with a seed into parts of the same sizes. Keys are ``/a/abbey/file`` as in sun.py.
    """
    classes = lines(folder / "ClassName.txt")
    if all((folder / file).is_file() for file in _SUN_LISTS.values()):
        pool = {name: _sun_part(folder, lines(folder / file), classes) for name, file in _SUN_LISTS.items()}
        return draw(definition, pool, str(folder))
    found = sorted(f"{name}/{file}" for name in classes for file in _images(folder / name.lstrip("/")))
    found = [key for key in found if key != _SUN_IGNORED]
    mixed = [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
    pool, start = {}, 0
    for name, size in definition.parts.items():
        pool[name] = _sun_part(folder, mixed[start : start + size], classes)
        start += size
    return draw(definition, pool, str(folder), order=f"divided with seed {seed}")


def _sun_part(folder: Path, keys: list[str], classes: list[str]) -> Part:
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [numbers.get(key.rpartition("/")[0], -1) for key in keys]
    return file_part(folder, keys, labels, [key.lstrip("/") for key in keys])


def _folders(folder: Path) -> list[str]:
    """The classes; a hidden folder, such as a notebook leaves, would be one too many."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def _images(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataFormatError(f"{folder} is not there: is the data set unpacked whole?")
    names = (entry.name for entry in folder.iterdir() if entry.suffix.lower() in _SUFFIXES)
    return sorted(name for name in names if not is_hidden(name))  # ._a.jpg, which other systems leave, is no picture


def _number(classes: Sequence[str], name: str, place: Path) -> int:
    if name not in classes:
        raise DataFormatError(f"{place}: class {name} is not among those of the training images")
    return classes.index(name)
