"""A probe folder: its files are written aside and then moved in, so that the probe is there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from head2toe.artifacts.saved_probe import SavedProbe
from head2toe.errors import DiskFullError, OutputExistsError, ParameterError, ProbeFormatError
from head2toe.json_text import json_text
from head2toe.paths import path_of, real_path

DESCRIPTION, TENSORS = "probe.json", "probe.safetensors"
_LONGEST_SAVE, _BETWEEN_TRIES = 10.0, 0.02  # seconds


def save_probe(folder: str | Path, probe: SavedProbe, *, overwrite: bool = False) -> Path:
    """Write `probe.json` and `probe.safetensors`.

    Parameters
    ----------
    folder : path
        Made, with its parents.
    probe : SavedProbe
    overwrite : bool
        Replace a probe that is there already; other files in its folder stay. A folder that holds other things and no
        probe is never replaced.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputExistsError
        The folder is there, and `overwrite` is not set or it holds no probe.
    DiskFullError
        Nothing but empty folders is left behind then, and a probe that was there is as it was.
    """
    description = json_text(probe.description(), indent=2)
    parent = real_path(folder).parent
    with suppress(OSError):  # told by `check_output`
        parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent, alone=True):  # another process may save here, or read
        target = check_output(folder, overwrite=overwrite)
        try:
            _write(target, description, probe)
        except (OSError, SafetensorError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
                raise DiskFullError(f"no room on the disk for the probe at {folder}: nothing was written") from error
            raise
    return target


def check_output(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Return the full path of a folder that `save_probe` may write, before any long work.

    Raises
    ------
    OutputExistsError
        As `save_probe`.
    ParameterError
        The folder that it would stand in is none, or is not the user's to write.
    """
    target = real_path(folder)
    _check_free(target, folder, overwrite)
    check_writable(target)
    return target


def check_writable(folder: str | Path) -> None:
    """Refuse a folder that no file can be written into; one that is not there yet, with its parents, can be made.

    Raises
    ------
    ParameterError
    """
    target = real_path(folder)
    place = next(part for part in (target, *target.parents) if os.path.lexists(part))
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ParameterError(f"{folder} cannot be written: {place} is no folder, or not yours to write")


def load_probe(folder: str | Path) -> SavedProbe:
    """Read a probe folder; nothing in it is run.

    Raises
    ------
    ProbeFormatError
        There is no probe, it is damaged, or a newer head2toe wrote it.
    OSError
        A file may not be read.
    """
    with _locked(real_path(folder).parent, alone=False):
        return _read(folder)


def probe_bytes(folder: Path) -> int:
    """The size of a probe's files.

    Raises
    ------
    OSError
        There is no probe.
    """
    return sum((folder / name).stat().st_size for name in (DESCRIPTION, TENSORS))


def _read(folder: str | Path) -> SavedProbe:
    path = path_of(folder)
    missing = [name for name in (DESCRIPTION, TENSORS) if not (path / name).is_file()]
    if missing:
        raise ProbeFormatError(f"{folder} is not a probe folder: it has no {' and no '.join(missing)}")
    try:
        description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        with (path / TENSORS).open("rb"):  # safetensors says of a file that may not be read that there is none
            return SavedProbe.of(description, load_file(path / TENSORS))
    except ProbeFormatError as error:
        raise ProbeFormatError(f"{folder} cannot be read: {error}") from error
    except KeyError as error:
        raise ProbeFormatError(f"{folder} cannot be read: {error} is missing from it") from error
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ProbeFormatError(f"{folder} is damaged: {reason}") from error


def _check_free(target: Path, folder: str | Path, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir() or not (target / DESCRIPTION).is_file():
        raise OutputExistsError(f"{folder} is there already and is no probe folder: choose another folder")
    if not overwrite:
        raise OutputExistsError(f"{folder} is there already: choose another folder, or overwrite it")


@contextmanager
def _locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Keep others from saving into a folder meanwhile, and from reading there if `alone`.

    Nothing is left behind. Where the system, the disk or the folder's mode has no such locks, there is none.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl  # not on Windows

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            _wait_for(partial(fcntl.flock, handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB))
        yield


def _wait_for(lock: Callable[[], None]) -> None:
    """Whoever keeps it for longer than that is none of ours."""
    deadline = time.monotonic() + _LONGEST_SAVE
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            return lock()
        time.sleep(_BETWEEN_TRIES)
    return None


def _write(target: Path, description: str, probe: SavedProbe) -> None:
    # A folder that is there stays: it may be a mount point, or the one that the user stands in.
    # A long name has no room for more.
    beside = (target if target.exists() else target.parent) / f".{target.name[:40]}.{uuid.uuid4().hex[:8]}"
    try:
        beside.mkdir(parents=True)
        (beside / DESCRIPTION).write_text(description + "\n", encoding="utf-8")
        save_file(probe.tensors(), beside / TENSORS, metadata={"format": "pt"})
        with suppress(OSError):  # safetensors lets the owner alone read; not every file system knows modes
            (beside / TENSORS).chmod((beside / DESCRIPTION).stat().st_mode & 0o777)
        _put(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _put(beside: Path, target: Path) -> None:
    """Move the finished files into their place; a probe that was there comes back if that fails."""
    if not target.exists():
        beside.rename(target)
        return
    names = (TENSORS, DESCRIPTION)  # the description last: without it there is no probe
    try:
        for name in reversed(names):
            if (target / name).exists():
                (target / name).replace(beside / f"{name}.old")
        for name in names:
            (beside / name).replace(target / name)
    except BaseException:  # Ctrl-C too
        for name in names:
            if (beside / f"{name}.old").exists():
                (beside / f"{name}.old").replace(target / name)
            elif not (beside / name).exists():
                (target / name).unlink(missing_ok=True)
        raise
