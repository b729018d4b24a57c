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
from benchmarks.shared_data import no_shared_data, read
from benchmarks.tables import show

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
    keys = () if no_shared_data(NAME, "only the records are printed") else tasks or CHOSEN
    shown, gains, single = [("task", "a class", "linear", "head2toe", "gain", "estimate")], [], []
    for task, draws in records.fill(NAME, keys, run_task).items():
        for count in PER_CLASS:
            rows = [row for row in draws.values() if row["per_class"] == count]
            linear, ours, estimate = (np.mean([row[k] for row in rows]) for k in ("linear", "head2toe", "estimate"))
            gains.append(ours - linear)
            single += [row["head2toe"] - row["linear"] for row in rows]
            shown.append((task, count, f"{linear:.1f}", f"{ours:.1f}", f"{ours - linear:+.1f}", f"{estimate:.1f}"))
    show(shown)
    if gains:
        print(f"mean gain {np.mean(gains):+.1f}, least {min(gains):+.1f}; of single draws {min(single):+.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
