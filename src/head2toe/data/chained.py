"""Several sequences of inputs as one."""

from __future__ import annotations

from typing import Any

from head2toe.data.images import Images


class Chained:
    """Sequences of one kind (images, texts or recordings), one after the other.

    Parameters
    ----------
    *parts : Images
    """

    def __init__(self, *parts: Images) -> None:
        self._places = [(part, i) for part in parts for i in range(len(part))]
        self.takes = getattr(parts[0], "takes", "images")
        self.names = [name for part in parts for name in getattr(part, "names", map(str, range(len(part))))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Any:
        part, place = self._places[i]
        return part[place]

    def identity(self, i: int) -> str:
        """That of the part's own."""
        part, place = self._places[i]
        return part.identity(place)
