"""Few images: Head2Toe beside the linear probe with 5, 10 and 20 training images a class.

Embedded backbone, four of the shared tasks, three draws of the training images; the search is the classifier's own, the
test images are the task's. `python -m benchmarks.bench_few_images [TASK ...]` runs what is missing and prints the table
(benchmarks/results/few_images.json).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.shared_data import SHARED, read

NAME = "few_images"
CHOSEN = ("cifar10", "signdigits", "nuclei_count", "rsscn7")
PER_CLASS, SEEDS = (5, 10, 20), (0, 1, 2)


@dataclass(frozen=True)
class Data:
    """Rows and labels of a task's training and test images, and what the classifier's own search is told of them."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    search: dict[str, Any]


def extracted(task: str) -> Data:
    """The embedded backbone's default columns; one extraction."""
    from head2toe import AllLayerFeatures, Head2ToeClassifier
    from head2toe.backbones import load
    from head2toe.estimators.head_size import most_features

    train, test = (read(task, split) for split in ("train", "test"))
    defaults = Head2ToeClassifier()
    pooled = AllLayerFeatures(target_sizes=defaults.target_sizes, statistics=defaults.statistics, cache=False).fit()
    X, X_test = pooled.transform(train.images), pooled.transform(test.images)
    y, y_test = np.asarray(train.labels), np.asarray(test.labels)
    most = most_features(defaults.head_size, load("embedded").body_bytes, len(np.unique(y)))
    return Data(X, y, X_test, y_test, {"columns": pooled.columns_, "most_features": most})


def run_task(task: str) -> dict[str, Any]:
    """Accuracies (per cent) of all draws: one extraction, and a search a draw."""
    from head2toe import FeatureProbe

    data = extracted(task)
    found: dict[str, Any] = {}
    for count in PER_CLASS:
        for seed in SEEDS:
            rows = drawn(data.y, count, seed)
            start = time.perf_counter()
            probe = FeatureProbe(**data.search).fit(data.X[rows], data.y[rows])
            found[f"{count} a class, seed {seed}"] = {
                "per_class": count,
                "linear": 100 * probe.linear_score(data.X_test, data.y_test),
                "head2toe": 100 * probe.score(data.X_test, data.y_test),
                "estimate": 100 * probe.estimated_accuracy_,
                "choice": probe.choice_,
                "fit_seconds": time.perf_counter() - start,
            }
    return found


def drawn(y: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Row numbers of `count` images of every class that has as many, all of the others."""
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(y == label))[:count] for label in np.unique(y)]))


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    if not SHARED.is_dir():
        print("bench_few_images: no folder 'shared' beside the checkout, only the records are printed")
    for task in tasks or CHOSEN:
        if SHARED.is_dir() and task not in records.read(NAME):
            records.add(NAME, task, run_task(task))
    print(f"{'task':16}{'a class':>8}{'linear':>9}{'head2toe':>10}{'gain':>7}{'estimate':>10}")
    gains, single = [], []
    for task, draws in records.read(NAME).items():
        for count in PER_CLASS:
            rows = [row for row in draws.values() if row["per_class"] == count]
            linear, ours, estimate = (np.mean([row[k] for row in rows]) for k in ("linear", "head2toe", "estimate"))
            gains.append(ours - linear)
            single += [row["head2toe"] - row["linear"] for row in rows]
            print(f"{task:16}{count:8}{linear:9.1f}{ours:10.1f}{ours - linear:+7.1f}{estimate:10.1f}")
    print(f"mean gain {np.mean(gains):+.1f}, least {min(gains):+.1f}; of single draws {min(single):+.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
