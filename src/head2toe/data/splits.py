"""Which split of the data is read."""

from __future__ import annotations

from collections.abc import Iterable

from head2toe.errors import DataFormatError


def need_no_choice(place: str, splits: Iterable[str]) -> None:
    splits = sorted(splits)
    if len(splits) > 1:
        raise DataFormatError(f"{place} has splits {', '.join(splits)}: choose one (split= or --split)")


def no_split(place: str, split: str, splits: Iterable[str]) -> None:
    there = ", ".join(sorted(splits))
    raise DataFormatError(
        f"{place} has no split {split}: " + (f"it has {there}" if there else "it has no splits at all")
    )
