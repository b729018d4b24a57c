"""Views of images: some of a sequence, or several as one."""

from __future__ import annotations

import numpy as np

from head2toe.data import as_images
from head2toe.data.views import chained, picked


class Named:
    """Names are made at each look, as a property that reads a table does."""

    looks = 0

    @property
    def names(self) -> list[str]:
        Named.looks += 1
        return [f"picture {i}" for i in range(4)]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        return 10 * i

    def identity(self, i: int) -> str:
        return f"number {i}"


def test_names_items_and_identities_are_those_of_the_parts() -> None:
    arrays = as_images(np.zeros((2, 4, 4, 3), np.uint8))
    both = chained(Named(), arrays)
    assert both.names == [*(f"picture {i}" for i in range(4)), "image 0", "image 1"]
    assert (len(both), both[3], both.identity(2)) == (6, 30, "number 2")
    assert both.identity(5) == arrays.identity(1) and both.takes == "images"
    some = picked(both, [4, 1])
    assert (some.names, some[1], len(some)) == (["image 0", "picture 1"], 10, 2)


def test_names_are_asked_for_once() -> None:
    Named.looks = 0
    assert len(picked(Named(), [0, 1, 2, 3]).names) == 4
    assert Named.looks == 1
