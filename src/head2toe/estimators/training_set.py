"""What a classifier learns from: labelled images and perhaps unlabelled ones, checked before any long work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from head2toe import features
from head2toe.data import Images
from head2toe.data.views import chained
from head2toe.errors import DataFormatError, EmptyDataError, ParameterError, one_line
from head2toe.estimators.checks import tell_of_many
from head2toe.estimators.groups import check_groups, group_numbers, groups_of
from head2toe.estimators.host import on_host
from head2toe.estimators.labels import labels_of
from head2toe.estimators.target import Target, check_remaining
from head2toe.estimators.weights import row_weights, sample_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Readable:
    """What is left once images that cannot be read are gone.

    Attributes
    ----------
    rows : float32 array (m, d)
    labels : array (m,)
    weight : array (m,) or None
    groups : int64 array (m,) or None
    unlabelled : float32 array (u, d) or None
    skipped, skipped_unlabelled : tuple of Skipped
    """

    rows: np.ndarray
    labels: np.ndarray
    weight: np.ndarray | None
    groups: np.ndarray | None
    unlabelled: np.ndarray | None
    skipped: tuple[features.Skipped, ...]
    skipped_unlabelled: tuple[features.Skipped, ...]


@dataclass(frozen=True)
class TrainingSet:
    """n labelled images and u unlabelled ones.

    Attributes
    ----------
    images : Images (n + u)
        The labelled ones first: all pass the network together.
    labels : array (n,)
    weight : array (n,) or None
    groups : int64 array (n,) or None
        Images of one number belong together.
    """

    images: Images
    labels: np.ndarray
    weight: np.ndarray | None
    groups: np.ndarray | None

    @staticmethod
    def of(
        images: Any,
        labels: ArrayLike | None,
        sample_weight: ArrayLike | None,
        unlabelled: Any,
        groups: ArrayLike | None,
        *,
        folds: int,
        class_weight: Mapping[Any, float] | str | None,
        inputs: Callable[[Any], Images],
    ) -> TrainingSet:
        """After all checks that need no forward pass; `inputs` makes sequences of what the backbone takes.

        Raises
        ------
        EmptyDataError, MissingLabelError, OneClassError, ClassTooSmallError, TooFewImagesError, DataFormatError,
        ParameterError
        """
        target = Target.of(labels_of(images, labels))
        pictures = inputs(images)
        if not len(pictures):
            raise EmptyDataError("there are no images to learn from: pass at least two a class")
        if len(pictures) != len(target.y):
            raise DataFormatError(f"{len(pictures)} images but {len(target.y)} labels: give one label an image")
        target.check(folds)
        weight = None if sample_weight is None else _numbers(sample_weight)
        if weight is not None and weight.shape != target.y.shape:
            raise DataFormatError(
                f"{len(pictures)} images but sample weights of shape {weight.shape}: give one weight an image"
            )
        counting = row_weights(target, class_weight, sample_weights(weight, len(pictures))) > 0
        numbers = group_numbers(groups_of(images, groups), len(pictures))
        _check(target.classes[target.y[counting]], None if numbers is None else numbers[counting], folds)
        tell_of_many(int(counting.sum()), "images")
        everything = pictures if unlabelled is None else chained(pictures, inputs(unlabelled))
        return TrainingSet(everything, target.classes[target.y], weight, numbers)

    def readable(self, found: features.FeatureStore, folds: int) -> Readable:
        """The rows of the images that could be read; warns of those that could not.

        Raises
        ------
        EmptyDataError
            No labelled image is left.
        ClassTooSmallError, OneClassError, TooFewImagesError
            Too few are.
        """
        n, u = len(self.labels), len(self.images) - len(self.labels)
        skipped = tuple(one for one in found.skipped if one.index < n)
        others = tuple(replace(one, index=one.index - n) for one in found.skipped if one.index >= n)
        if len(skipped) == n:
            raise EmptyDataError(
                f"none of the {n} images can be read; the first, {skipped[0].name}: {skipped[0].reason}"
            )
        _tell(len(skipped), n, "images", "skipped_")
        _tell(len(others), u, "unlabelled images", "skipped_unlabelled_")
        kept = found.kept[: n - len(skipped)]
        check_remaining(self.labels, kept, folds, skipped)
        return Readable(
            rows=found.rows[: len(kept)],
            labels=self.labels[kept],
            weight=None if self.weight is None else self.weight[kept],
            groups=None if self.groups is None else self.groups[kept],
            unlabelled=found.rows[len(kept) :] if u > len(others) else None,
            skipped=skipped,
            skipped_unlabelled=others,
        )


def _check(labels: np.ndarray, groups: np.ndarray | None, folds: int) -> None:
    target = Target.of(labels)
    target.check(folds)
    check_groups(target, groups, folds)


def _numbers(weights: ArrayLike) -> np.ndarray:
    try:
        return np.asarray(on_host(weights), np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"sample_weight: {one_line(error)}; give a number an image") from error


def _tell(skipped: int, total: int, what: str, where: str) -> None:
    if skipped:
        log.warning("%d of %d %s cannot be read and are left out: see %s", skipped, total, what, where)
