"""Unlabelled images: the search with 5, 10 and 20 labelled images a class, alone and with the other training images.

The tasks, draws and backbone of `bench_few_images`; the training images that were not drawn are given without their
labels, and the test images are the task's. `python -m benchmarks.bench_unlabelled [TASK ...]` runs what is missing and
prints the table (benchmarks/results/unlabelled.json).
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.bench_few_images import CHOSEN, PER_CLASS, SEEDS, drawn, extracted
from benchmarks.shared_data import no_shared_data
from benchmarks.tables import show

NAME = "unlabelled"


def run_task(task: str) -> dict[str, Any]:
    """Accuracies (per cent) of all draws: one extraction, and two searches a draw."""
    from head2toe import FeatureProbe

    data = extracted(task)
    found: dict[str, Any] = {}
    for count in PER_CLASS:
        for seed in SEEDS:
            rows = drawn(data.y, count, seed)
            others = data.X[np.setdiff1d(np.arange(len(data.y)), rows)]
            row: dict[str, Any] = {"per_class": count, "unlabelled_images": len(others)}
            for name, more in (("head2toe", None), ("unlabelled", others)):
                start = time.perf_counter()
                probe = FeatureProbe(**data.search).fit(data.X[rows], data.y[rows], unlabelled=more)
                row["linear"] = 100 * probe.linear_score(data.X_test, data.y_test)
                row[name] = 100 * probe.score(data.X_test, data.y_test)
                row[f"{name}_estimate"] = 100 * probe.estimated_accuracy_
                row[f"{name}_choice"] = probe.choice_
                row[f"{name}_seconds"] = time.perf_counter() - start
            found[f"{count} a class, seed {seed}"] = row
    return found


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    keys = () if no_shared_data(NAME, "only the records are printed") else tasks or CHOSEN
    shown = [("task", "a class", "linear", "head2toe", "unlabelled", "gain", "over linear")]
    gains, over, single = [], [], []
    for task, draws in records.fill(NAME, keys, run_task).items():
        for count in PER_CLASS:
            rows = [row for row in draws.values() if row["per_class"] == count]
            linear, alone, more = (np.mean([row[k] for row in rows]) for k in ("linear", "head2toe", "unlabelled"))
            gains.append(more - alone)
            over.append(more - linear)
            single += [row["unlabelled"] - row["head2toe"] for row in rows]
            accuracies = (f"{accuracy:.1f}" for accuracy in (linear, alone, more))
            shown.append((task, count, *accuracies, f"{gains[-1]:+.1f}", f"{over[-1]:+.1f}"))
    show(shown)
    if gains:
        print(
            f"gain: mean {np.mean(gains):+.1f}, from {min(gains):+.1f} to {max(gains):+.1f}, of single draws from "
            f"{min(single):+.1f} to {max(single):+.1f}; over the linear probe: least {min(over):+.1f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
