"""Methods on tasks, one JSON file a cell; what is there already is not run again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from head2toe import backbones
from head2toe.benchmark.comparison import compare
from head2toe.benchmark.defaults import VTAB_SEEDS
from head2toe.benchmark.method import check_methods
from head2toe.benchmark.methods import methods as named
from head2toe.benchmark.methods.registry import METHODS, STARTS_FROM
from head2toe.benchmark.seeds import seeds_of
from head2toe.benchmark.vtab.cells import Cells
from head2toe.benchmark.vtab.fingerprint import fingerprint
from head2toe.benchmark.vtab.loading import Load, LoadedTask
from head2toe.errors import (
    ClassTooSmallError,
    ConstantFeaturesError,
    DataError,
    InterruptedComparisonError,
    MissingDependencyError,
    OutputExistsError,
    ParameterError,
    TooFewImagesError,
    UnfinishedComparisonError,
)
from head2toe.features.dtype import check
from head2toe.progress import Progress, silent

# What a method may say of data that others learn from; `compare` names it.
_OF_A_METHOD = (ClassTooSmallError, ConstantFeaturesError, TooFewImagesError)


@dataclass(frozen=True)
class Settings:
    """What all cells of a run share.

    Attributes
    ----------
    backbone : str
        As for `head2toe.backbones.load`.
    image_size : int or None
        Side of the network's input in pixels; None: the checkpoint's.
    test_limit : int or None
        At most so many test images a task; None: all.
    steps : int or None
        Gradient steps of one training of a network; None: those of `compare`.
    """

    backbone: str
    image_size: int | None = None
    test_limit: int | None = None
    steps: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Ran:
    """What a run did.

    Attributes
    ----------
    made, kept : int
        Cells that it made, and that were there.
    failed : dict of task to reason
        Tasks whose data could not be used, or not by the methods named in the reason; the others were run all the same.
    """

    made: int
    kept: int
    failed: dict[str, str] = field(default_factory=dict)


def run(
    tasks: Iterable[tuple[str, Load]],
    methods: Sequence[str],
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    seeds: int | Sequence[int] = VTAB_SEEDS,
    progress: Progress | None = None,
    **options: Any,
) -> Ran:
    """Run methods on tasks with several seeds.

    Probes of the frozen backbone's rows run together, all seeds at once, because they share the rows; each training of
    a whole network is a step of its own (head2toe-ft and head2toe-ft+ are one, in which head2toe comes first again).
    Each cell is written when its step is done, so that an interrupted run loses one step at most; the same call goes on
    from there. A task whose data are missing or damaged does not keep the others from being run, nor does a method that
    cannot learn from it the other methods. What a method lacks on any data (a package, a classifier of the backbone) is
    told before any is run.

    Parameters
    ----------
    tasks : name and callable(test_limit=) -> LoadedTask
        As `tasks_of` gives them. Called only where a cell is missing; the `group` that it may have as an attribute is
        compared with that of the cells in any case.
    methods : names out of `head2toe.benchmark.methods.METHODS`
    out : path
        Cells are ``out/BACKBONE/TASK/METHOD-seedK.json``.
    settings : Settings
    seeds : int, or several
        As for `compare`: each is a run.
    progress : callable(done, total, text), optional
        Over tasks.
    **options
        Of `compare`: dtype, device, ...; `augment` and `target_sizes` count as settings, the others are not compared.
        Without a dtype, that of the cells of this backbone that are there is kept.

    Raises
    ------
    ParameterError
        No task, no seed, an unknown method, or one that cannot run with this backbone.
    OutputExistsError
        `out` has cells of this backbone made with other settings or weights, or cells of a task of another group, or
        made from other data.
    Head2ToeError
        What the backbone or a method raise.
    """
    names = [method.name for method in named(methods)]
    chosen, numbers = list(tasks), seeds_of(seeds, "seeds")
    if not chosen:
        raise ParameterError("nothing to run: at least one task is needed")
    cells, report = Cells(Path(out), settings.backbone), progress or silent
    _check_settings(cells, settings, options)
    _check_groups(cells, chosen)
    options = _as_begun(cells, options)

    def lacking(task: str) -> list[tuple[str, int]]:
        pairs = [(method, seed) for method in names for seed in numbers]
        return [pair for pair in pairs if not cells.path(task, *pair).exists()]

    wanted = {method for task, _ in chosen for method, _ in lacking(task)}
    if wanted:
        _check_network(wanted, cells, settings, options)
    made = kept = 0
    failed: dict[str, str] = {}
    for number, (task, load) in enumerate(chosen):
        report(number, len(chosen), task)
        missing = lacking(task)
        kept += len(names) * len(numbers) - len(missing)
        if not missing:
            continue
        step = _Step(cells, settings, partial(report, number, len(chosen)), options)
        try:
            for made_now in step.run(load, missing):
                made += made_now
        except (DataError, MissingDependencyError) as error:
            failed[task] = str(error)
    report(len(chosen), len(chosen), "done")
    return Ran(made, kept, failed)


def _check_network(wanted: set[str], cells: Cells, settings: Settings, options: Mapping[str, Any]) -> None:
    """Refuse, before others run for hours, methods that no data can mend, and weights that are not those of the cells.

    A folder or a hub may have new ones under the same name. The network is not kept: `compare` loads its own.
    """
    look = {"preprocessing": options.get("preprocessing"), "image_size": settings.image_size}
    network = backbones.load(settings.backbone, **look)
    check_methods(named(wanted), network)
    for path, cell in cells.there():
        own = cell.get("weights_sha256") or network.weights_sha256  # older cells do not tell
        if own != network.weights_sha256:
            raise OutputExistsError(
                f"{path} was made with other weights of {cells.backbone}: choose another --out, or delete it"
            )


@dataclass(frozen=True)
class _Step:
    """What the steps of a task share."""

    cells: Cells
    settings: Settings
    report: Callable[[str], None]
    options: dict[str, Any]

    def run(self, load: Load, missing: Sequence[tuple[str, int]]) -> Iterator[int]:
        """Run the missing methods and seeds of a task; the numbers of cells written, step by step.

        Methods that cannot learn from its data are told by the DataError that ends it, when the others are done.
        """
        loaded, wanted = load(test_limit=self.settings.test_limit), set(missing)
        prints = fingerprint(loaded.task)
        self._check_data(loaded, prints)
        failed: dict[str, str] = {}
        for methods, seeds in _steps(missing):
            for outcomes in self._compared(loaded, methods, seeds, failed):
                # A method that another one starts from was run again; its cell is there, and stays.
                new = [outcome for outcome in outcomes if (outcome.method, outcome.seed) in wanted]
                for outcome in new:
                    self._keep(loaded, prints, outcome.to_dict())
                yield len(new)
        if failed:
            raise DataError("; ".join(dict.fromkeys(failed.values())))  # of the data as a whole all say the same

    def _compared(
        self, loaded: LoadedTask, methods: Sequence[str], seeds: Sequence[int], failed: dict[str, str]
    ) -> Iterator[list[Any]]:
        """The outcomes of methods that run together; where one of them cannot learn, of smaller and smaller parts.

        Halves, not one by one: each call reads the rows of all test images again.
        """
        done, unfinished = [], None
        try:
            done = [self._outcomes(loaded, methods, seeds)]
        except (UnfinishedComparisonError, InterruptedComparisonError) as error:
            done, unfinished = [error.outcomes], error
        except _OF_A_METHOD as error:
            if len(methods) == 1:
                failed[methods[0]] = str(error)
        yield from done
        if unfinished is not None:
            failed.update(_said_of_data(unfinished))
        if done or len(methods) == 1:
            return
        half = len(methods) // 2
        yield from self._compared(loaded, methods[:half], seeds, failed)
        yield from self._compared(loaded, methods[half:], seeds, failed)

    def _outcomes(self, loaded: LoadedTask, methods: Sequence[str], seeds: Sequence[int]) -> list[Any]:
        steps = {} if self.settings.steps is None else {"steps": self.settings.steps}
        return compare(
            loaded.task,
            self.settings.backbone,
            methods,
            seed=seeds,
            image_size=self.settings.image_size,
            progress=lambda done, total, text: self.report(f"{loaded.task.name}: {text}"),
            **steps,
            **self.options,
        )

    def _check_data(self, loaded: LoadedTask, prints: dict[str, str]) -> None:
        """Refuse data that are not those of the cells of this task that are there."""
        task = loaded.task
        wanted = {"group": task.group, **loaded.facts, **prints}
        for path, cell in self.cells.of_task(task.name):
            known = (cell.get("data") or loaded.facts, cell.get("fingerprint") or prints)  # older cells tell less
            found = {"group": cell["group"], **known[0], **known[1]}
            if found != wanted:
                other = ", ".join(f"{n} {found.get(n)}" for n in {**wanted, **found} if found.get(n) != wanted.get(n))
                raise OutputExistsError(
                    f"{path} was made from other data ({other}): choose another --out or name, or delete it"
                )

    def _keep(self, loaded: LoadedTask, prints: dict[str, str], outcome: dict[str, Any]) -> None:
        task = loaded.task
        cell = {**outcome, "task": task.name, "group": task.group, "fingerprint": prints}
        cell["settings"], cell["data"] = _described(self.settings, self.options), dict(loaded.facts)
        self.cells.write(cell)


def _said_of_data(unfinished: UnfinishedComparisonError | InterruptedComparisonError) -> dict[str, str]:
    """Why methods cannot learn from the data, by their names; whatever else one failed of, and Ctrl-C, ends the run."""
    if isinstance(unfinished, InterruptedComparisonError):
        raise unfinished
    for error in unfinished.failed.values():
        if not isinstance(error, _OF_A_METHOD):
            raise error
    return {method: str(error) for (method, _), error in unfinished.failed.items()}


def _steps(missing: Sequence[tuple[str, int]]) -> list[tuple[list[str], list[int]]]:
    """Calls of `compare`: probes with the same missing seeds together, trainings of a network one by one."""
    together: dict[tuple[int, ...], list[str]] = {}
    alone: dict[tuple[str, int], list[str]] = {}
    for method in dict.fromkeys(method for method, _ in missing):
        seeds = tuple(seed for name, seed in missing if name == method)
        if not METHODS[method].trains_network:
            together.setdefault(seeds, []).append(method)
            continue
        for seed in seeds:
            alone.setdefault((_training(method), seed), []).append(method)
    trainings = [(methods, [seed]) for (_, seed), methods in alone.items()]
    return [*((methods, list(seeds)) for seeds, methods in together.items()), *trainings]


def _training(method: str) -> str:
    """The method whose training another one uses, or its own name."""
    return next((one for one in STARTS_FROM.get(method, ()) if METHODS[one].trains_network), method)


def _described(settings: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as JSON, with options of `compare` that make other figures of a method, where they are given."""
    sizes = options.get("target_sizes")
    found = {} if sizes is None else {"target_sizes": sorted({int(size) for size in sizes})}
    return {**settings.to_dict(), **found, **({"augment": True} if options.get("augment") else {})}


