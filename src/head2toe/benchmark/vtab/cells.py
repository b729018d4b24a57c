"""Cells: what a method reached on a task with one seed, as JSON in ``OUT/BACKBONE/TASK/METHOD-seedK.json``."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from head2toe.errors import DataFormatError
from head2toe.whole_files import write_text

Cell = dict[str, Any]
SUFFIX = ".json"
_FILES = f"*-seed*{SUFFIX}"


def read_cells(folder: str | os.PathLike[str]) -> list[Cell]:
    """All cells below a folder that runs wrote to.

    Raises
    ------
    DataFormatError
        There is none (the message names the folder around it, or the one in it, that has some), or one is damaged.
    """
    cells = [cell for _, cell in _cells(Path(folder), f"*/*/{_FILES}")]
    if cells:
        return cells
    name, other = os.fspath(folder), _elsewhere(Path(folder))
    if other is not None:
        raise DataFormatError(f"{name} has no cells, but {other} has: try head2toe vtab table {other}")
    raise DataFormatError(f"{name} has no cells: write some with head2toe vtab run --out {name}")


@dataclass(frozen=True)
class Cells:
    """The cells of one backbone below a folder. Those that are there come with their files.

    Reading raises `DataFormatError` where one is damaged.
    """

    out: Path
    backbone: str

    def path(self, task: str, method: str, seed: int) -> Path:
        """Where a cell is."""
        return self._folder(task) / f"{method}-seed{seed}{SUFFIX}"

    def there(self) -> Iterator[tuple[Path, Cell]]:
        """All cells that are there."""
        return _cells(self.out / _plain(self.backbone), f"*/{_FILES}")

    def of_task(self, task: str) -> Iterator[tuple[Path, Cell]]:
        """Those of a task."""
        return _cells(self._folder(task), f"*{SUFFIX}")

    def write(self, cell: Cell) -> None:
        """Write a cell, whole or not at all."""
        path = self.path(cell["task"], cell["method"], cell["seed"])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(cell, indent=1, sort_keys=True, allow_nan=False))

    def _folder(self, task: str) -> Path:
        name = _plain(task)
        if name != task:  # two names may look alike as folders
            name = f"{name}-{hashlib.sha256(task.encode()).hexdigest()[:8]}"
        return self.out / _plain(self.backbone) / name


def _plain(name: str) -> str:
    """A name as one folder."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.") or "unnamed"


def _elsewhere(folder: Path) -> Path | None:
    """The folder that has cells where this one has none: it is of a backbone, or of one's task, or holds several."""
    above = Path(os.path.realpath(folder)).parent
    if any(_files(folder, f"*/{_FILES}")):
        return above
    if any(_files(folder, _FILES)):
        return above.parent
    below = next(_files(folder, f"*/*/*/{_FILES}"), None)
    return None if below is None else below.parents[2]


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    """The files of cells; hidden ones are of a write that is under way, or was interrupted."""
    for path in sorted(folder.glob(pattern)):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _cells(folder: Path, pattern: str) -> Iterator[tuple[Path, Cell]]:
    for path in _files(folder, pattern):
        cell = _read(path)
        if cell is not None:
            yield path, cell


def _read(path: Path) -> Cell | None:
    """A cell; None where it has been deleted since it was found."""
    try:
        cell = json.loads(path.read_bytes())
        missing = {"task", "group", "method", "seed", "accuracy", "backbone"} - cell.keys()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise DataFormatError(f"{path} is no cell: delete it, and it is run again") from error
    if missing:
        raise DataFormatError(
            f"{path} is no cell, it lacks {', '.join(sorted(missing))}: delete it, and it is run again"
        )
    wrong = sorted(name for name, fits in _FITS.items() if name in cell and not fits(cell[name]))
    if wrong:
        raise DataFormatError(f"{path} is no cell, its {', '.join(wrong)} cannot be: delete it, and it is run again")
    return cell


def _is_share(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value <= 1)


def _is_described(value: Any) -> bool:
    return value is None or isinstance(value, dict)


_FITS = {  # what a table reads of a cell
    **dict.fromkeys(("accuracy", "balanced_accuracy", "cv_accuracy"), _is_share),
    **dict.fromkeys(("preprocessing", "data", "fingerprint"), _is_described),
    **dict.fromkeys(("task", "group", "method", "backbone"), lambda value: isinstance(value, str)),
    "dtype": lambda value: value is None or isinstance(value, str),
    "seed": lambda value: isinstance(value, int),
}
