"""Every method on one task and one backbone: the same images, the same folds, the same figures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from head2toe import backbones, features
from head2toe.backbones import Backbone
from head2toe.benchmark.before_training import check_readable, telling_what_for, warn_of_unseen_classes
from head2toe.benchmark.costs import stored_bytes
from head2toe.benchmark.defaults import STEPS
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.method import Method, check_methods
from head2toe.benchmark.methods import methods as named
from head2toe.benchmark.outcome import Outcome
from head2toe.benchmark.rows import TrainingRows, extracted
from head2toe.benchmark.seeds import seeds_of
from head2toe.benchmark.tasks import Task
from head2toe.benchmark.trial import Trial
from head2toe.checks import is_whole, require, require_whole
from head2toe.errors import (
    ClassTooSmallError,
    Head2ToeError,
    InterruptedComparisonError,
    TooFewImagesError,
    UnfinishedComparisonError,
    one_line,
)
from head2toe.estimators.evaluation import mean_recall
from head2toe.estimators.labels import as_labels
from head2toe.features.device import device_name, find_device
from head2toe.plain_torch import plain_torch
from head2toe.progress import Progress, silent

LOG = logging.getLogger(__name__)
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
    InterruptedComparisonError
        Ctrl-C while a method trained, after others had finished: these were judged, it has their outcomes. A second
        Ctrl-C gives them up.
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
    first = Trial(
        task,
        backbone,
        loaded,
        image_size,
        progress=progress or silent,
        steps=steps,
        preprocessing=preprocessing,
        device=options.get("device", "auto"),
        augment=augment,
    )
    truth = as_labels(task.test.known_labels()).astype(str)
    _check_task(first, seeds, chosen, truth, options.get("workers"))
    with _training_rows(first, chosen, target_sizes, options) as rows:
        trials = [replace(first, seed=one, made=rows, fitted={}, failed={}) for one in seeds]
        finished = _fit_all(trials, chosen)
        first.progress(len(chosen), len(chosen), "test images")
        predicted = [_predict_images(trial) for trial in trials]
        _predict_rows(trials, predicted, loaded, options)
    outcomes = [
        _outcome(trial, method, made.get(method.name), truth)
        for trial, made in zip(trials, predicted, strict=True)
        for method in chosen
        if method.name in trial.fitted
    ]
    _raise_failed(trials, outcomes, finished=finished)
    return outcomes


def _check_parameters(steps: Any, options: Mapping[str, Any]) -> None:
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise TypeError(f"compare() has no option {unknown[0]!r}: those of the extraction are {', '.join(OPTIONS)}")
    require_whole("steps", steps)
    workers = options.get("workers")
    fits = workers is None or (is_whole(workers) and workers >= 0)
    require(fits, "workers", workers, "a number of threads, or None")


def _check_task(
    first: Trial, seeds: Sequence[int], chosen: list[Method], truth: np.ndarray, workers: int | None
) -> None:
    """Refuse what cannot be learned from, or judged by, before any long work."""
    warn_of_unseen_classes(first.target.classes.astype(str), truth, first.task.name)
    for one in seeds:
        _check_split(replace(first, seed=one), chosen)
    if any(method.reads_rows or method.trains_network for method in chosen):  # else nothing is judged
        first.progress(0, len(chosen), "whether the test images can be read")
        check_readable(first.task.test.images, workers)


def _check_split(trial: Trial, chosen: list[Method]) -> None:
    """Refuse methods that hold images out where there are too few, before the others are trained for nothing."""
    what, own = ("images", np.arange(len(trial.y))) if trial.groups is None else ("groups", trial.groups)
    needed = {method.name: method.fewest_beside for method in chosen if method.fewest_beside}
    if not needed:
        return
    try:
        left, held_out = (len(np.unique(own[part])) for part in (trial.split.train, trial.split.held_out))
    except ClassTooSmallError as error:
        raise ClassTooSmallError(f"{', '.join(needed)}: {error}, or leave such methods out") from error
    short = [name for name, fewest in needed.items() if left < fewest]
    if short:
        raise TooFewImagesError(
            f"{', '.join(short)}: {left} training {what} are left when {held_out} are held out to choose by, and "
            f"{needed[short[0]]} are needed: add {what}, or leave such methods out"
        )


@contextmanager
def _training_rows(
    first: Trial, chosen: list[Method], target_sizes: Sequence[int] | None, options: Mapping[str, Any]
) -> Iterator[TrainingRows | None]:
    """Rows of the training images, for as long as they are needed; None where no method reads them."""
    if not any(method.reads_rows for method in chosen):
        yield None
        return
    first.progress(0, len(chosen), "rows of the training images")
    with ExitStack() as stack:
        with telling_what_for("train"):
            rows = extracted(first.backbone, first.task.train.images, target_sizes, progress=False, **options)
            made = stack.enter_context(rows)
        yield made


def _fit_all(trials: list[Trial], chosen: list[Method]) -> bool:
    """Fit all methods; False where the user stopped it when some had finished, which can still be judged."""
    try:
        for trial in trials:
            _fit(trial, chosen)
    except KeyboardInterrupt:
        done = sum(len(trial.fitted) for trial in trials)
        if not done:
            raise
        LOG.warning(
            "interrupted: %d of %d methods and seeds are trained and will be judged; once more gives them up",
            done,
            len(chosen) * len(trials),
        )
        return False
    return True


def _fit(trial: Trial, chosen: list[Method]) -> None:
    for i, method in enumerate(chosen):
        trial.progress(i, len(chosen), f"{method.name}, seed {trial.seed}")
        start = time.perf_counter()
        with trial.keeping(method.name):
            fitted = method.fit(trial)
            seconds = time.perf_counter() - start if fitted.seconds is None else fitted.seconds
            trial.fitted[method.name] = replace(fitted, seconds=seconds)


def _raise_failed(trials: list[Trial], outcomes: list[Outcome], *, finished: bool) -> None:
    """Raise what methods failed of, or that the user did not let them finish, with what the others came to."""
    failed = {(name, trial.seed): error for trial in trials for name, error in trial.failed.items()}
    texts = dict.fromkeys(_failure(name, error) for (name, _), error in failed.items())
    if not finished:
        for text in texts:
            LOG.warning("%s", text)
        if not outcomes:
            raise KeyboardInterrupt
        raise InterruptedComparisonError("interrupted, with outcomes of what had been trained", outcomes, failed)
    if not failed:
        return
    first = next(iter(failed.values()))
    if not outcomes:
        raise first
    raise UnfinishedComparisonError("; ".join(texts), outcomes, failed) from first


def _failure(name: str, error: Exception) -> str:
    if isinstance(error, Head2ToeError):  # it names the method
        return str(error)
    kind, said = type(error).__name__, one_line(error)
    return f"{name}: {kind}" if said == kind else f"{name}: {kind}: {said}"


def _predict_images(trial: Trial) -> dict[str, np.ndarray]:
    """Class numbers of the test images by each method that reads images."""
    made = {}
    for name, fitted in list(trial.fitted.items()):
        if fitted.of_images is not None:
            with trial.keeping(name):
                made[name] = fitted.of_images(trial.task.test.images)
    return made


def _predict_rows(
    trials: list[Trial], predicted: list[dict[str, np.ndarray]], backbone: Backbone, options: dict[str, Any]
) -> None:
    """Add those of each method that reads rows, from one pass over the test images."""
    readers: list[tuple[Trial, dict[str, np.ndarray], str, Callable[[np.ndarray], np.ndarray]]] = [
        (trial, made, name, fitted.of_rows)
        for trial, made in zip(trials, predicted, strict=True)
        for name, fitted in trial.fitted.items()
        if fitted.of_rows is not None
    ]
    if not readers:
        return
    rows, test = trials[0].rows, trials[0].task.test.images
    # Test rows come in the number format of the training rows.
    extractor = features.Extractor(
        backbone, rows.plan, **{**options, "dtype": rows.dtype, "strict": True, "progress": False}
    )
    parts: list[list[np.ndarray]] = [[] for _ in readers]
    try:
        for batch in extractor.stream(test):
            for found, (trial, _, name, predict) in zip(parts, readers, strict=True):
                if name not in trial.failed:
                    with trial.keeping(name):
                        found.append(np.asarray(predict(batch.rows)))
    except Exception:  # it is every reader's, and not that of methods that read images
        for trial, _, name, _ in readers:
            if name not in trial.failed:
                with trial.keeping(name):
                    raise
    for found, (trial, made, name, _) in zip(parts, readers, strict=True):
        if name not in trial.failed:
            made[name] = np.concatenate(found)


def _outcome(trial: Trial, method: Method, predicted: np.ndarray | None, truth: np.ndarray) -> Outcome:
    fitted: Fitted = trial.fitted[method.name]
    accuracy, balanced = (None, None) if predicted is None else _accuracies(trial, predicted, truth)
    extraction = trial.rows if method.reads_rows else None
    size = getattr(trial.backbone.preprocessing, "size", None)
    return Outcome(
        task=trial.task.name,
        group=trial.task.group,
        backbone=trial.backbone.spec,
        method=method.name,
        accuracy=accuracy,
        balanced_accuracy=balanced,
        cv_accuracy=fitted.cv_accuracy,
        extract_seconds=extraction.seconds if extraction else 0.0,
        train_seconds=float(fitted.seconds or 0.0),
        train_flops=fitted.flops + (len(trial.y) * extraction.flops if extraction else 0),
        stored_bytes=stored_bytes(fitted.stored),
        choice=fitted.choice,
        seed=trial.seed,
        n_train=len(trial.y),
        n_test=len(truth),
        classes=trial.classes,
        image_size=None if size is None else [int(side) for side in size],
        preprocessing=trial.backbone.preprocessing.to_dict(),
        dtype=extraction.dtype if extraction else None,
        weights_sha256=trial.backbone.weights_sha256,
        estimated=fitted.estimated,
        device=device_name(find_device(trial.device)),
    )


def _accuracies(trial: Trial, predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Top-1 accuracy, and mean recall over the classes of the test images; labels are compared as text."""
    hits = trial.target.classes.astype(str)[predicted] == truth
    return float(hits.mean()), mean_recall(hits, truth)
