"""A matrix in a file without a name, feature by feature, of which memory holds what was asked for last."""

from __future__ import annotations

import logging
import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from head2toe.probes.memory import let_go

FREE_SHARE = 0.5  # of the free disk that a scratch file may take
SMALL_BYTES = 64 * 2**20  # what is smaller may as well lie in memory

log = logging.getLogger(__name__)


class Scratch:
    """d features of n rows, float32, written once from the first to the last and read in any order.

    The file has no name and is gone with this object, or with the process.

    Parameters
    ----------
    folder : path
    tiles : iterable of Tensor (k, n)
        Features in order, d together; contiguous.
    n : int

    Raises
    ------
    OSError
        The folder cannot be written to, or the disk is full.
    """

    def __init__(self, folder: Path, tiles: Iterable[torch.Tensor], n: int) -> None:
        with tempfile.TemporaryFile(dir=folder) as file:
            for tile in tiles:
                file.write(tile.numpy().data)
            file.flush()
            self._mapped = mmap.mmap(file.fileno(), 0)
        self._features = torch.from_numpy(np.frombuffer(self._mapped, np.float32).reshape(-1, n))
        self._feature_bytes = 4 * n
        self._last = 0, 0

    def __getitem__(self, wanted: slice) -> torch.Tensor:
        """Features of a range, float32 (K, n), not to be written to. What was asked for before leaves memory."""
        let_go(self._mapped, *(self._feature_bytes * at for at in self._last))
        self._last = wanted.start, wanted.stop
        return self._features[wanted]


def scratch_file(folder: Path | None, tiles: Callable[[], Iterable[torch.Tensor]], d: int, n: int) -> Scratch | None:
    """A scratch file of d features of n rows; None where there is no folder, or its disk has no room."""
    try:
        if folder is not None and room_for(folder, 4 * n * d):
            return Scratch(folder, tiles(), n)
    except OSError as error:
        log.debug("no scratch file: %s", error)
    return None


def room_for(folder: Path, needed: int) -> bool:
    """Whether a scratch file of `needed` bytes leaves enough of the disk free."""
    return needed <= FREE_SHARE * shutil.disk_usage(folder).free


def folder_of(X: np.ndarray) -> Path | None:
    """Where the scratch file of an array belongs: beside the file that it is a view of.

    Of an array in memory that is the system's folder for temporary files; None for a small one.
    """
    base = X
    while isinstance(base, np.ndarray):
        file = getattr(base, "filename", None)
        if file is not None:
            return Path(file).parent
        base = base.base
    return None if X.nbytes < SMALL_BYTES else Path(tempfile.gettempdir())
