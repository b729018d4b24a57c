"""What commands print and write."""

from __future__ import annotations

import codecs
import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from head2toe.errors import OutputExistsError, ParameterError
from head2toe.json_text import json_text
from head2toe.whole_files import replacing

if TYPE_CHECKING:
    from head2toe.features import Skipped

INTERRUPTED = 130  # 128 + SIGINT, as shells count
_MOST_SHOWN = 20


def emit(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result: one JSON object, or the text for people."""
    click.echo(_json(result) if as_json else text)


def _json(result: dict[str, Any]) -> str:
    """One line of JSON; what standard output cannot hold, and bytes of file names that are no text, as escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return json_text(result, ensure_ascii=codecs.lookup(encoding).name != "utf-8", allow_nan=False)


def table(rows: Sequence[Sequence[Any]], *, right: Iterable[int] = ()) -> str:
    """Rows of cells in aligned columns; the numbers in `right` are columns aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    ends = set(right)
    lines = (
        "  ".join(
            cell.rjust(width) if i in ends else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def tell(done: int, total: int, text: str) -> None:
    """A line of progress on standard error."""
    click.echo(f"[{done}/{total}] {text}", err=True)


def skipped_dicts(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Images that could not be read, for JSON."""
    return [{"path": item.name, "reason": item.reason} for item in skipped]


def warn_skipped(skipped: Sequence[Skipped], n: int, takes: str = "images") -> None:
    """List the images (texts, recordings) that could not be read on standard error."""
    if not skipped:
        return
    click.echo(f"skipped {len(skipped)} of {n} {takes} that cannot be read:", err=True)
    for item in skipped[:_MOST_SHOWN]:
        reason = item.reason if item.name in item.reason else f"{item.name}: {item.reason}"
        click.echo(f"  {reason}", err=True)
    if len(skipped) > _MOST_SHOWN:
        click.echo(f"  and {len(skipped) - _MOST_SHOWN} more", err=True)


@contextmanager
def resuming(*, possible: bool, so: str = "it resumes where this one stopped") -> Iterator[None]:
    """Tell the user after Ctrl-C what the same command then does: it goes on from where this one was, or `so`."""
    try:
        yield
    except KeyboardInterrupt:
        if not possible:
            raise
        click.echo(f"\ninterrupted: run the same command again, {so}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def check_file(path: Path, *, overwrite: bool) -> None:
    """Refuse an output file that cannot be written, before any long work.

    Raises
    ------
    OutputExistsError, ParameterError
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OutputExistsError(f"{path} is a device or a pipe, not a file: choose a file, or standard output")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputExistsError(f"{path} is there already: choose another file, or --overwrite it")
    folder = Path(os.path.realpath(path)).parent  # of a link, where it leads to
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ParameterError(f"{path} cannot be written: its folder is not there, or not yours to write")


def write_csv(path: Path | None, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV, whole or not at all; None: to standard output."""
    if path is None:
        _write_rows(sys.stdout, header, rows)
        sys.stdout.flush()  # so that it fails here, where that is told, or not at all
        return
    with replacing(path) as beside, beside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        _write_rows(file, header, rows)  # names of files that are no text: as the bytes that they are


def _write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    in_quotes = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    for row in rows:  # csv itself lets a lone "\r" stand bare, where readers see the end of the row
        (in_quotes if any("\r" in cell for cell in row if isinstance(cell, str)) else writer).writerow(row)
