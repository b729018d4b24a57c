"""The layout that the PEFT community passes around (NOAH, SSF, RepAdapter): lists of image files and labels.

NOAH's ``data/vtab-source/get_vtab1k.py`` writes it out of tensorflow_datasets, so its splits are VTAB's own: for each
task a folder with ``train800.txt``, ``val200.txt``, ``train800val200.txt`` and ``test.txt``, whose lines are
``path label`` (``images/test/000000.jpg 34``), paths relative to the folder.
"""

from __future__ import annotations

from pathlib import Path

from head2toe.benchmark.vtab.definitions import TRAINING, VALIDATION, TaskDefinition
from head2toe.benchmark.vtab.pool import LISTED_ORDER, Drawn, Part, file_part, labelled
from head2toe.errors import DataFormatError

TRAIN, VAL, BOTH, TEST = "train800.txt", "val200.txt", "train800val200.txt", "test.txt"


def read_lists(folder: Path, definition: TaskDefinition) -> Drawn:
    """Read a task's folder.

    Parameters
    ----------
    folder
        With ``test.txt`` and either ``train800.txt`` and ``val200.txt`` or, without these, ``train800val200.txt``.
    definition
        The task it should be.

    Raises
    ------
    DataFormatError
        A list is not there, a line is no ``path label``, or the numbers of images are not those of VTAB.
    """
    apart = (folder / TRAIN).is_file() and (folder / VAL).is_file()
    parts = [_read(folder / TRAIN), _read(folder / VAL)] if apart else [_read(folder / BOTH)]
    train = [(part, i) for part in parts for i in range(len(part))]
    _need(folder, "training images", len(train), TRAINING + VALIDATION)
    judged = _read(folder / TEST)
    _need(folder / TEST, "images", len(judged), len(definition.test))
    test = [(judged, i) for i in range(len(judged))]
    return Drawn(labelled(definition, train, str(folder)), labelled(definition, test, str(folder)), LISTED_ORDER)


def _read(path: Path) -> Part:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise DataFormatError(f"{path} cannot be read: {reason}") from error
    files, labels = [], []
    for number, line in enumerate(lines, 1):
        file, _, label = line.strip().rpartition(" ")
        if not file and not label:
            continue
        if not file or not label.isdecimal():
            raise DataFormatError(f"{path}, line {number}: a path and a class number are needed, not {line[:80]!r}")
        files.append(file)
        labels.append(int(label))
    return file_part(path.parent, files, labels)


def _need(place: Path, what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise DataFormatError(f"{place}: {found:,} {what}, VTAB-1k has {wanted:,}: is the folder whole?")
