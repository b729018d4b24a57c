"""Files that are written whole or not at all: an error on the way leaves what was there before."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from head2toe.errors import DiskFullError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside another one; the file that is written there takes its place in the end.

    Where the other one is a link, that is the place of the file that it leads to.

    Raises
    ------
    DiskFullError
    """
    target = Path(os.path.realpath(path))
    # The ending stays what it was: some writers go by it. A long name has no room for more.
    beside = target.with_name(f".{target.stem[:40]}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        yield beside
        beside.replace(target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(f"{path} cannot be written: {error.strerror}; free some room there") from error
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8 with the line ends that it has."""
    with replacing(path) as beside:
        # Names of files that are no text are written as the bytes that they are.
        beside.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
