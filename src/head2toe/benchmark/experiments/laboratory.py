"""The laboratory: tasks and backbones, and the rows that each pair gives, extracted once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from head2toe import backbones, features
from head2toe.benchmark.before_training import check_classes
from head2toe.benchmark.experiments.settings import Settings
from head2toe.benchmark.tasks import Task
from head2toe.data import Images
from head2toe.data.views import picked
from head2toe.errors import OneClassError
from head2toe.estimators.frozen import columns_of
from head2toe.probes.columns import LINEAR_VIEW, Block, Columns
from head2toe.progress import silent


@dataclass(frozen=True)
class TaskRows:
    """The rows of one task.

    Attributes
    ----------
    task : str
    backbone : str
    columns : Columns
        Of `train` and `test`.
    train, test : float32 arrays (n, d), (m, d)
    y, y_test : int64 arrays (n,), (m,)
        Class numbers; -1 for a class that the training images do not have.
    images : Images
        The n training images.
    """

    task: str
    backbone: str
    columns: Columns
    train: np.ndarray
    test: np.ndarray
    y: np.ndarray
    y_test: np.ndarray
    images: Images

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1

    def restricted_to(self, views: Sequence[str]) -> TaskRows:
        """Only the columns of some views and of the linear one, in memory; several views also together, as "all"."""
        wanted = {LINEAR_VIEW: self.columns.views[LINEAR_VIEW], **{name: self.columns.views[name] for name in views}}
        numbers = sorted({number for view in wanted.values() for number in view})
        place = {number: i for i, number in enumerate(numbers)}
        blocks, start = [], 0
        for number in numbers:
            block = self.columns.blocks[number]
            blocks.append(Block(block.layer, block.operation, start, start + block.width))
            start += block.width
        columns = np.concatenate([np.arange(b.start, b.stop) for b in (self.columns.blocks[k] for k in numbers)])
        renamed = {name: tuple(place[number] for number in view) for name, view in wanted.items()}
        if len(views) > 1:
            renamed["all"] = tuple(sorted({number for name in views for number in renamed[name]}))
        return replace(
            self,
            columns=Columns(tuple(blocks), renamed),
            train=_columns(self.train, columns),
            test=_columns(self.test, columns),
        )

    def of_images(self, chosen: np.ndarray) -> TaskRows:
        """The same with some of the training images."""
        images = picked(self.images, chosen.tolist())
        return replace(self, train=self.train[chosen], y=self.y[chosen], images=images)

    def beside(self, other: TaskRows) -> TaskRows:
        """The rows of two backbones side by side."""
        d, count = self.train.shape[1], len(self.columns.blocks)
        moved = (Block(b.layer, b.operation, b.start + d, b.stop + d) for b in other.columns.blocks)
        views = {
            name: self.columns.views[name] + tuple(count + number for number in other.columns.views[name])
            for name in self.columns.views
        }
        return replace(
            self,
            backbone=f"{self.backbone} + {other.backbone}",
            columns=Columns((*self.columns.blocks, *moved), views),
            train=np.concatenate([self.train, other.train], axis=1),
            test=np.concatenate([self.test, other.test], axis=1),
        )


@dataclass
class Laboratory:
    """Tasks, backbones and settings, and the rows of each pair.

    Parameters
    ----------
    tasks
        With training and test images.
    specs
        Label of each backbone -> its specification; the first is the one that most experiments use.
    cache
        Where rows are kept.
    settings
    progress
        Told what is going on.
    backbone_options, run_options
        Options of `backbones.load`, and of `features.extract`.
    memory
        What several experiments need, computed once: see `once`. Laboratories made by `dataclasses.replace` have it in
        common, and
    skipped
        the images of a task's part, "train" or "test", that could not be read.
    formats
        The number format of each backbone's rows, by label: one for all of them.
    """

    tasks: Sequence[Task]
    specs: dict[str, str]
    cache: features.Cache
    settings: Settings = field(default_factory=Settings)
    progress: Callable[[str], None] = silent
    backbone_options: dict[str, Any] = field(default_factory=dict)
    run_options: dict[str, Any] = field(default_factory=dict)
    memory: dict[Hashable, Any] = field(default_factory=dict)
    skipped: dict[tuple[str, str], tuple[features.Skipped, ...]] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)

    @property
    def backbone(self) -> str:
        """Label of the first backbone."""
        return next(iter(self.specs))

    def once(self, key: tuple[Hashable, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for a key, these settings and these backbone options."""
        whole = (*key, self.settings, tuple(sorted(self.backbone_options.items())))
        if whole not in self.memory:
            self.memory[whole] = make()
        return self.memory[whole]

    def network(self, label: str) -> tuple[backbones.Backbone, features.Plan]:
        """A backbone and the plan of its rows."""
        return self.once(("network", label), lambda: self._load(label))

    def _load(self, label: str) -> tuple[backbones.Backbone, features.Plan]:
        backbone = backbones.load(self.specs[label], **self.backbone_options)
        return backbone, features.Plan.build(features.layers(backbone), self.settings.target_sizes)

    def at_training_size(self) -> Laboratory:
        """The first backbone alone, on images of `settings.side` pixels, as networks that are trained see them."""
        return replace(
            self,
            specs={self.backbone: self.specs[self.backbone]},
            settings=replace(self.settings, target_sizes=self.settings.target_sizes[:1]),
            backbone_options={**self.backbone_options, "image_size": self.settings.side},
        )

    def rows(self, task: Task, label: str | None = None) -> TaskRows:
        """The rows of a task; of the first backbone where no other is named.

        Raises
        ------
        OneClassError, MissingLabelError
        EmptyDataError, DataFormatError
            No test image can be read, or none is of a class of the training images.
        """
        label = label or self.backbone
        backbone, plan = self.network(label)
        found = {}
        for part in ("train", "test"):
            images = getattr(task, part).with_labels()
            self.progress(f"{task.name}, {label}: rows of {len(images)} {part} images")
            options = {"store": self.cache, "progress": False, **self.run_options}
            store = features.extract(backbone, images, plan, **options)
            if store.dtype != self.formats.setdefault(label, store.dtype):  # a cache keeps what other trials found
                store = features.extract(backbone, images, plan, **{**options, "dtype": self.formats[label]})
            found[part] = store.rows, np.array([images.labels[i] for i in store.kept]), store.kept.tolist()
            self.skipped[task.name, part] = store.skipped
        names, y = np.unique(found["train"][1], return_inverse=True)
        if len(names) < 2:
            raise OneClassError(f"{task.name}: all training labels are the same: two classes are needed")
        check_classes(names, found["test"][1], task.name)
        number = {name: i for i, name in enumerate(names)}
        y_test = np.array([number.get(name, -1) for name in found["test"][1]], np.int64)
        return TaskRows(
            task.name,
            label,
            columns_of(plan),
            found["train"][0],
            found["test"][0],
            y.astype(np.int64),
            y_test,
            picked(task.train, found["train"][2]),
        )


def _columns(X: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some columns of a memmap, copied in slabs of rows so that it is read in order."""
    out = np.empty((len(X), len(columns)), np.float32)
    for start in range(0, len(X), 64):
        out[start : start + 64] = X[start : start + 64][:, columns]
    return out
