"""Rows of a task's training images: the frozen backbone runs once, and every method reads what it made."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from head2toe import Head2ToeClassifier, features
from head2toe.backbones import Backbone
from head2toe.data import Images
from head2toe.estimators.frozen import columns_of
from head2toe.features.costs import costs
from head2toe.features.plan import linear_operation
from head2toe.features.temporary import place_for
from head2toe.probes import LINEAR_VIEW, Columns
from head2toe.probes.standardised import Standardised

PAPER_SIZES = (512, 2048)
LAST_BLOCKS = "last blocks"
_LAST = 4  # of them
_BLOCK = re.compile(r"^((?:[A-Za-z_]\w*\.)+?\d+(?:\.\d+)*(?:\.blocks\.\d+)?)(?:\.|$)")


@dataclass(frozen=True)
class TrainingRows:
    """Rows of n training images.

    Attributes
    ----------
    X : float32 array or memmap (n, d)
    plan : features.Plan
        What the columns are: the views that `Head2ToeClassifier` chooses among, the paper's target sizes and
        `LAST_BLOCKS`.
    own : tuple of str
        Views that `Head2ToeClassifier` would choose among.
    paper_views : tuple of str
        Those of the paper's target sizes, ascending.
    seconds : float
        Of the extraction of the n images, reading them included.
    flops : int
        Of one image's forward pass.
    dtype : str
        The number format the backbone ran in.
    """

    X: np.ndarray
    plan: features.Plan
    own: tuple[str, ...]
    paper_views: tuple[str, ...]
    seconds: float
    flops: int
    dtype: str

    def columns(self, views: Sequence[str] | None = None) -> Columns:
        """The columns with some views (by default the classifier's own) and the linear one."""
        chosen = self.own if views is None else tuple(views)
        return replace(columns_of(self.plan), views={name: self.plan.views[name] for name in (*chosen, LINEAR_VIEW)})

    @cached_property
    def _standardised(self) -> dict[str, tuple[np.ndarray, Standardised]]:
        return {}

    def standardised(self, view: str) -> tuple[np.ndarray, Standardised]:
        """Column numbers of a view, ascending, and the view's standardised columns; kept for the next method."""
        if view not in self._standardised:
            indices = np.sort(self.plan.columns(view))
            first, last = int(indices[0]), int(indices[-1]) + 1
            together = last - first == len(indices)
            part = self.X[:, first:last] if together else np.take(self.X, indices, axis=1)
            self._standardised.clear()  # one at a time: each is as large as its columns
            self._standardised[view] = indices, Standardised(part)
        return self._standardised[view]


def layout(
    backbone: Backbone, target_sizes: Sequence[int] | None = None
) -> tuple[features.Plan, tuple[str, ...], tuple[str, ...]]:
    """The plan of a comparison, the views among which the classifier itself would choose, and the paper's, ascending.

    Without target sizes, the classifier's own and `PAPER_SIZES`.
    """
    classifier, found = Head2ToeClassifier(), features.layers(backbone)
    own_sizes, sizes = (classifier.target_sizes, PAPER_SIZES) if target_sizes is None else (target_sizes, target_sizes)
    plan = features.Plan.build(found, own_sizes, statistics=classifier.statistics)
    own = tuple(name for name in plan.views if name != LINEAR_VIEW)
    paper = features.Plan.build(found, sizes)
    wanted = {str(size): [paper.blocks[i] for i in paper.views[str(size)]] for size in sizes}
    plan = plan.with_views({name: [(b.layer, b.operation) for b in blocks] for name, blocks in wanted.items()})
    return plan.with_views({LAST_BLOCKS: last_blocks(found)}), own, tuple(sorted(wanted, key=int))


def last_blocks(layers: Sequence[features.Layer]) -> list[tuple[str, str]]:
    """The outputs of the last four blocks, and how they are pooled: the class token where there is one, else the mean.

    A block is what a number in a module's name counts (`blocks.11`, `layer4.2`); its last tap is its output. A network
    without such names gives its last taps.
    """
    outputs: dict[str, features.Layer] = {}
    spatial = [layer for layer in layers if layer.kind != "vector" and layer.selected]
    for layer in spatial:
        found = _BLOCK.match(layer.module)
        if found:
            outputs[found[1]] = layer  # in order of execution: the last one stays
    ordered = sorted(outputs.values(), key=[*layers].index)
    chosen = (ordered if len(ordered) >= _LAST else spatial or [*layers])[-_LAST:]
    return [(layer.name, linear_operation(layer)) for layer in chosen]


@contextmanager
def extracted(
    backbone: Backbone, images: Images, target_sizes: Sequence[int] | None = None, **options: Any
) -> Iterator[TrainingRows]:
    """Rows of the training images, in memory or in a temporary folder that is deleted at the end.

    Raises
    ------
    UnreadableImageError
        Methods can only be compared on the same images: each must be readable.
    """
    plan, own, paper = layout(backbone, target_sizes)
    with place_for(plan.bytes(len(images))) as store:
        start = time.perf_counter()
        found = features.extract(backbone, images, plan, store=store, strict=True, **options)
        seconds = time.perf_counter() - start
        total = costs(backbone, plan.layers).total
        yield TrainingRows(found.rows, plan, own, paper, seconds, total, found.dtype)
