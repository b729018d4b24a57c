"""Every method on one task and one backbone: the same images, the same folds, the same figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from head2toe import backbones, features
from head2toe.backbones import Backbone
from head2toe.backbones.surroundings import plain_torch
from head2toe.benchmark.cell import Cell
from head2toe.benchmark.costs import stored_bytes
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.method import Method, check_methods
from head2toe.benchmark.methods import methods as named
from head2toe.benchmark.outcome import Outcome
from head2toe.benchmark.rows import extracted
from head2toe.benchmark.seeds import seeds_of
from head2toe.benchmark.tasks import Task
from head2toe.benchmark.unseen import check_readable, tell_classes, telling_what_for
from head2toe.errors import (
    ClassTooSmallError,
    Head2ToeError,
    ParameterError,
    TooFewImagesError,
    UnfinishedComparisonError,
    one_line,
)
from head2toe.estimators.checks import is_whole
from head2toe.estimators.evaluation import mean_recall
from head2toe.estimators.labels import as_labels
from head2toe.features.device import device_name, find_device
from head2toe.progress import Progress, silent

STEPS = 200  # of one training of a network
OPTIONS = ("dtype", "device", "batch_size", "workers")  # of the extraction


@plain_torch()
def compare(
    task: Task,
    backbone: str | nn.Module,
    methods: str | Iterable[str],
    *,
    seed: int | Sequence[int] = 0,
    image_size: int | None = None,
    progress: Progress | None = None,
    steps: int = STEPS,
    augment: bool = False,
    target_sizes: Sequence[int] | None = None,
    preprocessing: Any = None,
    **options: Any,
) -> list[Outcome]:
    """Train methods on a task's training images and judge each once on its test images.

    The frozen backbone sees the training images once for all methods and seeds that read rows, and the test images once
    after all of them are trained; test rows are not stored. Most of what can be known before any training is refused
    before it: test images are decoded once more for that, since a damaged one would cost all that was trained.

    Parameters
    ----------
    task : Task
        Where its training images have groups (`LabelledImages`), no fold or split of any method divides one.
    backbone : str or Module
        As for `head2toe.backbones.load`.
    methods : name or names out of `head2toe.benchmark.methods.METHODS`
        Those that a method starts from are added before it.
    seed : int, or several
        Of folds, first weights and orders; from 0 on. One that is named twice is run once.
    image_size : int, optional
        Side of the network's input in pixels, the same for all methods.
    progress : callable(done, total, text), optional
    steps : int
        Gradient steps of one training of a network.
    augment : bool
        Train networks on random crops and mirror images; the paper does not. Probes see each image once, as it is.
    target_sizes : sequence of int, optional
        N of the paper: numbers wanted of each layer; by default the classifier's own for head2toe, and 512 and 2048 for
        the methods of the paper. all-l1, all-gl and head2toe-reference use the smallest.
    preprocessing : optional
        As for `head2toe.backbones.load`.
    **options
        Of the extraction: `dtype`, `device` (networks are trained there too), `batch_size`, `workers`.

    Returns
    -------
    list of Outcome
        Seed by seed, in the order of `METHODS`.

    Raises
    ------
    ParameterError
        An unknown method, no seed, a parameter outside the values it may take, or a backbone that a method cannot use.
    MissingDependencyError
        A package that a method needs.
    DataFormatError
        No test label is a training label. Classes that training images lack are named in the log.
    ClassTooSmallError, TooFewImagesError
        Too few images or groups for the folds, or for a method that holds some out; the message names it.
    UnreadableImageError
        Every image must be readable.
    UnfinishedComparisonError
        A method failed after others had finished: it has their outcomes. Where none did, the first one's own error.
    Head2ToeError
        Data, backbone or parameters that cannot be used; the message names the method that failed.
    TypeError
        An option that there is not.
    """
    chosen = named(methods)
    seeds = seeds_of(seed)
    _check_parameters(steps, options)
    loaded = backbones.load(backbone, preprocessing=preprocessing, image_size=image_size)
    check_methods(chosen, loaded)
    told = progress or silent
    device = options.get("device", "auto")
    first = Cell(
        task,
        backbone,
        loaded,
        image_size,
        progress=told,
        steps=steps,
        preprocessing=preprocessing,
        device=device,
        augment=augment,
    )
    labels = task.test.with_labels().labels
    truth = as_labels([] if labels is None else labels).astype(str)
    _check_task(first, seeds, chosen, truth, options.get("workers"))
    with ExitStack() as stack:
        if any(method.reads_rows for method in chosen):
            told(0, len(chosen), "rows of the training images")
            with telling_what_for("train"):
                rows = extracted(loaded, task.train.images, target_sizes, progress=False, **options)
                first.made = stack.enter_context(rows)
        cells = [replace(first, seed=one, fitted={}, failed={}) for one in seeds]
        for cell in cells:
            _fit(cell, chosen, told)
        told(len(chosen), len(chosen), "test images")
        predicted = [_predict_images(cell) for cell in cells]
        _predict_rows(cells, predicted, loaded, options)
    outcomes = [
        _outcome(cell, method, made.get(method.name), truth)
        for cell, made in zip(cells, predicted, strict=True)
        for method in chosen
        if method.name in cell.fitted
    ]
    _tell_failed(cells, outcomes)
    return outcomes


def _check_parameters(steps: Any, options: Mapping[str, Any]) -> None:
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise TypeError(f"compare() has no option {unknown[0]!r}: those of the extraction are {', '.join(OPTIONS)}")
    if not is_whole(steps) or steps < 1:
        raise ParameterError(f"steps is {steps!r}: use a whole number of at least 1")
    workers = options.get("workers")
    if workers is not None and (not is_whole(workers) or workers < 0):
        raise ParameterError(f"workers is {workers!r}: use a number of threads, or None")


def _check_task(
    first: Cell, seeds: Sequence[int], chosen: list[Method], truth: np.ndarray, workers: int | None
) -> None:
    """Refuse what cannot be learned from, or judged by, before any long work."""
    tell_classes(first.target.classes.astype(str), truth, first.task.name)
    for one in seeds:
        _check_split(replace(first, seed=one), chosen)
    if any(method.reads_rows or method.trains_network for method in chosen):  # else nothing is judged
        first.progress(0, len(chosen), "whether the test images can be read")
        check_readable(first.task.test.images, workers)


def _check_split(cell: Cell, chosen: list[Method]) -> None:
    """Refuse methods that hold images out where there are too few, before the others are trained for nothing."""
    what, own = ("images", np.arange(len(cell.y))) if cell.groups is None else ("groups", cell.groups)
    needed = {method.name: method.fewest_beside for method in chosen if method.fewest_beside}
    if not needed:
        return
    try:
        left, held_out = (len(np.unique(own[part])) for part in (cell.split.train, cell.split.held_out))
    except ClassTooSmallError as error:
        raise ClassTooSmallError(f"{', '.join(needed)}: {error}, or leave such methods out") from error
    short = [name for name, fewest in needed.items() if left < fewest]
    if short:
        raise TooFewImagesError(
            f"{', '.join(short)}: {left} training {what} are left when {held_out} are held out to choose by, and "
            f"{needed[short[0]]} are needed: add {what}, or leave such methods out"
        )


def _fit(cell: Cell, chosen: list[Method], told: Progress) -> None:
    for i, method in enumerate(chosen):
        told(i, len(chosen), f"{method.name}, seed {cell.seed}")
        start = time.perf_counter()
        with cell.keeping(method.name):
            fitted = method.fit(cell)
            seconds = time.perf_counter() - start if fitted.seconds is None else fitted.seconds
            cell.fitted[method.name] = replace(fitted, seconds=seconds)


def _tell_failed(cells: list[Cell], outcomes: list[Outcome]) -> None:
    """Raise what methods failed of, with what the others came to."""
    failed = {(name, cell.seed): error for cell in cells for name, error in cell.failed.items()}
    if not failed:
        return
    first = next(iter(failed.values()))
    if not outcomes:
        raise first
    texts = dict.fromkeys(_told_of(name, error) for (name, _), error in failed.items())
    raise UnfinishedComparisonError("; ".join(texts), outcomes, failed) from first


def _told_of(name: str, error: Exception) -> str:
    if isinstance(error, Head2ToeError):  # it names the method
        return str(error)
    kind, said = type(error).__name__, one_line(error)
    return f"{name}: {kind}" if said == kind else f"{name}: {kind}: {said}"


def _predict_images(cell: Cell) -> dict[str, np.ndarray]:
    """Class numbers of the test images by each method that reads images."""
    made = {}
    for name, fitted in list(cell.fitted.items()):
        if fitted.of_images is not None:
            with cell.keeping(name):
                made[name] = fitted.of_images(cell.task.test.images)
    return made


def _predict_rows(
    cells: list[Cell], predicted: list[dict[str, np.ndarray]], backbone: Backbone, options: dict[str, Any]
) -> None:
    """Add those of each method that reads rows, from one pass over the test images."""
    readers: list[tuple[Cell, dict[str, np.ndarray], str, Callable[[np.ndarray], np.ndarray]]] = [
        (cell, made, name, fitted.of_rows)
        for cell, made in zip(cells, predicted, strict=True)
        for name, fitted in cell.fitted.items()
        if fitted.of_rows is not None
    ]
    if not readers:
        return
    rows, test = cells[0].rows, cells[0].task.test.images
    # Test rows come in the number format of the training rows.
    extractor = features.Extractor(
        backbone, rows.plan, **{**options, "dtype": rows.dtype, "strict": True, "progress": False}
    )
    parts: list[list[np.ndarray]] = [[] for _ in readers]
    for batch in extractor.stream(test):
        for found, (cell, _, name, predict) in zip(parts, readers, strict=True):
            if name not in cell.failed:
                with cell.keeping(name):
                    found.append(np.asarray(predict(batch.rows)))
    for found, (cell, made, name, _) in zip(parts, readers, strict=True):
        if name not in cell.failed:
            made[name] = np.concatenate(found)


def _outcome(cell: Cell, method: Method, predicted: np.ndarray | None, truth: np.ndarray) -> Outcome:
    fitted: Fitted = cell.fitted[method.name]
    accuracy, balanced = (None, None) if predicted is None else _accuracies(cell, predicted, truth)
    extraction = cell.rows if method.reads_rows else None
    size = getattr(cell.backbone.preprocessing, "size", None)
    return Outcome(
        task=cell.task.name,
        group=cell.task.group,
        backbone=cell.backbone.spec,
        method=method.name,
        accuracy=accuracy,
        balanced_accuracy=balanced,
        cv_accuracy=fitted.cv_accuracy,
        extract_seconds=extraction.seconds if extraction else 0.0,
        train_seconds=float(fitted.seconds or 0.0),
        train_flops=fitted.flops + (len(cell.y) * extraction.flops if extraction else 0),
        stored_bytes=stored_bytes(fitted.stored),
        choice=fitted.choice,
        seed=cell.seed,
        n_train=len(cell.y),
        n_test=len(truth),
        classes=cell.classes,
        image_size=None if size is None else [int(side) for side in size],
        preprocessing=cell.backbone.preprocessing.to_dict(),
        dtype=extraction.dtype if extraction else None,
        weights_sha256=cell.backbone.weights_sha256,
        estimated=fitted.estimated,
        device=device_name(find_device(cell.device)),
    )


def _accuracies(cell: Cell, predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Top-1 accuracy, and mean recall over the classes of the test images; labels are compared as text."""
    hits = cell.target.classes.astype(str)[predicted] == truth
    return float(hits.mean()), mean_recall(hits, truth)
