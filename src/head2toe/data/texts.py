"""Sequences of texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, ClassVar

from head2toe.data.columns import as_array, items_of
from head2toe.data.dataset_table import advice
from head2toe.data.digest import digest
from head2toe.data.suffixes import PICTURES, SOUNDS
from head2toe.errors import DataFormatError

_TAKEN = "a list (or a column) of strings"
# Names of files of other kinds: a list of these is a list of paths, not of sentences.
_FILES = PICTURES | SOUNDS


class Texts:
    """n texts; a sequence like `Images`, whose items are strings.

    Parameters
    ----------
    items
        n strings.

    Raises
    ------
    DataFormatError
        An item is no string, or the strings are names of image or audio files.
    """

    takes: ClassVar[str] = "texts"

    def __init__(self, items: Sequence[Any]) -> None:
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise DataFormatError(f"text {i} is a {type(item).__name__}: a backbone of texts takes {_TAKEN}")
        if len(items) and all(_is_file_name(item) for item in items):
            raise DataFormatError(f"text 0 is {items[0]!r}, a file: a backbone of texts takes sentences, not paths")
        self._items = [str(item) for item in items]
        self.names = self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i: int) -> str:
        return self._items[i]

    def identity(self, i: int) -> str:
        """A hash of the text."""
        return digest(self._items[i].encode("utf-8", "surrogatepass"))


def as_texts(obj: Any) -> Texts:
    """Make texts of a list, a tuple, an array or a column of strings.

    Raises
    ------
    DataFormatError
        Anything else.
    """
    if isinstance(obj, Texts):
        return obj
    if isinstance(obj, str | os.PathLike):
        raise DataFormatError(f"{str(obj)[:60]!r} is one text: pass {_TAKEN}")
    items = items_of(as_array(obj))
    if items is not None:
        return Texts(items)
    raise DataFormatError(f"texts are {advice(obj) or f'a {type(obj).__name__}: a backbone of texts takes {_TAKEN}'}")


def _is_file_name(text: str) -> bool:
    return PurePath(text).suffix.lower() in _FILES and "\n" not in text and len(text) < 300
