"""A tree of files: a folder, or a zip that is read as if it were one."""

from __future__ import annotations

import logging
import lzma
import os
import posixpath
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from PIL import Image

from head2toe.data.decoding import decode
from head2toe.data.images import Images, ItemImages
from head2toe.data.lock import Lock
from head2toe.data.recordings import Recordings
from head2toe.data.suffixes import PICTURES, WAV
from head2toe.errors import DataFormatError, UnreadableImageError, one_line
from head2toe.paths import is_passing, real_path

log = logging.getLogger(__name__)

_MOST_BYTES = 2**30  # of one image file in a zip; a larger one is an attack or a mistake
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError)
_UTF8 = 0x800  # the flag of a zip's member whose name is in UTF-8


class Tree(Protocol):
    """Files by their path in the tree, with "/" between its parts."""

    place: str  # for messages
    what: str  # the same: what its files are

    def images_below(self) -> list[str]:
        """All image (or sound) files by suffix, sorted, hidden ones left out."""
        ...

    def others_below(self) -> list[str]:
        """All other files, sorted, hidden ones left out."""
        ...

    def tables(self) -> list[str]:
        """The CSV files at the top, sorted."""
        ...

    def text(self, name: str) -> bytes:
        """The bytes of a file."""
        ...

    def resolve(self, table: str, name: str) -> str | None:
        """The file that a table calls `name`, None where there is none."""
        ...

    def images(self, files: list[str], names: list[str]) -> Images:
        """The images in some files, read when they are indexed; `names` are for messages."""
        ...

    def shown(self, name: str) -> str:
        """A file's name for the user."""
        ...

    def parts(self, name: str) -> tuple[str, ...]:
        """The folders, from where the data begin, and the file."""
        ...


