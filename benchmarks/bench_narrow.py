"""Tables of few columns: the search's eigendecompositions in the range of the features, or of whole kernels.

Both in one run, on made-up rows (classes around random means); `python -m benchmarks narrow` runs what is missing
(benchmarks/results/narrow.json). Run it on a quiet machine: both use all cores.
"""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks import records
from benchmarks.tables import show

NAME = "narrow"
SIZES = ("1500, 5", "3000, 30")  # rows and columns
CLASSES = 3


def measured(size: str) -> dict[str, Any]:
    """Seconds of both ways, and what each expects of new rows."""
    from head2toe.probes import kernels

    n, d = map(int, size.split(", "))
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, n)
    X = (rng.normal(size=(n, d)) + rng.normal(size=(CLASSES, d))[y]).astype(np.float32)
    shares = {"range": kernels._LOW_RANK, "whole": 0.0}  # noqa: SLF001 - of the rows: below it the range is enough
    found = {}
    for way, share in shares.items():
        with patch.object(kernels, "_LOW_RANK", share):
            found[way] = _fit(X, y)
    return found


def _fit(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    from head2toe import FeatureProbe

    start = time.perf_counter()
    probe = FeatureProbe().fit(X, y)
    return {"seconds": time.perf_counter() - start, "estimated_accuracy": probe.estimated_accuracy_}


def main() -> None:
    """Measure what is missing and print."""
    shown = [("rows, columns", "range s", "whole s", "ratio", "estimates")]
    for size, found in records.fill(NAME, SIZES, measured).items():
        small, whole = found["range"], found["whole"]
        seconds = small["seconds"], whole["seconds"], whole["seconds"] / small["seconds"]
        estimates = f"{100 * small['estimated_accuracy']:.1f} {100 * whole['estimated_accuracy']:.1f}"
        shown.append((size, *(f"{value:.1f}" for value in seconds), estimates))
    show(shown)


if __name__ == "__main__":
    main()
