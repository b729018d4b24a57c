"""Files that data sets bring beside their images: lists, MATLAB's variables, tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from head2toe.errors import DataFormatError, one_line


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises
    ------
    DataFormatError
        The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # an editor may have put a mark before the first line
    except (OSError, UnicodeDecodeError) as error:
        raise DataFormatError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8'}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def matlab(path: Path, *needed: str) -> dict[str, Any]:
    """The variables of a MATLAB file.

    Raises
    ------
    DataFormatError
        It cannot be read, or lacks one of those needed.
    """
    from scipy.io import loadmat

    try:
        found = loadmat(path)
        return {name: found[name] for name in needed}
    except Exception as error:  # SciPy's reader raises nearly anything on a damaged file
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise DataFormatError(f"{path} cannot be read as a MATLAB file: {reason}") from error


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    return list(csv.DictReader(lines(path)))
