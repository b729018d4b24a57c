"""A task: labelled images to learn from, and labelled images to be judged on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from head2toe.data import LabelledImages
from head2toe.errors import ParameterError


@dataclass(frozen=True)
class Task:
    """What methods are compared on.

    Attributes
    ----------
    name : str
    group : str
        Tasks of one group are averaged before the mean over groups: "natural", "specialized" or "structured" on VTAB.
    train, test : LabelledImages
        With labels.
    validation : int
        The last so many training images are held out where a choice is made by one split (VTAB's val200); where there
        are not twice as many training images, a fifth of them.
    """

    name: str
    group: str
    train: LabelledImages
    test: LabelledImages
    validation: int = 200

    @property
    def held_out(self) -> int:
        """How many of the last training images that split holds out."""
        n = len(self.train)
        return self.validation if 0 < 2 * self.validation <= n else max(1, n // 5)


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name for the data at each path: a folder's own, a file's without its ending.

    Where two would be the same, as many folders above are part of a name as tell it from the others.

    Raises
    ------
    ParameterError
        A path is there twice.
    """
    # Of "." the folder that it is; a link keeps its own name, which `resolve` would not.
    whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100
    again = next((path for path in whole if whole.count(path) > 1), None)
    if again is not None:
        raise ParameterError(f"{again} is there twice: name the data of each task once")
    named = [path if path.is_dir() else path.with_suffix("") for path in whole]
    if len(set(named)) < len(named):  # a.csv beside a.npz: no folder above tells them apart
        named = whole
    return [_shortest(path, named) for path in named]


def _shortest(path: Path, all_of_them: Sequence[Path]) -> str:
    """The end of a path that no other one has."""
    for depth in range(1, len(path.parts)):
        end = path.parts[-depth:]
        if sum(other.parts[-depth:] == end for other in all_of_them) == 1:
            return "/".join(end)
    return str(path)
