"""Rows of real images: every layer of the shared ResNet-50, pooled to a target size of 8192."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.shared_data import read, spec

if TYPE_CHECKING:
    from head2toe.features import Plan

OF_CLASSES = {10: "cifar10", 102: "caltech101"}  # tasks by their number of classes
TARGET_SIZE = 8192
LARGEST = 200_000
_CHUNK = 4096


def classes_of(task: str) -> np.ndarray:
    """Names of a task's classes, sorted, from its training images alone."""
    return np.unique(np.asarray(read(task, "train").labels))


def extracted(
    task: str, store: Path | None, split: str = "train", columns: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, Plan]:
    """Rows float32 (n, d) of a task's images, class numbers int64 (n,) and what the columns are.

    The rows are a memmap in `store`, a new folder; or where it is None an array, of the `columns` alone.
    """
    from head2toe.backbones import load
    from head2toe.features import Plan, extract, layers

    data, backbone = read(task, split), load(spec("resnet50"))
    plan = Plan.build(layers(backbone), (TARGET_SIZE,))
    found = extract(backbone, data.images, plan, store=store, columns=columns)
    return found.rows, np.searchsorted(classes_of(task), np.asarray(data.labels)), plan


def standardised(c: int, d: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Columns of mean zero and variance one, float32 (n, d), in order, and the labels.

    200,000 columns that vary are drawn at random once and kept in `cache`; fewer are drawn from them.
    """
    files = cache / f"real_{LARGEST}_{c}_X.npy", cache / f"real_{LARGEST}_{c}_y.npy"
    if not files[1].is_file():
        with tempfile.TemporaryDirectory() as folder:
            rows, y, _ = extracted(OF_CLASSES[c], Path(folder) / "rows")
            np.save(files[0], _drawn(rows))
            np.save(files[1], y)
    X, y = (np.load(file) for file in files)
    if d < X.shape[1]:
        X = np.ascontiguousarray(X[:, np.sort(np.random.default_rng(1).choice(X.shape[1], d, replace=False))])
    return X, y


def _drawn(rows: np.ndarray) -> np.ndarray:
    spread = np.concatenate([rows[:, j : j + _CHUNK].std(axis=0) for j in range(0, rows.shape[1], _CHUNK)])
    varying = np.nonzero(spread > 1e-3 * np.median(spread))[0]
    chosen = np.sort(np.random.default_rng(0).choice(varying, LARGEST, replace=False))
    X = np.stack([row[chosen] for row in rows])
    X -= X.mean(axis=0)
    X /= X.std(axis=0)
    return X
