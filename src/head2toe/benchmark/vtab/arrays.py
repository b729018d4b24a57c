"""Data sets that are large arrays, in their original files: CIFAR-100, SVHN, PatchCamelyon, dSprites, smallNORB."""

from __future__ import annotations

import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from head2toe.benchmark.vtab.definitions import NORB_FILES, TaskDefinition
from head2toe.benchmark.vtab.labels import (
    dsprites_location,
    dsprites_orientation,
    smallnorb_azimuth,
    smallnorb_elevation,
)
from head2toe.benchmark.vtab.photographs import matlab
from head2toe.benchmark.vtab.pool import Drawn, Part, draw
from head2toe.errors import DataFormatError, MissingDependencyError, one_line

Array = npt.NDArray[Any]

CIFAR_ROW = 2 + 3 * 32 * 32  # bytes of an image of CIFAR-100: coarse label, fine label, pixels
DSPRITES_ORIENTATION, DSPRITES_X = 3, 4  # columns of latents_classes
NORB_ELEVATION, NORB_AZIMUTH = 1, 2  # columns of info
_NORB_TYPES = {0x1E3D4C55: "u1", 0x1E3D4C54: "<i4"}
_CHUNK = 4096  # images of dSprites unpacked at once: 16 MiB
_SPRITE = (64, 64)
_FACTORS = 6  # columns of latents_classes
_DAMAGES = (  # what zipfile, zlib and numpy raise on a damaged npz, or on another file
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


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


def read_dsprites(path: Path, definition: TaskDefinition) -> Drawn:
    """dSprites, the original ``.npz`` of 737,280 images; keys are numbers, as in dsprites.py. Pixels are 0 and 255.

    Only the images of the task are kept in memory.

    Raises
    ------
    DataFormatError
        The file is damaged, cut off, or another one.
    """
    try:
        # Opened here: numpy leaves a damaged file open. Its metadata are pickled, and stay closed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            factors, whole = stored["latents_classes"], "imgs" in stored.files
    except _DAMAGES as error:
        raise DataFormatError(f"{path} is not dSprites' npz, or damaged: {one_line(error)}") from error
    if not whole:
        raise DataFormatError(f"{path} is not dSprites' npz: it has no imgs")
    if factors.ndim != 2 or factors.shape[1] != _FACTORS or factors.dtype.kind not in "iu":
        raise DataFormatError(
            f"{path} is not dSprites' npz: latents_classes are {factors.dtype} {factors.shape}, not integers (n, 6)"
        )
    if definition.name == "dsprites-location":
        labels = dsprites_location(factors[:, DSPRITES_X])
    else:
        labels = dsprites_orientation(factors[:, DSPRITES_ORIENTATION])
    sprites = _Sprites(path, len(labels))
    drawn = draw(definition, {"train": Part(range(len(labels)), labels, sprites.image)}, str(path))
    sprites.keep(int(name) for images in (drawn.train, drawn.test) for name in images.names)
    return drawn


def read_smallnorb(folder: Path, definition: TaskDefinition) -> Drawn:
    """SmallNORB, the original ``-dat.mat`` and ``-info.mat``, the first camera; keys are numbers as in smallnorb.py."""
    azimuth = definition.name == "smallnorb-azimuth"
    column, label = (NORB_AZIMUTH, smallnorb_azimuth) if azimuth else (NORB_ELEVATION, smallnorb_elevation)
    pool = {}
    for name, stem in NORB_FILES.items():
        images = norb_matrix(folder / f"{stem}-dat.mat")
        labels = label(norb_matrix(folder / f"{stem}-info.mat")[:, column])
        pool[name] = array_part(images[:, 0], labels)
    return draw(definition, pool, str(folder))


def norb_matrix(path: Path) -> Array:
    """A matrix of smallNORB, whose files are no MATLAB files: https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/.

    Parameters
    ----------
    path
        Little-endian int32: a magic number for the type, the number of dimensions, the dimensions (at least three
        numbers are there); then the values.

    Returns
    -------
    uint8 or int32 array
        Mapped, not read; read-only.

    Raises
    ------
    DataFormatError
        It is no such file, or cut off.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise DataFormatError(f"{path} is still packed: gunzip it")
        header = np.fromfile(path, "<i4", 2)
        kind, dimensions = _NORB_TYPES[int(header[0])], int(header[1])
        shape = tuple(np.fromfile(path, "<i4", dimensions, offset=8).tolist())
        return np.memmap(path, kind, "r", offset=8 + 4 * max(3, dimensions), shape=shape)
    except (OSError, KeyError, IndexError, ValueError) as error:
        if isinstance(error, DataFormatError):
            raise
        raise DataFormatError(f"{path} is no matrix of smallNORB, or cut off") from error


def array_part(images: Array, labels: Iterable[int]) -> Part:
    """A split in one array (n, h, w[, 3]), whose keys are numbers."""
    numbers = np.asarray(list(labels), np.int64)
    if len(images) != len(numbers):
        raise DataFormatError(f"a split has {len(images):,} images but {len(numbers):,} labels: its files are damaged")
    return Part(range(len(images)), numbers, lambda i: np.ascontiguousarray(images[i]))


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
    return Part([f"{split}_{i}" for i in range(len(labels))], labels, _locked(lambda i: images[i]))


def _locked(read: Callable[[int], Any]) -> Callable[[int], Any]:
    """One thread at a time: they share an open file."""
    lock = threading.Lock()

    def read_alone(i: int) -> Any:
        with lock:
            return read(i)

    return read_alone


class _Sprites:
    """Some images of the npz, unpacked once, in pieces: the whole array has 3 GB."""

    def __init__(self, path: Path, n: int) -> None:
        self._path, self._shape = path, (n, *_SPRITE)
        self._numbers, self._images = np.empty(0, np.int64), np.empty((0, *_SPRITE), np.uint8)

    def image(self, i: int) -> Array:
        return self._images[np.searchsorted(self._numbers, i)] * np.uint8(255)

    def keep(self, numbers: Iterable[int]) -> None:
        self._numbers = np.unique(np.fromiter(numbers, np.int64))
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open("imgs.npy") as file:
                self._check_header(file)
                self._images = np.concatenate([self._rows(file, at) for at in range(0, self._shape[0], _CHUNK)])
        except DataFormatError:
            raise
        except _DAMAGES as error:
            raise DataFormatError(f"{self._path} is damaged: {one_line(error)}") from error

    def _check_header(self, file: IO[bytes]) -> None:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = header(file)
        if (shape, by_columns, dtype) != (self._shape, False, np.dtype(np.uint8)):
            raise DataFormatError(
                f"{self._path} is not dSprites' npz: imgs are {dtype} {shape}, not uint8 {self._shape} row by row"
            )

    def _rows(self, file: IO[bytes], start: int) -> Array:
        n = min(_CHUNK, self._shape[0] - start)
        data = np.frombuffer(file.read(n * _SPRITE[0] * _SPRITE[1]), np.uint8)  # too few fail to be reshaped
        here = self._numbers[(self._numbers >= start) & (self._numbers < start + n)] - start
        return data.reshape(n, *_SPRITE)[here]
