"""An .npz file of images and labels."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from head2toe.data.columns import flat
from head2toe.data.images import ArrayImages
from head2toe.data.labelled import LabelledImages, nfc
from head2toe.data.splits import need_no_choice, no_split
from head2toe.errors import DataError, DataFormatError, EmptyDataError, MissingLabelError, one_line


def read_arrays(path: Path, split: str | None, label: str | None, groups: str | None = None) -> LabelledImages:
    """Read an .npz as `read_data` says; all its images are in memory.

    Raises
    ------
    DataFormatError, EmptyDataError, MissingLabelError
    """
    if not zipfile.is_zipfile(path):
        raise DataFormatError(f"{path} is no .npz file, or a damaged one: write it by numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            prefix = _array_prefix(list(arrays.files), path, split)
            images = _array_images(arrays[f"{prefix}images"], f"{path}: {prefix}images")
            key, lacking = _label_key(list(arrays.files), prefix, path, label)
            labels, missing = (None, "") if key is None else _as_text(arrays[key], f"{key} of {path}")
            lacking = lacking or missing or _none_yet(labels, list(arrays.files), path)
            together = None if groups is None else _groups(arrays, prefix, path, groups, len(images))
    except MemoryError as error:
        raise DataFormatError(f"{path} does not fit into memory ({one_line(error)}): store images as files") from error
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataFormatError(f"{path} cannot be read as .npz: {one_line(error)}") from error
    if not len(images):
        raise EmptyDataError(f"{path}: {prefix}images has no image")
    if labels is not None and len(labels) != len(images):
        raise DataFormatError(f"{path}: {len(images)} {prefix}images but {len(labels)} {key}: store one an image")
    names = [f"{prefix}images[{i}]" for i in range(len(images))]
    return LabelledImages(images, labels, names, str(path), lacking, together)


def _array_images(array: Any, place: str) -> ArrayImages:
    _refuse_no_array(array, place)
    try:
        return ArrayImages(array)
    except DataFormatError as error:
        shape = " x ".join(map(str, array.shape)) or "one value"
        raise DataFormatError(
            f"{place} are {array.dtype}, {shape}: store uint8, (n, height, width) or (n, height, width, 3)"
        ) from error


def _refuse_no_array(member: Any, place: str) -> None:
    if not isinstance(member, np.ndarray):  # NumPy gives the bytes of whatever else a zip holds
        raise DataFormatError(f"{place}: no array but {len(member)} other bytes: write the file by numpy.savez")


def _array_prefix(keys: list[str], path: Path, split: str | None) -> str:
    splits = {key.removesuffix("_images") for key in keys if key.endswith("_images")}
    if split is None:
        if "images" in keys:
            return ""
        if not splits:
            raise DataFormatError(f"{path} has {', '.join(keys) or 'nothing'}: the array of images is called images")
        need_no_choice(str(path), splits)
        return f"{next(iter(splits))}_"
    if split not in splits:
        no_split(str(path), split, splits)
    return f"{split}_"


def _label_key(keys: list[str], prefix: str, path: Path, label: str | None) -> tuple[str | None, str]:
    """The name of the array of labels, and what to say where there are several to choose from."""
    named = {key.removeprefix(f"{prefix}label_"): key for key in keys if key.startswith(f"{prefix}label_")}
    if label is not None:
        key = next((key for key in (named.get(label), f"{prefix}{label}", label) if key in keys), None)
        there = sorted({*named, *({"labels"} & {key.removeprefix(prefix) for key in keys})})
        if key is None:
            raise MissingLabelError(f"{path} has no label {label}: it has {', '.join(there) or 'none'}")
        return key, ""
    if f"{prefix}labels" in keys:
        return f"{prefix}labels", ""
    if len(named) > 1:
        return None, f"{path} has labels {', '.join(sorted(named))}: choose one (label= or --label)"
    return next(iter(named.values()), None), ""


def _none_yet(labels: list[str] | None, keys: list[str], path: Path) -> str:
    if labels is not None:
        return ""
    return f"{path} has no labels: it has {', '.join(keys)}; call their array labels, or name it (label= or --label)"


def _groups(arrays: Any, prefix: str, path: Path, name: str, n: int) -> list[str]:
    key = next((key for key in (f"{prefix}{name}", name) if key in arrays.files), None)
    if key is None:
        raise DataFormatError(
            f"{path} has no array {name}: groups (groups= or --groups) are a column of a CSV, or an array of an .npz"
        )
    found, missing = _as_text(arrays[key], f"{key} of {path}", "groups")
    if found is None:
        raise DataFormatError(missing)
    if len(found) != n:
        raise DataFormatError(f"{path}: {n} {prefix}images but {len(found)} {key}: store one an image")
    return found


def _as_text(values: np.ndarray, place: str, what: str = "labels") -> tuple[list[str] | None, str]:
    """The labels (or groups), and what to say where some are missing: NaN, or empty."""
    _refuse_no_array(values, place)
    values = flat(values)  # MedMNIST's are a column
    if values.dtype.kind not in "biufSU":
        raise DataFormatError(f"{place}: {what} are of {values.dtype}: store text or numbers")
    if values.ndim != 1:
        raise DataFormatError(f"{place}: {what} have shape {values.shape}: one an image, (n,), is needed")
    missing = np.flatnonzero(np.isnan(values) if values.dtype.kind == "f" else values == values.dtype.type())
    if len(missing) and values.dtype.kind in "fSU":
        return None, f"{place}: {len(missing)} {what} are empty or NaN, the first at {missing[0]}: fill them in"
    return nfc(value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()), ""
