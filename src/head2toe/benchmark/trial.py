"""A trial of a comparison: one task, one backbone, one seed, and what all its methods share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from traceback import clear_frames
from typing import Any

import numpy as np
from torch import nn

from head2toe.backbones import Backbone
from head2toe.benchmark.defaults import STEPS
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.refusals import telling
from head2toe.benchmark.rows import TrainingRows
from head2toe.benchmark.tasks import Task
from head2toe.errors import ClassTooSmallError, Head2ToeError, ParameterError, TooFewImagesError
from head2toe.estimators.groups import check_groups, group_numbers
from head2toe.estimators.target import Target
from head2toe.probes.folds import Fold, stratified_folds
from head2toe.progress import Progress, silent

FOLDS = 5


@dataclass
class Trial:
    """What a method may use; the test images are not among it.

    Attributes
    ----------
    task : Task
    spec : str or Module
        As for `backbones.load`.
    backbone : Backbone
        Loaded, at the image size of the comparison.
    image_size : int or None
    seed : int
    progress : callable(done, total, text)
    steps : int
        Gradient steps of one training of a network.
    made : TrainingRows, optional
        Rows of the training images; None where no method reads rows.
    preprocessing : Preprocessing or callable, optional
        As for `backbones.load`.
    device : str
        Where networks are trained, as for `head2toe.features.extract`.
    augment : bool
        Networks are trained on random crops and mirror images.
    fitted : dict of str to Fitted
        Methods that have been fitted in this trial.
    failed : dict of str to Exception
        What stopped others.
    """

    task: Task
    spec: str | nn.Module
    backbone: Backbone
    image_size: int | None = None
    seed: int = 0
    progress: Progress = silent
    steps: int = STEPS
    made: TrainingRows | None = None
    preprocessing: Any = None
    device: str = "auto"
    augment: bool = False
    fitted: dict[str, Fitted] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)

    @property
    def rows(self) -> TrainingRows:
        """Rows of the training images."""
        assert self.made is not None, "this comparison has no method that reads rows"
        return self.made

    @cached_property
    def target(self) -> Target:
        """Training labels as class numbers; test labels play no part.

        Raises
        ------
        OneClassError, TooFewImagesError
        """
        target = Target.of(self.task.train.known_labels())
        try:
            target.check(FOLDS, fewest=1)  # VTAB's Sun397 has classes with one training image
        except TooFewImagesError as error:  # a comparison has no cv to lower
            few = f"{len(target.y)} training images are too few for the {FOLDS} folds of a comparison"
            raise TooFewImagesError(f"{few}: add images, at least {FOLDS} in all") from error
        return target

    @property
    def y(self) -> np.ndarray:
        """Class numbers of the training images, int64 (n,)."""
        return self.target.y

    @property
    def classes(self) -> int:
        """c, of the training images."""
        return len(self.target.classes)

    @cached_property
    def groups(self) -> np.ndarray | None:
        """Group numbers of the training images, int64 (n,), none of which a fold or split divides; None without any.

        Raises
        ------
        ParameterError, TooFewImagesError, ClassTooSmallError
        """
        numbers = group_numbers(self.task.train.groups, len(self.y))
        if numbers is not None and len(np.unique(numbers)) < FOLDS:  # a comparison has no cv to lower
            few = f"{len(np.unique(numbers))} groups are too few for the {FOLDS} folds of a comparison"
            raise TooFewImagesError(f"{few}: add groups, at least {FOLDS} in all")
        check_groups(self.target, numbers, FOLDS)
        return numbers

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The folds of methods that cross-validate on rows; the search makes the same, of few images more."""
        return stratified_folds(self.y, FOLDS, groups=self.groups, random_state=self.seed)

    @property
    def folds_name(self) -> str:
        """What `folds` are called in a choice."""
        return f"{FOLDS} folds" + ("" if self.groups is None else " of groups")

    @cached_property
    def split(self) -> Fold:
        """One split for methods that are too slow for folds: VTAB's 800 and 200 images.

        Where the last images are no sample, the first of the folds with a class that has images in others; of a class
        that has none there, these are trained on.

        Raises
        ------
        ClassTooSmallError
            No class has two images.
        """
        if self._last_are_a_sample:
            first = len(self.y) - self.task.held_out
            return Fold(np.arange(first), np.arange(first, len(self.y)))
        own = np.arange(len(self.y)) if self.groups is None else self.groups
        for fold in self.folds:
            known = np.isin(self.y[fold.held_out], self.y[fold.train])
            known = ~np.isin(own[fold.held_out], own[fold.held_out[~known]])
            if known.any():
                return Fold(np.sort(np.append(fold.train, fold.held_out[~known])), fold.held_out[known])
        raise ClassTooSmallError("no class has two images, and some must be held out to choose by: add images")

    @cached_property
    def _last_are_a_sample(self) -> bool:
        """No class is in them alone, and they have two classes and half of those that they could hold.

        Nor may a group be cut in two. Images sorted by class have a class in the last ones alone, or one there at all.
        """
        first, held_out = len(self.y) - self.task.held_out, self.task.held_out
        seen = len(np.unique(self.y[first:]))
        few = seen < 2 or 2 * seen < min(self.classes, held_out)
        cut = self.groups is not None and bool(np.isin(self.groups[first:], self.groups[:first]).any())
        return not few and not cut and len(np.unique(self.y[:first])) == self.classes

    @property
    def split_name(self) -> str:
        """What `split` is called in a choice."""
        of_groups = "a stratified fold" if self.groups is None else "a fold of groups"
        which = "the last ones" if self._last_are_a_sample else of_groups
        return f"{len(self.split.train)} / {len(self.split.held_out)} images, {which}"

    def earlier(self, name: str) -> Fitted:
        """What a method that must come before another one left.

        Raises
        ------
        Head2ToeError
            It failed, or was not run.
        """
        if name in self.failed:
            kind = type(self.failed[name]) if isinstance(self.failed[name], Head2ToeError) else ParameterError
            raise kind(f"this method starts from {name}, which failed")
        if name not in self.fitted:
            raise ParameterError(f"this method starts from {name}: name {name} before it among the methods")
        return self.fitted[name]

    @contextmanager
    def keeping(self, name: str) -> Iterator[None]:
        """Keep what a method fails of, so that it costs the others nothing; what head2toe refuses names it."""
        try:
            with telling(name):
                yield
        except Exception as error:  # noqa: BLE001 - hours of other methods may be done: `compare` raises it after them
            _let_go(error)
            self.fitted.pop(name, None)
            self.failed[name] = error


def _let_go(error: BaseException) -> None:
    """Let go of what a method had in memory: an error holds it in its frames, and those it was made of in theirs."""
    errors = [error]
    for one in errors:  # it grows
        clear_frames(one.__traceback__)
        for earlier in (one.__cause__, one.__context__):
            if earlier is not None and not any(earlier is other for other in errors):
                errors.append(earlier)
