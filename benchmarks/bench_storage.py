"""Rows stored in float16 against float32: cross-validated accuracy of the whole search, embedded backbone.

`python -m benchmarks.bench_storage [TASK ...]` (benchmarks/results/storage.json). Training images alone: no test image
is looked at. Needs the folder `shared` beside the checkout.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.shared_data import SHARED, read

NAME = "storage"
CHOSEN = ("location", "signdigits")


def run_task(task: str) -> dict[str, Any]:
    """Accuracies (per cent) of both, and of all candidates that both judged the mean and the largest change."""
    from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier

    data = read(task, "train")
    own = Head2ToeClassifier()
    pooled = AllLayerFeatures(target_sizes=own.target_sizes, statistics=own.statistics, cache=False).fit()
    X, y = pooled.transform(data.images), np.asarray(data.labels)
    limits = float(np.finfo(np.float16).max)
    halves = np.clip(X, -limits, limits).astype(np.float16).astype(np.float32)
    probes = {name: FeatureProbe(pooled.columns_).fit(rows, y) for name, rows in (("float32", X), ("float16", halves))}
    full, half = (
        {(r["view"], r["layer_weights"], r["fraction"], r["head"]): r["cv_accuracy"] for r in p.search_table_}
        for p in probes.values()
    )
    changes = [100 * (half[key] - full[key]) for key in full if key in half]
    return {
        **{name: 100 * probe.cv_accuracy_ for name, probe in probes.items()},
        "mean_change": float(np.mean(changes)),
        "largest_change": float(np.abs(changes).max()),
        "candidates": len(changes),
        "largest_feature": float(np.abs(X).max()),
    }


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    if not SHARED.is_dir():
        print("bench_storage: no folder 'shared' beside the checkout, nothing to run")
        return
    for task in tasks or CHOSEN:
        if task not in records.read(NAME):
            records.add(NAME, task, run_task(task))
    print(f"{'':14}{'float32':>9}{'float16':>9}{'mean change':>13}{'largest change':>16}{'candidates':>12}")
    for task, row in records.read(NAME).items():
        print(
            f"{task:14}{row['float32']:9.1f}{row['float16']:9.1f}{row['mean_change']:+13.2f}"
            f"{row['largest_change']:16.2f}{row['candidates']:12}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
