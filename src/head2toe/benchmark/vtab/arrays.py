"""Data sets that are large arrays: CIFAR-100, SVHN, PatchCamelyon."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from head2toe.benchmark.vtab.definitions import TaskDefinition
from head2toe.benchmark.vtab.pool import Drawn, Part, array_part, draw
from head2toe.benchmark.vtab.raw_files import matlab
from head2toe.errors import DataFormatError, MissingDependencyError, one_line

CIFAR_ROW = 2 + 3 * 32 * 32  # bytes of an image of CIFAR-100: coarse label, fine label, pixels


def read_cifar_binary(folder: Path, definition: TaskDefinition) -> Drawn:
    """CIFAR-100, ``cifar-100-binary``: ``train.bin`` and ``test.bin``; keys are numbers, as in cifar.py."""
    return draw(definition, {name: _cifar(folder / f"{name}.bin") for name in ("train", "test")}, str(folder))


def read_cifar(root: Path, definition: TaskDefinition) -> Drawn:
    """CIFAR-100, ``cifar-100-python``, by torchvision, which checks the files' MD5 before it opens them."""
    from head2toe.backbones.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from torchvision.datasets import CIFAR100

    pool = {}
    for name in ("train", "test"):
        try:
            found: Any = CIFAR100(str(root), train=name == "train", download=False)
        except RuntimeError as error:
            raise DataFormatError(f"{root / 'cifar-100-python'} is damaged or incomplete: unpack it again") from error
        pool[name] = array_part(found.data, found.targets)
    return draw(definition, pool, str(root / "cifar-100-python"))


def read_svhn(folder: Path, definition: TaskDefinition) -> Drawn:
    """SVHN, ``train_32x32.mat`` and ``test_32x32.mat``; label 10 is digit 0; keys are numbers, as in svhn.py."""
    pool = {}
    for name in ("train", "test"):
        stored = matlab(folder / f"{name}_32x32.mat", "X", "y")
        pool[name] = array_part(np.moveaxis(stored["X"], -1, 0), stored["y"].ravel().astype(np.int64) % 10)
    return draw(definition, pool, str(folder))


def read_camelyon(folder: Path, definition: TaskDefinition) -> Drawn:
    """PatchCamelyon, ``pcam``: the six ``camelyonpatch_level_2_split_*.h5``; keys as in patch_camelyon.py.

    Raises
    ------
    MissingDependencyError
        h5py is not installed.
    """
    parts = {"train": "train", "validation": "valid", "test": "test"}
    return draw(definition, {name: _camelyon(folder, split) for name, split in parts.items()}, str(folder))


def _cifar(path: Path) -> Part:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read: {error.strerror}") from error
    if not len(data) or len(data) % CIFAR_ROW:
        raise DataFormatError(f"{path}: {len(data):,} bytes are no whole number of CIFAR-100's images")
    rows = data.reshape(-1, CIFAR_ROW)
    return array_part(rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 1].astype(np.int64))


def _camelyon(folder: Path, split: str) -> Part:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingDependencyError("PatchCamelyon's files need h5py: pip install h5py") from error
    stem = folder / f"camelyonpatch_level_2_split_{split}"
    try:
        images: Any = h5py.File(f"{stem}_x.h5", "r")["x"]
        with h5py.File(f"{stem}_y.h5", "r") as file:
            stored: Any = file["y"]
            labels = stored[:].ravel().astype(np.int64)
    except (OSError, KeyError) as error:
        raise DataFormatError(f"{stem}_[xy].h5 cannot be read: {one_line(error)}") from error
    if len(images) != len(labels):
        raise DataFormatError(f"{stem}_[xy].h5 have {len(images):,} images but {len(labels):,} labels: one is damaged")
    return Part([f"{split}_{i}" for i in range(len(labels))], labels, _locked(lambda i: images[i]))


def _locked(read: Callable[[int], Any]) -> Callable[[int], Any]:
    """One thread at a time: they share an open file."""
    lock = threading.Lock()

    def read_alone(i: int) -> Any:
        with lock:
            return read(i)

    return read_alone
