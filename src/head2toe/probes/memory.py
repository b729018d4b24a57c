"""What leaves this process's memory: pages of mapped files once they were read, and what was freed."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np


def let_go(mapped: mmap.mmap, start: int = 0, stop: int | None = None) -> None:
    """Take the pages of bytes ``start:stop`` out of this process's memory; the system may keep them cached."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_DONTNEED, first, (len(mapped) if stop is None else stop) - first)


def let_go_of(X: np.ndarray) -> None:
    """The same for a whole memmap, or a view of one; an array in memory is left alone.

    Only where nothing is lost by it: pages of a copy-on-write map hold what was written to them.
    """
    base, mode = X, None
    while isinstance(base, np.ndarray):
        base, mode = base.base, getattr(base, "mode", mode)
    if isinstance(base, mmap.mmap) and mode in ("r", "r+"):
        let_go(base)


def trim() -> None:
    """Hand freed memory back to the system.

    The C library of Linux keeps freed matrices in its heap where small arrays that live on lie between them.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
