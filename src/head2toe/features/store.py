"""The store: rows on disk, with all that they were made from beside them.

A store is a folder with `rows.npy` (float32, row-major), `manifest.json` (what was asked for) and `progress.json` (how
far it got). Rows are written before the progress that counts them, so whatever ends a run, the rows that count are
there, and the run goes on from them. (A power cut may lose what the system had not yet brought to the disk.)
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from head2toe.errors import DiskFullError, StoreFormatError, StoreMismatchError
from head2toe.features.behaviour import behaviour
from head2toe.features.plan import Plan, row_bytes
from head2toe.features.reader import Skipped
from head2toe.whole_files import write_text

if TYPE_CHECKING:
    from head2toe.backbones import Backbone
    from head2toe.data.images import Images

SCHEMA = 2  # 2: channels that hold one value have no deviation at all
Rows = npt.NDArray[np.float32]

# What a request is made of, in the words of an error message.
_WORDS = {
    "schema": "the schema version",
    "backbone.spec": "the backbone",
    "backbone.revision": "the backbone's revision",
    "backbone.weights_sha256": "the backbone's weights",
    "backbone.classifier": "the backbone's classifier",
    "backbone.preprocessing": "the preprocessing",
    "behaviour": "what your own network, folder or transform does",
    "plan.layers": "the layers",
    "plan.blocks": "the target sizes or pooling",
    "plan.views": "the target sizes",
    "data.n": "the number of images",
    "data.sha256": "the images",
    "dtype": "the dtype",
}


@dataclass(frozen=True)
class FeatureStore:
    """The rows of a set of images.

    Attributes
    ----------
    rows
        float32 (m, d): one row for each readable image, a read-only memmap where there is a folder. With `columns`,
        (m, len(columns)).
    plan
        What the columns are.
    kept
        int64 (m,): the position of each row's image among the images given.
    skipped
        The images that could not be read.
    dtype, reason
        The number format the network ran in, and why.
    folder
        Where the rows are, None for rows in memory.
    cached
        True where the rows were there already and no image was read.
    """

    rows: Rows
    plan: Plan
    kept: npt.NDArray[np.int64]
    skipped: tuple[Skipped, ...]
    dtype: str
    reason: str
    folder: Path | None = None
    cached: bool = False


def request_for(backbone: Backbone, images: Images, plan: Plan, dtype: str) -> dict[str, Any]:
    """Return what identifies rows, as JSON data: backbone, plan, data and the dtype asked for."""
    digest = hashlib.sha256()
    for i in range(len(images)):
        digest.update(images.identity(i).encode("utf-8", "surrogatepass") + b"\n")
    request = {
        "schema": SCHEMA,
        "backbone": backbone.to_dict(),
        "plan": plan.to_dict(),
        "data": {"n": len(images), "sha256": digest.hexdigest()},
        "dtype": dtype,
    }
    made = behaviour(backbone)
    return json.loads(json.dumps(request if made is None else {**request, "behaviour": made}))


@dataclass
class _Progress:
    """How many images have been consumed, which of them gave no row, and in which dtype the rest ran."""

    read: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    dtype: str | None = None
    reason: str = ""
    complete: bool = False

    @property
    def rows(self) -> int:
        return self.read - len(self.skipped)


class StoreWriter:
    """A folder of rows, opened for one request.

    Parameters
    ----------
    folder
        A new or empty folder, or a store of the same request, finished or not.
    request
        From `request_for`.
    n, d
        Images and columns.

    Raises
    ------
    StoreMismatchError
        The folder holds rows made from something else; the message says what differs.
    StoreFormatError
        The folder holds something else, or its files are damaged.
    DiskFullError
        The rows that are still to come do not fit on the disk.
    """

    def __init__(self, folder: str | Path, request: dict[str, Any], n: int, d: int) -> None:
        self.folder = Path(folder)
        self.d = d
        self.n = n
        self._progress = _Progress()
        if (self.folder / "manifest.json").exists():
            self._check(request)
            self._progress = self._load_progress()
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise StoreFormatError(f"{self.folder} exists and is no feature store: choose another folder")
        if not self.complete:
            check_disk(self.folder, (self.n - self._progress.rows) * row_bytes(self.d))
            self._begin(request)

    @property
    def complete(self) -> bool:
        """All images have been consumed."""
        return self._progress.complete

    @property
    def read(self) -> int:
        """Images consumed so far: where a resumed run starts."""
        return self._progress.read

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Images that gave no row so far."""
        return tuple(self._progress.skipped)

    @property
    def dtype(self) -> str | None:
        """The dtype of the rows so far: a resumed run must keep it."""
        return self._progress.dtype

    def describe_run(self, dtype: str, reason: str) -> None:
        """Note the dtype that the network runs in."""
        self._progress.dtype, self._progress.reason = dtype, reason

    def append(self, rows: Rows, skipped: Iterable[Skipped]) -> None:
        """Write the rows (b, d) of a batch, then count them and the images skipped meanwhile.

        Raises
        ------
        DiskFullError
            The disk is full. What was counted before is safe; the same call resumes.
        StoreMismatchError
            Another process has written to the folder meanwhile.
        """
        counted = self._load_progress().read
        if counted != self._progress.read:
            raise StoreMismatchError(
                f"another process has changed {self.folder} while rows were written to it "
                f"({counted} of {self.n} images are counted there, {self._progress.read} here): let one finish"
            )
        try:
            with (self.folder / "rows.npy").open("r+b", buffering=0) as file:
                file.seek(self._size(self._progress.rows))
                _write_all(file, rows)
            skipped = list(skipped)
            self._progress.read += len(rows) + len(skipped)
            self._progress.skipped += skipped
            self._write_progress()
        except OSError as error:
            if not isinstance(error, DiskFullError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                error.filename = error.filename or str(self.folder / "rows.npy")  # writing tells none
                raise
            raise DiskFullError(
                f"the disk is full after {self._progress.rows} of {self.n} images in {self.folder}: "
                "free some room and run the same command again, it goes on from there"
            ) from error

    def finish(self) -> None:
        """Give the file its final shape and mark the store as complete."""
        rows = self._progress.rows
        with (self.folder / "rows.npy").open("r+b") as file:
            file.write(self._header(rows))
            file.truncate(self._size(rows))
        self._progress.complete = True
        self._write_progress()

    def features(self, plan: Plan, *, cached: bool) -> FeatureStore:
        """Open the finished rows for reading."""
        try:
            # A memmap cannot be empty; an array of no rows can.
            mode = "r" if self._progress.rows else None
            rows = np.load(self.folder / "rows.npy", mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreFormatError(f"{self.folder / 'rows.npy'} is damaged ({error}): delete the folder") from error
        if rows.shape != (self._progress.rows, self.d):
            raise StoreFormatError(f"{self.folder / 'rows.npy'} has shape {rows.shape}: delete the folder")
        return FeatureStore(
            rows=rows,
            plan=plan,
            kept=kept_positions(self._progress.read, self._progress.skipped),
            skipped=tuple(self._progress.skipped),
            dtype=self._progress.dtype or "",
            reason=self._progress.reason,
            folder=self.folder,
            cached=cached,
        )

    def _header(self, rows: int) -> bytes:
        """NumPy's header of float32 (rows, d): one length for all numbers of rows, so that the last can replace it."""
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, self.d)})
        return file.getvalue()

    def _size(self, rows: int) -> int:
        """Bytes of the file of so many rows."""
        return len(self._header(self.n)) + rows * row_bytes(self.d)

    def _check(self, request: dict[str, Any]) -> None:
        stored = _read_json(self.folder / "manifest.json")
        if stored != request:
            known = [words for key, words in _WORDS.items() if _get(stored, key) != _get(request, key)]
            different = known or ["what another version of head2toe tells apart"]
            raise StoreMismatchError(
                f"{self.folder} holds rows made with another request; different: {', '.join(different)}; "
                "choose another folder or delete this one"
            )

    def _load_progress(self) -> _Progress:
        path = self.folder / "progress.json"
        if not path.exists() or not (self.folder / "rows.npy").exists():
            return _Progress()
        data = _read_json(path)
        try:
            progress = _Progress(**{**data, "skipped": [Skipped(**item) for item in data["skipped"]]})
            counted = self._size(progress.rows)
        except (KeyError, TypeError) as error:
            raise StoreFormatError(f"{path} is damaged: delete the folder {self.folder}") from error
        if (self.folder / "rows.npy").stat().st_size < counted:  # a power cut, or a copy that was not finished
            raise StoreFormatError(f"{self.folder / 'rows.npy'} lacks rows that were counted: delete the folder")
        return progress

    def _begin(self, request: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._progress.read:
            return
        (self.folder / "rows.npy").write_bytes(self._header(self.n))
        self._write_progress()
        write_text(self.folder / "manifest.json", json.dumps(request))

    def _write_progress(self) -> None:
        write_text(self.folder / "progress.json", json.dumps(asdict(self._progress)))


def check_disk(folder: Path, needed: int) -> None:
    """Refuse rows of `needed` bytes that do not fit where `folder` is or will be.

    Raises
    ------
    DiskFullError
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DiskFullError(
            f"the rows need {needed / 1e9:.2f} GB and {place} has {free / 1e9:.2f} GB free: free some room, "
            "choose another folder, fewer layers or a smaller target size"
        )


def kept_positions(read: int, skipped: Iterable[Skipped]) -> npt.NDArray[np.int64]:
    """Return the positions, among the first `read` images, of those that gave a row."""
    mask = np.ones(read, bool)
    mask[[item.index for item in skipped]] = False
    return np.flatnonzero(mask).astype(np.int64)


def _write_all(file: Any, rows: Rows) -> None:
    """Write bytes whole: one system call may take only a part."""
    data = memoryview(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
    while data:
        data = data[file.write(data) :]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreFormatError(f"{path} cannot be read ({error}): delete the folder {path.parent}") from error
    if not isinstance(data, dict):
        raise StoreFormatError(f"{path} is no manifest: delete the folder {path.parent}")
    return data


def _get(data: dict[str, Any], path: str) -> Any:
    value: Any = data
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
