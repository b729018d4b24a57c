"""Tasks of the user's own, run through the same harness."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from head2toe.benchmark.vtab.definitions import NAMES, VALIDATION
from head2toe.benchmark.vtab.loading import LoadedTask, loaded
from head2toe.benchmark.vtab.pool import Drawn
from head2toe.data import read_data
from head2toe.errors import ParameterError
from head2toe.paths import path_of

OWN = "own"  # the group of tasks without one


@dataclass(frozen=True)
class LocalTask:
    """Where a task of one's own lies: any data that `read_data` takes, with the splits train and test."""

    name: str
    path: Path
    label: str | None = None
    group: str = OWN

    @classmethod
    def parse(cls, text: str) -> LocalTask:
        """Read ``[GROUP/]NAME=PATH[:LABEL]``, as in ``structured/location=dsprites.npz:location``.

        LABEL is the column of a CSV or one of an npz's labels; a colon that belongs to a path that is there is no mark
        of one.

        Raises
        ------
        ParameterError
            It has another form, or the name of one of VTAB's tasks.
        """
        title, equals, place = text.partition("=")
        group, slash, name = title.rpartition("/")
        if not equals or not name or not place or (slash and not group):
            raise ParameterError(f"{text} is no task: write [GROUP/]NAME=PATH[:LABEL]")
        if name in NAMES:
            raise ParameterError(f"{name} is one of VTAB's tasks: give your own another name, such as my-{name}")
        path, label = place, None
        if not path_of(place).exists():
            before, colon, after = place.rpartition(":")
            path, label = (before, after) if colon and before and after else (place, None)
        return cls(name, path_of(path), label, group or OWN)

    def load(self, *, test_limit: int | None = None) -> LoadedTask:
        """Read the labels; images are read when they are indexed.

        Raises
        ------
        DataError
            See `read_data`.
        """
        train = read_data(self.path, split="train", label=self.label).with_labels()
        test = read_data(self.path, split="test", label=self.label).with_labels()
        validation = min(VALIDATION, max(1, len(train) // 5))
        name = Path(os.path.abspath(self.path)).name  # noqa: PTH100 - of "." the folder that it is, of a link its own
        drawn = Drawn(train, test, f"as in {name}")
        return loaded(
            self.name,
            self.group,
            drawn,
            "own",
            whole=len(test),
            classes=len(set(train.known_labels())),
            test_limit=test_limit,
            validation=validation,
        )
