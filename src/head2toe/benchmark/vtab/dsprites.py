"""dSprites in its original file: an npz of 737,280 images and the factors that they were drawn from."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from head2toe.benchmark.vtab.definitions import TaskDefinition
from head2toe.benchmark.vtab.labels import dsprites_location, dsprites_orientation
from head2toe.benchmark.vtab.pool import Drawn, Part, draw
from head2toe.errors import DataFormatError, one_line

Array = npt.NDArray[Any]

DSPRITES_ORIENTATION, DSPRITES_X = 3, 4  # columns of latents_classes
_CHUNK = 4096  # images unpacked at once: 16 MiB
_SPRITE = (64, 64)
_FACTORS = 6  # columns of latents_classes
_DAMAGES = (  # what zipfile, zlib and numpy raise on a damaged npz, or on another file
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


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
