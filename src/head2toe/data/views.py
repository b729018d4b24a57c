"""Inputs picked out of sequences that are there: some of one, or several as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from head2toe.data.images import Images, kind_of, name_among


class View:
    """Inputs of one kind (images, texts or recordings) at some places of some sequences.

    Parameters
    ----------
    places : sequence of (Images, int)
    takes : str
        Their kind.
    """

    def __init__(self, places: Sequence[tuple[Images, int]], takes: str) -> None:
        self._places, self.takes = places, takes
        named = {id(part): getattr(part, "names", None) for part in {id(part): part for part, _ in places}.values()}
        self.names = [name_among(named[id(part)], i) for part, i in places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Any:
        part, place = self._places[i]
        return part[place]

    def identity(self, i: int) -> str:
        """That of the part's own."""
        part, place = self._places[i]
        return part.identity(place)


def chained(*parts: Images) -> View:
    """Sequences of one kind, one after the other."""
    return View([(part, i) for part in parts for i in range(len(part))], kind_of(parts[0]))


def picked(images: Images, numbers: Iterable[int]) -> View:
    """Some of a sequence, in this order."""
    return View([(images, i) for i in numbers], kind_of(images))
