"""Which split of the data is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from head2toe.errors import DataFormatError


def need_no_choice(place: str, splits: Iterable[str]) -> None:
    """Refuse data of several splits where none was chosen.

    Raises
    ------
    DataFormatError
    """
    splits = sorted(splits)
    if len(splits) > 1:
        raise DataFormatError(f"{place} has splits {', '.join(splits)}: choose one (split= or --split)")


def no_split(place: str, split: str, splits: Iterable[str]) -> NoReturn:
    """Raise that the data have no such split, and tell those that they have.

    Raises
    ------
    DataFormatError
    """
    there = ", ".join(sorted(splits))
    raise DataFormatError(
        f"{place} has no split {split}: " + (f"it has {there}" if there else "it has no splits at all")
    )
