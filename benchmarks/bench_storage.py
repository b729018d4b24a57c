"""Rows stored in float16 against float32: cross-validated accuracy of the whole search, embedded backbone.

`python -m benchmarks.bench_storage [TASK ...]` (benchmarks/results/storage.json). Training images alone: no test image
is looked at. Needs the folder `shared` beside the checkout.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.shared_data import no_shared_data, read
from benchmarks.tables import show

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
    if no_shared_data(NAME):
        return
    shown = [("", "float32", "float16", "mean change", "largest change", "candidates")]
    for task, row in records.fill(NAME, tasks or CHOSEN, run_task).items():
        changes = f"{row['mean_change']:+.2f}", f"{row['largest_change']:.2f}"
        shown.append((task, f"{row['float32']:.1f}", f"{row['float16']:.1f}", *changes, row["candidates"]))
    show(shown)


if __name__ == "__main__":
    main(sys.argv[1:])
