"""Rows that nobody keeps: where they are while they are used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from head2toe.features.plan import row_bytes
from head2toe.features.store import Rows, check_disk

_IN_MEMORY = 2**30  # bytes of rows that stay in memory


@contextmanager
def place_for(needed: int) -> Iterator[Path | None]:
    """Where rows of so many bytes go: None, in memory, or a temporary folder's store."""
    if needed <= _IN_MEMORY:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        yield Path(folder) / "rows"


def temporary_rows(n: int, d: int) -> Rows:
    """Room for rows, float32 (n, d): in memory, or in a file without a name.

    Raises
    ------
    DiskFullError
    """
    needed = n * row_bytes(d)
    if needed <= _IN_MEMORY:
        return np.empty((n, d), np.float32)
    check_disk(Path(tempfile.gettempdir()), needed)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=(n, d))
