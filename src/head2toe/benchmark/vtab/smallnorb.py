"""SmallNORB in its original files, which are matrices of a format of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from head2toe.benchmark.vtab.definitions import NORB_FILES, TaskDefinition
from head2toe.benchmark.vtab.labels import smallnorb_azimuth, smallnorb_elevation
from head2toe.benchmark.vtab.pool import Drawn, array_part, draw
from head2toe.errors import DataFormatError

NORB_ELEVATION, NORB_AZIMUTH = 1, 2  # columns of info
_NORB_TYPES = {0x1E3D4C55: "u1", 0x1E3D4C54: "<i4"}


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


def norb_matrix(path: Path) -> npt.NDArray[Any]:
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
        _check_unpacked(path)
        header = np.fromfile(path, "<i4", 2)
        kind, dimensions = _NORB_TYPES[int(header[0])], int(header[1])
        shape = tuple(np.fromfile(path, "<i4", dimensions, offset=8).tolist())
        return np.memmap(path, kind, "r", offset=8 + 4 * max(3, dimensions), shape=shape)
    except DataFormatError:
        raise
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise DataFormatError(f"{path} is no matrix of smallNORB, or cut off") from error


def _check_unpacked(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise DataFormatError(f"{path} is still packed: gunzip it")
