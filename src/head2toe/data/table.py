"""A CSV of files, or of texts, and labels."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from head2toe.errors import DataFormatError, EmptyDataError, MissingLabelError, and_more

FILE_COLUMNS = ("path", "file")
TEXT_COLUMNS = ("text",)
PREDICTED = ("path", "class", "probability")  # of a table of predictions of images
_LONGEST = 2**24  # characters of a cell: csv's own limit is shorter than some texts
_SURPLUS = "\0"  # no column has this name
_BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n)+")
_LABEL_COLUMNS = ("class_name", "label")


@dataclass(frozen=True)
class Row:
    """One item: its line in the file (the header is line 1), label (None without a label column), split and group.

    `file` is the image's or recording's, or the text itself. Label and group are "" where their cell is empty.
    """

    line: int
    file: str
    label: str | None
    split: str | None
    group: str | None = None


def read_table(
    data: bytes,
    place: str,
    label: str | None = None,
    wanted: tuple[str, ...] = FILE_COLUMNS,
    *,
    groups: str | None = None,
) -> list[Row]:
    """Read all rows of a CSV.

    Parameters
    ----------
    data
        The file: UTF-8, with a header; columns are separated by commas, semicolons or tabs.
    place
        Its name, for messages.
    label
        The label column. By default `class_name` where it says the same as `label` (one to one) or stands alone, else
        `label`.
    wanted
        Names that the column of files (or of texts) may have.
    groups
        The column that says which rows belong together.

    Raises
    ------
    EmptyDataError
        No rows.
    DataFormatError
        No column of that name or for groups, a row without a file, no UTF-8 or no CSV.
    MissingLabelError
        The label column asked for is not there.
    """
    records = _records(data, place)
    columns = list(records[0][1])
    file_column = next((column for name in wanted if (column := column_called(name, columns))), None)
    if file_column is None:
        hint = " (a column text goes with a backbone of hf-text/)" if "text" in columns else ""
        raise DataFormatError(
            f"{place} has columns {', '.join(columns)}: one must be called {' or '.join(wanted)}{hint}"
        )
    label_column, split_column = _label_column(records, columns, place, label), column_called("split", columns)
    if groups is not None and groups not in columns:
        raise DataFormatError(f"{place} has no column {groups} of groups: its columns are {', '.join(columns)}")
    rows = []
    for line, record in records:
        if not record[file_column]:
            raise DataFormatError(f"{place}, line {line}: no {file_column}")
        split = record[split_column] or None if split_column else None
        label_text, group = (record[column] if column else None for column in (label_column, groups))
        rows.append(Row(line, record[file_column], label_text, split, group))
    return rows


def column_called(name: str, columns: Iterable[str]) -> str | None:
    """The column of a name, in any case where none is spelt like it."""
    given = list(columns)
    return name if name in given else next((column for column in given if column.lower() == name), None)


def missing_labels(rows: list[Row], place: str) -> str:
    """What to tell whoever needs labels of a table that has empty ones; nothing where it has none."""
    missing = [row.line for row in rows if row.label == ""]
    if not missing:
        return ""
    return f"{place}, line {missing[0]}{and_more(len(missing))}: no label; fill it in or delete the row"


def _records(data: bytes, place: str) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows; cells that are not there are empty, and blank lines are left out.

    Raises
    ------
    EmptyDataError, DataFormatError
    """
    limit = csv.field_size_limit(_LONGEST)
    line = 1  # where the next record begins
    try:
        text = data.decode("utf-8-sig")
        blank = _BLANK_LINES.match(text)
        above = text.count("\n", 0, blank.end()) if blank else 0
        line, text = line + above, text[blank.end() :] if blank else text
        header = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=header.count)
        reader = csv.DictReader(
            io.StringIO(_without_gaps(text, delimiter), newline=""),
            delimiter=delimiter,
            restkey=_SURPLUS,
            skipinitialspace=True,  # or the quotes behind a space would belong to the cell
            strict=True,  # or a quote that is not closed would swallow rows unseen
        )
        _refuse_repeats(reader.fieldnames or (), place)
        records, line = [], above + reader.line_num + 1
        for record in reader:
            line = above + reader.line_num + 1
            if any(record.pop(_SURPLUS, ())):
                where = f"{place}, line {above + reader.line_num}"
                raise DataFormatError(f"{where}: more cells than columns; put text with commas in quotes")
            cells = {name.strip(): (cell or "").strip() for name, cell in record.items() if name}
            if any(cells.values()):
                records.append((above + reader.line_num, cells))
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{place} is not in UTF-8: save it as CSV UTF-8") from error
    except csv.Error as error:
        raise DataFormatError(
            f"{place}, line {line}, is no CSV ({error}): put cells with quotes in quotes, those twice, and close all"
        ) from error
    finally:
        csv.field_size_limit(limit)
    if not records:
        raise EmptyDataError(f"{place} has no rows: write a header with path,label and one row an image")
    return records


def _without_gaps(text: str, delimiter: str) -> str:
    """Drop spaces between a closing quote and the end of its cell, which strict reading does not forgive."""
    parts = text.split('"')  # every second one stands in quotes
    gap = re.compile(rf"^ +(?=[{delimiter}\r\n])")
    parts[::2] = [gap.sub("", part) for part in parts[::2]]
    return '"'.join([*parts[:-1], parts[-1].rstrip(" ")])


def _refuse_repeats(header: Iterable[str], place: str) -> None:
    names = [name.strip() for name in header if name.strip()]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise DataFormatError(f"{place} has two columns {twice}: rename or delete one")


def _label_column(
    records: list[tuple[int, dict[str, str]]], columns: list[str], place: str, label: str | None
) -> str | None:
    if label is not None:
        if label not in columns:
            raise MissingLabelError(f"{place} has no column {label}: its columns are {', '.join(columns)}")
        return label
    named, numbered = (column_called(name, columns) for name in _LABEL_COLUMNS)
    if named is None or numbered is None:
        return named or numbered
    pairs = {(record[numbered], record[named]) for _, record in records}
    labels, names = ({pair[i] for pair in pairs} for i in (0, 1))
    return named if len(labels) == len(names) == len(pairs) and "" not in names - labels else numbered
