"""The cache: stores in one folder, named by what they hold, the least recently used out first."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from head2toe.errors import DiskFullError, ParameterError
from head2toe.paths import path_of

log = logging.getLogger(__name__)

_KEY = re.compile(r"[0-9a-f]{24}")  # the name of a store; whatever else lies in the folder is not the cache's
DEFAULT_LIMIT = 10_000_000_000
"""Bytes: 10 GB."""


@dataclass(frozen=True)
class Entry:
    """One store in the cache: its name, folder, bytes, time of last use (seconds since 1970), backbone and images."""

    key: str
    folder: Path
    bytes: int
    used: float
    backbone: str
    n: int
    complete: bool


class Cache:
    """A folder of feature stores with a limit on its size.

    Parameters
    ----------
    folder
        By default `features` in the user's cache folder for head2toe.
    limit
        Bytes. Before a new store is begun, the least recently used ones are deleted until it fits, within the limit
        and on the disk; never one in use, by this or another process.
    """

    def __init__(self, folder: str | Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        own = platformdirs.user_cache_path("head2toe") / "features"
        self.folder = own if folder is None else path_of(folder)
        self.limit = limit

    def entries(self) -> list[Entry]:
        """List the stores, least recently used first."""
        if not self.folder.is_dir():
            return []
        found = [_entry(path) for path in self.folder.iterdir() if (path / "manifest.json").exists()]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.used)

    def bytes(self) -> int:
        """Return the bytes of all stores."""
        return sum(entry.bytes for entry in self.entries())

    def clear(self) -> list[Entry]:
        """Delete all stores not in use, and what is left of interrupted and damaged ones; return the stores deleted."""
        deleted = [entry for entry in self.entries() if self._delete(entry)]
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if _KEY.fullmatch(folder.name):
                with suppress(filelock.Timeout, OSError), self._lock(folder.name).acquire(timeout=0):
                    _sweep(folder)
        return deleted

    @contextmanager
    def use(self, request: dict[str, Any], needed: int) -> Iterator[Path]:
        """Reserve the folder for a request, and room for its bytes; hold it while the context is open.

        Parameters
        ----------
        request
            What identifies the rows.
        needed
            Bytes of the finished store.

        Raises
        ------
        ParameterError
            The cache's folder cannot be written.
        DiskFullError
            Its disk is full.

        Notes
        -----
        A second process that asks for the same rows waits, and then finds them finished.
        """
        key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:24]
        self._make_folder()
        with self._lock(key):
            folder = self.folder / key
            _sweep(folder)
            self._make_room(key, needed)
            try:
                yield folder
            except DiskFullError as error:
                raise DiskFullError(f"{error}; or keep no rows (cache=False, --no-cache)") from error
            finally:
                if (folder / "manifest.json").exists():
                    os.utime(folder / "manifest.json")

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):  # made by another user, root perhaps
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ParameterError(
                f"no cache can be kept in {self.folder} ({error.strerror}): choose another folder, or none "
                "(cache=False, --no-cache)"
            ) from error

    def _lock(self, key: str) -> filelock.BaseFileLock:
        return filelock.FileLock(self.folder / f"{key}.lock")

    def _make_room(self, key: str, needed: int) -> None:
        entries = self.entries()
        others = [entry for entry in entries if entry.key != key]
        used = sum(entry.bytes for entry in others)
        excess = used + needed - self.limit
        there = sum(entry.bytes for entry in entries if entry.key == key)
        lacking = needed - there - shutil.disk_usage(self.folder).free
        lacking = lacking if lacking <= used else 0  # to delete them all would not do
        for entry in others:
            if max(excess, lacking) <= 0:
                return
            if self._delete(entry):
                log.info("cache: deleted %s (%s, %d images) to make room", entry.key, entry.backbone, entry.n)
                excess, lacking = excess - entry.bytes, lacking - entry.bytes
        if excess > 0:
            log.warning(
                "cache: these rows take %.1f GB, more than the limit of %.1f GB allows: kept all the same",
                needed / 1e9,
                self.limit / 1e9,
            )

    def _delete(self, entry: Entry) -> bool:
        """Delete a store; False where it is in use."""
        try:
            with self._lock(entry.key).acquire(timeout=0):
                # The manifest goes first: half a store is then no store.
                (entry.folder / "manifest.json").unlink()
                shutil.rmtree(entry.folder)
        except (filelock.Timeout, OSError):
            return False
        return True


def _sweep(folder: Path) -> None:
    """Delete what an interruption or a power cut has left, and nobody can read; its lock must be held."""
    if folder.is_dir() and _entry(folder) is None:
        shutil.rmtree(folder)


def _entry(folder: Path) -> Entry | None:
    """Describe a store; None where it has just been deleted or is damaged beyond reading."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        progress = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        return Entry(
            key=folder.name,
            folder=folder,
            bytes=sum(path.stat().st_size for path in folder.iterdir()),
            used=(folder / "manifest.json").stat().st_mtime,
            backbone=str(manifest["backbone"]["spec"]),
            n=int(manifest["data"]["n"]),
            complete=bool(progress["complete"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
