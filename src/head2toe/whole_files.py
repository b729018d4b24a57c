"""Files that are written whole or not at all: an error on the way leaves what was there before."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside another one; the file that is written there takes its place in the end."""
    # The ending stays what it was: some writers go by it.
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8 with the line ends that it has."""
    with replacing(path) as beside:
        # Names of files that are no text are written as the bytes that they are.
        beside.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
