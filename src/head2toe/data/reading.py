"""Data as users keep them: folders, tables, zips and arrays, read as images with labels."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath

from head2toe.checks import require
from head2toe.data.arrays import read_arrays
from head2toe.data.files import Archive, Folder, SoundFolder, Tree, is_image, is_sound, is_there
from head2toe.data.images import ItemImages
from head2toe.data.labelled import LabelledImages, nfc
from head2toe.data.recordings import Recordings
from head2toe.data.splits import need_no_choice, no_split
from head2toe.data.suffixes import OTHER_PICTURES
from head2toe.data.table import (
    FILE_COLUMNS,
    PREDICTED,
    TEXT_COLUMNS,
    Row,
    column_called,
    missing_labels,
    read_table,
)
from head2toe.data.texts import Texts
from head2toe.errors import (
    DataFormatError,
    EmptyDataError,
    MissingLabelError,
    and_more,
)
from head2toe.paths import path_of

log = logging.getLogger(__name__)

_LONGEST = 200  # characters of a name in a message
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


@dataclass(frozen=True)
class _Choice:
    """What of the data to read: names of a split, of labels and of groups, as `read_data` takes them."""

    split: str | None
    label: str | None
    groups: str | None


def read_data(
    path: str | PathLike[str],
    *,
    split: str | None = None,
    label: str | None = None,
    groups: str | None = None,
    takes: str = "images",
) -> LabelledImages:
    """Read data from a disk; the images themselves are read when they are indexed.

    Parameters
    ----------
    path
        One of:

        - a folder with a subfolder a class (whatever lies below it belongs to the class), or of images without labels;
          above the classes there may be a folder a split (train, val, test);
        - a CSV with columns `path` or `file` (relative to the CSV), `label` or `class_name` (or none), and perhaps
          `split`;
        - a zip of either; a folder or zip with a `labels.csv` at its top, or with a single CSV that has a column of
          files, is read by that;
        - an `.npz` with `images`, uint8 (n, h, w) or (n, h, w, 3), and perhaps `labels`, (n,) or (n, 1); with splits
          the names are `train_images`, `train_labels`, or `train_label_NAME` for each of several labels.
    split
        Which split; needed where there are several.
    label
        The CSV's column of labels, or the NAME of the npz's.
    groups
        The CSV's column, or the npz's array (n,), that says which images belong together (one object, film or patient).
    takes
        "images"; "texts": a CSV with a column `text`; "recordings": a folder or CSV as for images, of .wav files.

    Raises
    ------
    EmptyDataError
        No image.
    MissingLabelError
        The labels asked for by `label` are not there, or empty in a row.
    DataFormatError
        The path, split or groups are not there, several splits and none chosen, or a form that is not read.
    """
    if not isinstance(path, str | PathLike):
        raise DataFormatError(f"a {type(path).__name__} is no path: pass that of a folder or a file")
    require(takes in ("images", "texts", "recordings"), "takes", takes, "'images', 'texts' or 'recordings'")
    path = path_of(path)
    if not is_there(path):
        raise DataFormatError(f"{_shortened(path)}: there is no such file or folder")
    choice = _Choice(split, label, groups)
    if takes != "images":
        return (_texts if takes == "texts" else _recordings)(path, choice)
    if path.is_dir():
        return _from_tree(Folder(path), choice)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _from_table(Folder(path.parent), path.name, choice)
    if suffix == ".zip":
        return _from_tree(Archive(path), choice)
    if suffix == ".npz":
        return read_arrays(path, split, label, groups)
    if is_image(path.name):
        _refuse_choice(choice, str(path))
        return LabelledImages(ItemImages([path]), None, [str(path)], str(path))
    raise DataFormatError(f"{path}: data are a folder, .csv, .zip or .npz, or one image")


def _shortened(name: str | Path) -> str:
    return str(name) if len(str(name)) <= _LONGEST else f"{str(name)[:_LONGEST]}..."


def _texts(path: Path, choice: _Choice) -> LabelledImages:
    if path.suffix.lower() != ".csv" or path.is_dir():
        raise DataFormatError(f"{path}: texts are read from a CSV with the columns text and label")
    rows = _chosen_rows(Folder(path.parent).text(path.name), str(path), choice, TEXT_COLUMNS)
    texts = [row.file for row in rows]
    labels, lacking = _labels(rows, str(path), choice.label)
    return LabelledImages(Texts(texts), labels, texts, str(path), lacking, _groups(rows))


def _recordings(path: Path, choice: _Choice) -> LabelledImages:
    if path.is_dir():
        return _from_tree(SoundFolder(path), choice)
    if path.suffix.lower() == ".csv":
        return _from_table(SoundFolder(path.parent), path.name, choice)
    if is_sound(path.name):
        _refuse_choice(choice, str(path))
        return LabelledImages(Recordings([path]), None, [str(path)], str(path))
    raise DataFormatError(f"{path}: recordings are a folder or a CSV of .wav files (unpack a zip), or one of them")


def _from_tree(tree: Tree, choice: _Choice) -> LabelledImages:
    table = _table_of(tree)
    if table is not None:
        return _from_table(tree, table, choice)
    _refuse(choice, tree.place)
    files = tree.images_below()
    if not files:
        endings = sorted({PurePosixPath(name).suffix.lower() for name in tree.others_below()} - {"", ".csv"})
        unread = f"; files that end in {', '.join(endings[:5])} are not read as such" if endings else ""
        raise EmptyDataError(
            f"{tree.place}: no {tree.what} found{unread}; put the {tree.what}s of each class into a folder of its own"
        )
    files, depth = _chosen_folder(tree, files, choice.split)
    others = [name for name in tree.others_below() if _is_in(tree, name, choice.split, depth)]
    folders = [tree.parts(name)[depth:-1] for name in files]
    labels = [below[0] for below in folders] if all(folders) else None
    if labels is not None:
        _tell_empty(tree, others, set(labels), depth)
        others = [name for name in others if set(tree.parts(name)[depth:-1][:1]) <= set(labels)]
    _tell_unread(tree, others)
    names = [tree.shown(name) for name in files]
    stray = [name for name, below in zip(names, folders, strict=True) if not below] if any(folders) else []
    lacking = (
        f"{stray[0]}{and_more(len(stray))} lies beside the folders of the classes: move it into one" if stray else ""
    )
    return LabelledImages(tree.images(files, names), labels and nfc(labels), names, tree.place, lacking)


def _is_in(tree: Tree, name: str, split: str | None, depth: int) -> bool:
    """Whether a file belongs to the split, where there are folders of splits."""
    return split is None or not depth or tree.parts(name)[0] == split


def _tell_empty(tree: Tree, others: list[str], classes: set[str], depth: int) -> None:
    """Name the folders beside those of the classes in which no file is read: a class may be missing."""
    for name in others:
        above = tree.parts(name)[:-1]
        if len(above) > depth and above[depth] not in classes:
            classes.add(above[depth])  # told once
            what = "%s: no file in the folder %s can be read as %s (%s cannot): it is no class"
            log.warning(what, tree.place, above[depth], tree.what, name)


def _tell_unread(tree: Tree, others: list[str]) -> None:
    """Count the pictures of a kind that is not read: they would be missed."""
    endings = Counter(PurePosixPath(name).suffix.lower() for name in others)
    for ending in sorted(endings.keys() & OTHER_PICTURES):
        what = "%s: %d files end in %s, which is not read: convert them to .jpg or .png"
        log.warning(what, tree.place, endings[ending], ending)


def _table_of(tree: Tree) -> str | None:
    tables = tree.tables()
    named = [name for name in tables if tree.parts(name)[-1].lower() == "labels.csv"]
    if named or len(tables) != 1:
        return named[0] if named else None
    header = tree.text(tables[0]).split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    columns = {column.strip().strip('"') for column in header.replace(";", ",").replace("\t", ",").split(",")}
    predictions = columns == set(PREDICTED)  # of an earlier `head2toe predict`: no list of the folder's pictures
    listed = any(column_called(name, columns) for name in FILE_COLUMNS)
    return tables[0] if listed and not predictions else None


def _chosen_folder(tree: Tree, files: list[str], split: str | None) -> tuple[list[str], int]:
    """The files of the split, and how many folders stand above their classes."""
    tops = {tree.parts(name)[0] for name in files if len(tree.parts(name)) > 1}
    named = {top for top in tops if top.lower() in _SPLITS}
    inside = all(len(tree.parts(name)) > 1 for name in files)
    splits = tops if inside and tops == named else set()
    if split is None:
        # Train and test beside another folder are no classes.
        need_no_choice(tree.place, tops if inside and len(named) > 1 else splits)
        return files, len(splits)
    if split not in tops:
        no_split(tree.place, split, splits)
    return [name for name in files if tree.parts(name)[0] == split and len(tree.parts(name)) > 1], 1


def _from_table(tree: Tree, table: str, choice: _Choice) -> LabelledImages:
    place = str(Path(tree.place) / table)
    rows = _chosen_rows(tree.text(table), place, choice, FILE_COLUMNS)
    names = [row.file for row in rows]
    labels, lacking = _labels(rows, place, choice.label)
    return LabelledImages(tree.images(_files(tree, table, rows), names), labels, names, place, lacking, _groups(rows))


def _chosen_rows(table: bytes, place: str, choice: _Choice, wanted: tuple[str, ...]) -> list[Row]:
    """The rows of the split."""
    rows, split = read_table(table, place, choice.label, wanted, groups=choice.groups), choice.split
    splits = {row.split for row in rows if row.split}
    if split is None:
        need_no_choice(place, splits)
    else:
        if split not in splits:
            no_split(place, split, splits)
        rows = [row for row in rows if row.split == split]
    alone = [row.line for row in rows if row.group == ""]
    if alone:
        raise DataFormatError(f"{place}, line {alone[0]}{and_more(len(alone))}: no {choice.groups}")
    return rows


def _groups(rows: list[Row]) -> list[str] | None:
    return nfc(row.group for row in rows if row.group is not None) or None


def _labels(rows: list[Row], place: str, asked_for: str | None) -> tuple[list[str] | None, str]:
    """The labels if all are there, and what to say if some or all are not."""
    lacking = missing_labels(rows, place)
    if lacking and asked_for is not None:
        raise MissingLabelError(lacking)
    labels = [row.label for row in rows if row.label is not None]
    if not labels:
        lacking = f"{place} has no labels: add a column label, or name a column of another name (label= or --label)"
    return None if lacking else nfc(labels), lacking


def _files(tree: Tree, table: str, rows: list[Row]) -> list[str]:
    found = [tree.resolve(table, row.file) for row in rows]
    missing = [row for row, file in zip(rows, found, strict=True) if file is None]
    if missing:
        raise DataFormatError(
            f"{Path(tree.place) / table}, line {missing[0].line}{and_more(len(missing))}: there is no "
            f"{_shortened(missing[0].file)}; paths are relative to the CSV"
        )
    return [file for file in found if file is not None]


def _refuse_choice(choice: _Choice, place: str) -> None:
    """Of a single file there is nothing to choose."""
    _refuse(choice, place)
    if choice.split is not None:
        no_split(place, choice.split, ())


def _refuse(choice: _Choice, place: str) -> None:
    if choice.label is not None:
        raise DataFormatError(f"{place} takes its labels from the folders: label= is for a CSV or an .npz")
    if choice.groups is not None:
        raise DataFormatError(
            f"{place} has no columns: groups (groups= or --groups) are a column of a CSV, or an array of an .npz"
        )