class Folder:
    """A folder and all below it; links are followed, each folder once."""

    what = "image"

    def __init__(self, path: Path) -> None:
        self._root = path
        self.place = str(path)

    def images_below(self) -> list[str]:
        return sorted(filter(self._is_read, self._walk(_tell_unlisted)))

    def others_below(self) -> list[str]:
        return sorted(name for name in self._walk() if not self._is_read(name) and not _has_hidden(name))

    def tables(self) -> list[str]:
        return sorted(entry.name for entry in self._root.iterdir() if is_table(entry.name) and entry.is_file())

    def text(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise DataFormatError(f"{self._root / name} cannot be read: {error.strerror}") from error

    def resolve(self, table: str, name: str) -> str | None:
        for spelled in _spellings(name):
            path = Path(table).parent / spelled
            full = self._root / path
            if is_there(full) and full.is_file():
                return str(path)
        return None

    def images(self, files: list[str], names: list[str]) -> Images:
        return ItemImages([self._root / name for name in files], names)

    def shown(self, name: str) -> str:
        return str(self._root / name)

    def parts(self, name: str) -> tuple[str, ...]:
        return PurePosixPath(name).parts

    def _is_read(self, name: str) -> bool:
        return is_image(name)

    def _walk(self, onerror: Callable[[OSError], None] | None = None) -> Iterator[str]:
        """All files; links to folders are followed, but not to one that the way down has come through."""
        for folder, below, files in os.walk(self._root, onerror=onerror, followlinks=True):
            within = Path(folder).relative_to(self._root)
            above = {real_path(self._root / part) for part in (within, *within.parents)}
            below[:] = [name for name in below if not is_hidden(name) and real_path(Path(folder) / name) not in above]
            yield from ((within / name).as_posix() for name in files)


def _tell_unlisted(error: OSError) -> None:
    """A folder that cannot be listed may be a class."""
    log.warning("%s cannot be listed (%s): what lies in it is left out", error.filename, str(error.strerror).lower())


class SoundFolder(Folder):
    """A folder of .wav files."""

    what = "recording"

    def _is_read(self, name: str) -> bool:
        return is_sound(name)

    def images(self, files: list[str], names: list[str]) -> Any:
        return Recordings([self._root / name for name in files], names)


class Archive:
    """A zip file.

    Raises
    ------
    DataFormatError
        It is no zip file, damaged or encrypted.
    """

    what = "image"

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._lock = Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise DataFormatError(f"{path} is no zip file, or a damaged one: {one_line(error)}") from error
        members = ((_inside_of(info), info) for info in self._zip.infolist())
        self._members = {name: info for name, info in members if name and not name.endswith("/")}
        if any(info.flag_bits & 1 for info in self._members.values()):
            raise DataFormatError(f"{path} is encrypted: unpack it and pass the folder")
        self._top = self._only_folder()

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        """A copy in another process opens the file anew."""
        return Archive, (Path(self.place),)

    def images_below(self) -> list[str]:
        return sorted(self._top + name for name in self._inside() if is_image(name))

    def others_below(self) -> list[str]:
        return sorted(self._top + name for name in self._inside() if not is_image(name))

    def tables(self) -> list[str]:
        return sorted(self._top + name for name in self._inside() if "/" not in name and is_table(name))

    def text(self, name: str) -> bytes:
        return self.read(name)

    def resolve(self, table: str, name: str) -> str | None:
        for spelled in _spellings(name):
            path = _relative(posixpath.join(posixpath.dirname(table), spelled))
            if path in self._members:
                return path
        return None

    def images(self, files: list[str], names: list[str]) -> Images:
        return ZippedImages(self, files, names)

    def shown(self, name: str) -> str:
        return name

    def parts(self, name: str) -> tuple[str, ...]:
        return PurePosixPath(name.removeprefix(self._top)).parts

    def read(self, name: str) -> bytes:
        """The bytes of a member; one thread at a time, because they share the open file.

        Raises
        ------
        UnreadableImageError
            The member is damaged, or larger than an image file can be.
        """
        info = self._members[name]
        if info.file_size > _MOST_BYTES:
            raise UnreadableImageError(f"{name} in {self.place}: {info.file_size:,} bytes are too many for an image")
        try:
            with self._lock:
                return self._zip.read(info)
        except (*_DAMAGE, OSError, EOFError, ValueError) as error:
            if isinstance(error, OSError) and is_passing(error):
                raise
            raise UnreadableImageError(f"{name} in {self.place}: {one_line(error)}") from error

    def identity(self, name: str) -> str:
        """What the zip's directory says of a member's content: checksum and size."""
        info = self._members[name]
        return f"{info.CRC:08x} {info.file_size}"

    def _only_folder(self) -> str:
        """The folder that all lies in ("photographs/" of photographs/cats/1.jpg), "" where there is none.

        A single folder of images may also be a single class: then it stays.
        """
        paths = [PurePosixPath(name).parts for name in self._members if not _has_hidden(name)]
        first = {parts[0] for parts in paths}
        images = [parts for parts in paths if is_image(parts[-1])]
        table = any(len(parts) == 2 and is_table(parts[-1]) for parts in paths)
        deep = bool(images) and all(len(parts) > 2 for parts in images)
        return f"{first.pop()}/" if len(first) == 1 and (table or deep) else ""

    def _inside(self) -> list[str]:
        names = [name.removeprefix(self._top) for name in self._members if name.startswith(self._top)]
        return [name for name in names if not _has_hidden(name)]


def _inside_of(info: zipfile.ZipInfo) -> str:
    """A member's path; some programs on Windows write backslashes into it, and others a root. A folder ends in "/"."""
    name = info.filename
    if not info.flag_bits & _UTF8:  # Linux and macOS write UTF-8 and do not say so; Python takes it for cp437
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    name = name.replace("\\", "/") if info.create_system == 0 else name
    return _relative(name) + ("/" if name.endswith("/") else "")


def _spellings(name: str) -> Iterator[str]:
    """Of a name in a table: as programs on Windows write it too, and with accents as other systems do."""
    for slashed in (name, name.replace("\\", "/")):
        yield slashed
        yield unicodedata.normalize("NFC", slashed)
        yield unicodedata.normalize("NFD", slashed)


def _relative(path: str) -> str:
    return posixpath.normpath(f"/{path}").lstrip("/")


class ZippedImages:
    """Images in a zip."""

    def __init__(self, archive: Archive, members: list[str], names: list[str]) -> None:
        self._archive, self._members, self.names = archive, members, names

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, i: int) -> Image.Image:
        return decode(self._archive.read(self._members[i]), self.names[i])

    def identity(self, i: int) -> str:
        """Of the content, not of the place."""
        return self._archive.identity(self._members[i])


def is_image(name: str) -> bool:
    """By the suffix, hidden files left out."""
    path = PurePosixPath(name)
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def is_sound(name: str) -> bool:
    """By the suffix, hidden files left out."""
    path = PurePosixPath(name)
    return path.suffix.lower() == WAV and not path.name.startswith(".")


def is_table(name: str) -> bool:
    """By the suffix, hidden files left out."""
    return name.lower().endswith(".csv") and not name.startswith(".")


def is_hidden(part: str) -> bool:
    """A name that people do not see, or that a system leaves in archives."""
    return part.startswith(".") or part == "__MACOSX"


def _has_hidden(name: str) -> bool:
    return any(is_hidden(part) for part in PurePosixPath(name).parts)


def is_there(path: Path) -> bool:
    """Whether it is there; a name that no file can have is not."""
    try:
        return path.exists()
    except OSError:
        return False
