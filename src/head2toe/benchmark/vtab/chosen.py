"""The tasks of a run: VTAB's that are there, those of the hub, and the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from head2toe.benchmark.before_training import check_shared_images
from head2toe.benchmark.vtab.definitions import NAMES, definition
from head2toe.benchmark.vtab.hub_task import HubTask
from head2toe.benchmark.vtab.layouts import presence
from head2toe.benchmark.vtab.loading import Load, LoadedTask, load_task
from head2toe.benchmark.vtab.local import LocalTask
from head2toe.errors import DataFormatError, ParameterError


def tasks_of(
    data: Path | None = None, *, only: Iterable[str] = (), hubs: Iterable[str] = (), own: Iterable[str] = ()
) -> list[tuple[str, Load]]:
    """Names and loaders, for `run`: VTAB's tasks in their order, then the user's.

    Parameters
    ----------
    data
        The folder below which VTAB's data lie; a task of which nothing is there is left out.
    only
        Names of VTAB's tasks: these alone, whether they are there or not. All of them if none is named.
    hubs
        ``TASK=REPO[:LABEL]``, see `HubTask.parse`; such a task is not looked for in `data`.
    own
        ``[GROUP/]NAME=PATH[:LABEL]``, see `LocalTask.parse`.

    Raises
    ------
    ParameterError
        A text of another form, an unknown task, two tasks of one name, or one of `only` without any data to look in.
    """
    named = [definition(name).name for name in only]
    wanted, loaders = named or NAMES, _from_hub(hubs)
    for one in presence(data) if data is not None else ():
        name = one.definition.name
        if name in wanted and (one.layout is not None or named):  # one that was asked for says what it lacks
            loaders.setdefault(name, partial(load_task, name, data))
    for name in named:
        if name not in loaders:  # without data it would be left out without a word
            raise ParameterError(f"--only {name}: it is looked for below --data, give that (or --hub {name}=REPO)")
    tasks = [(name, loaders[name]) for name in NAMES if name in loaders and name in wanted]
    for local in map(LocalTask.parse, own):
        if local.name in dict(tasks):
            raise ParameterError(f"two tasks are called {local.name}: give one of them another name")
        tasks.append((local.name, _Apart(local)))
    return tasks


def _from_hub(texts: Iterable[str]) -> dict[str, Load]:
    loaders: dict[str, Load] = {}
    for task in map(HubTask.parse, texts):
        if task.name in loaders:
            raise ParameterError(f"--hub {task.name} is there twice: a task is read from one data set")
        loaders[task.name] = task.load
    return loaders


@dataclass(frozen=True)
class _Apart:
    """A task of the user's own, which is refused where it would be judged on the images that it learned from."""

    local: LocalTask

    @property
    def group(self) -> str:
        """Its group, without a look at its data."""
        return self.local.group

    def __call__(self, *, test_limit: int | None = None) -> LoadedTask:
        loaded = self.local.load(test_limit=test_limit)
        try:
            check_shared_images(loaded.task)
        except ParameterError as error:  # of these data alone: other tasks are run
            raise DataFormatError(str(error)) from error
        return loaded
