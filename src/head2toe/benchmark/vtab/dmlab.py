"""DMLab in its original files: TFRecords, read without TensorFlow.

A record is a length (uint64), its checksum (4 bytes), the data and their checksum. The data are a ``tf.train.Example``,
a protocol buffer: features (field 1) that map (entries: field 1) a name (1) to a value (2), which is a list of bytes
(1) or of int64 (3), each with its values in field 1. Checksums are not verified.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from head2toe.benchmark.vtab.definitions import TaskDefinition
from head2toe.benchmark.vtab.pool import Drawn, Part, draw
from head2toe.data.decoding import decode
from head2toe.errors import DataFormatError, UnreadableImageError

_SPLITS = ("train", "validation", "test")
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # wire types


def read_dmlab(folder: Path, definition: TaskDefinition) -> Drawn:
    """DMLab, ``dmlab``: ``dmlab-{train,validation,test}.tfrecord*``; keys are the file names, as in dmlab.py.

    Images stay in the files until they are asked for.

    Raises
    ------
    DataFormatError
        A file is no TFRecord of images with file name and label.
    """
    return draw(definition, {name: _part(folder, name) for name in _SPLITS}, str(folder))


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """The records of a TFRecord file: place of the data in the file, and the data.

    Raises
    ------
    DataFormatError
        It is cut off.
    """
    with path.open("rb") as file:
        while header := file.read(12):
            size = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else -1
            start = file.tell()
            data = file.read(size) if 0 <= size <= path.stat().st_size else b""
            if not data or len(file.read(4)) != 4:
                raise DataFormatError(f"{path} is no TFRecord file, or cut off")
            yield start, data


def example(data: bytes) -> dict[str, bytes | int]:
    """The features of a ``tf.train.Example``, the first value of each.

    Raises
    ------
    ValueError
        It is none.
    """
    entries = (entry for features in _fields(data).get(1, []) for entry in _fields(features).get(1, []))
    return dict(feature for entry in entries if (feature := _feature(entry)) is not None)


def _part(folder: Path, split: str) -> Part:
    keys, labels, places = [], [], []
    for path in sorted(folder.glob(f"dmlab-{split}.tfrecord*")):
        for start, data in records(path):
            try:
                found: dict[str, Any] = example(data)
                keys.append(found["filename"].decode())
                labels.append(int(found["label"]))
            except (ValueError, KeyError, IndexError, AttributeError) as error:
                raise DataFormatError(f"{path} has a record that is no image of DMLab: {error}") from error
            places.append((path, start, len(data)))

    def read(i: int) -> Any:
        path, start, size = places[i]
        try:
            with path.open("rb") as file:
                file.seek(start)
                data: Any = example(file.read(size))["image"]
        except OSError as error:
            raise UnreadableImageError(f"{path}: {error.strerror}") from error
        return decode(data, keys[i])

    return Part(keys, np.asarray(labels, np.int64), read)


def _feature(entry: bytes) -> tuple[str, bytes | int] | None:
    """The name of an entry and its first value; None where it has no bytes and no int64."""
    pair = _fields(entry)
    kinds = _fields(pair[2][0])
    if 1 in kinds:
        return pair[1][0].decode(), _fields(kinds[1][0])[1][0]
    if 3 in kinds:
        value = _fields(kinds[3][0])[1][0]
        return pair[1][0].decode(), _varint(value, 0)[0] if isinstance(value, bytes) else value
    return None


def _fields(data: Any) -> dict[int, list[Any]]:
    """The fields of a message: bytes, or whole numbers."""
    found: dict[int, list[Any]] = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
        else:
            size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind)
            if kind == _LENGTH:
                size, place = _varint(data, place)
            if size is None or place + size > len(data):
                raise ValueError("a field of an unknown type, or cut off")
            value, place = data[place : place + size], place + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:  # the last byte of a number
            return value, place
