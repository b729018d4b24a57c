"""Paths as users write them, and what lies there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_PASSING = frozenset(
    code
    for name in (
        *("EIO", "EREMOTEIO", "ESTALE", "ENODEV", "ENXIO", "EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ETIMEDOUT"),
        *("ENETDOWN", "ENETUNREACH", "ENOTCONN", "ECONNRESET", "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH"),
    )
    if (code := getattr(errno, name, None)) is not None  # not every system knows all
)


def path_of(place: str | os.PathLike[str]) -> Path:
    """A path with the home folder in place of a leading ~; as it is where ~ names no user, where Path's way raises."""
    return Path(os.path.expanduser(place))  # noqa: PTH111


def real_path(place: str | os.PathLike[str]) -> Path:
    """The full path behind all links; of a link that leads to itself its own, where `Path.resolve` raises."""
    return Path(os.path.realpath(path_of(place)))


def is_passing(error: OSError) -> bool:
    """Whether a file may well be read the next time: a network or a disk failed, or the system had no more to give."""
    return error.errno in _PASSING


def bytes_of(place: str | os.PathLike[str]) -> bytes:
    """What a file holds.

    Raises
    ------
    OSError
        It cannot be read, or is a named pipe, which would wait for whoever writes to it.
    """
    path = Path(place)
    if stat.S_ISFIFO(path.stat().st_mode):
        raise OSError(errno.EINVAL, "a pipe, not a file", str(path))
    return path.read_bytes()
