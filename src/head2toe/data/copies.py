"""Which images are copies of others: files, and members of zips, of the same content."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from head2toe.data.images import Images

_FILE = re.compile(r"(?P<path>.+) (?P<size>\d+) \d+ \d+", re.DOTALL)  # as `images.file_identity` writes it
_MEMBER = re.compile(r"[0-9a-f]{8} (?P<size>\d+)")  # as `files.Archive.identity` does


def copies(images: Images, others: Images) -> list[bool]:
    """Which of the images are among the others too; a copy of a file is the same image, in a zip too.

    Files are read only where both sides have some of their size.
    """
    sides = [[side.identity(i) for i in range(len(side))] for side in (images, others)]
    sizes = set.intersection(*({_size(one) for one in side} for side in sides))
    own, known = ([_content(one) if _size(one) in sizes else one for one in side] for side in sides)
    there = set(known)
    return [one in there for one in own]


def _size(identity: str) -> str | None:
    found = _FILE.fullmatch(identity) or _MEMBER.fullmatch(identity)
    return found and found["size"]


def _content(identity: str) -> str:
    """Of a file checksum and size, as the directory of a zip has them of its members; others as they are."""
    found = _FILE.fullmatch(identity)
    try:
        data = Path(found["path"]).read_bytes() if found else None
    except OSError:
        return identity
    return identity if data is None else f"{zlib.crc32(data):08x} {len(data)}"