def _check_settings(cells: Cells, settings: Settings, options: Mapping[str, Any]) -> None:
    """Refuse to add to cells that were made with other settings: the table would mix them in one row."""
    wanted = _described(settings, options)
    for path, cell in cells.there():
        found = cell.get("settings")
        if {"steps": None, **(found or {})} != wanted:  # older cells do not tell the steps
            raise OutputExistsError(
                f"{path} was made with other settings ({_shown(found)}): choose another --out, or delete it"
            )


def _check_groups(cells: Cells, tasks: Iterable[tuple[str, Load]]) -> None:
    """Refuse a task of another group than its cells, also where none is missing and its data are not looked at."""
    for task, load in tasks:
        group = getattr(load, "group", None)
        for path, cell in cells.of_task(task) if group is not None else ():
            if cell["group"] != group:
                raise OutputExistsError(
                    f"{path} is of the group {cell['group']}, not {group}: choose another --out or name, or delete it"
                )


def _as_begun(cells: Cells, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the number format of the cells that are there: a trial may find another one faster today."""
    formats = {cell["dtype"] for _, cell in cells.there() if cell.get("dtype") is not None}
    if "dtype" in options or len(formats) != 1:
        return options
    (dtype,) = formats
    try:
        check(options.get("device", "auto"), dtype)
    except ParameterError:  # of another machine's GPU
        return options
    return {**options, "dtype": dtype}


def _shown(settings: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items()) if isinstance(settings, dict) else "none"
