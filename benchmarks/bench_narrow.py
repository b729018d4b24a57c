"""Tables of few columns: the search's eigendecompositions in the range of the features, or of whole kernels.

Both in one run, on made-up rows (classes around random means); `python -m benchmarks narrow` runs what is missing
(benchmarks/results/narrow.json). Run it on a quiet machine: both use all cores.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks import records

NAME = "narrow"
SIZES = ((1500, 5), (3000, 30))  # rows and columns
CLASSES = 3


def measured(n: int, d: int) -> dict[str, Any]:
    """Seconds of both ways, and what each expects of new rows."""
    from head2toe.probes import kernels

    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, n)
    X = (rng.normal(size=(n, d)) + rng.normal(size=(CLASSES, d))[y]).astype(np.float32)
    shares = {"range": kernels._LOW_RANK, "whole": 0.0}  # noqa: SLF001 - of the rows: below it the range is enough
    found = {}
    try:
        for way, kernels._LOW_RANK in shares.items():  # noqa: SLF001
            found[way] = _fit(X, y)
    finally:
        kernels._LOW_RANK = shares["range"]  # noqa: SLF001
    return found


def _fit(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    from head2toe import FeatureProbe

    start = time.perf_counter()
    probe = FeatureProbe().fit(X, y)
    return {"seconds": time.perf_counter() - start, "estimated_accuracy": probe.estimated_accuracy_}


def main() -> None:
    """Measure what is missing and print."""
    for n, d in SIZES:
        if f"{n}, {d}" not in records.read(NAME):
            records.add(NAME, f"{n}, {d}", measured(n, d))
    print(f"{'rows, columns':16}{'range s':>10}{'whole s':>10}{'ratio':>8}{'estimates':>20}")
    for size, found in records.read(NAME).items():
        small, whole = found["range"], found["whole"]
        estimates = f"{100 * small['estimated_accuracy']:.1f} {100 * whole['estimated_accuracy']:.1f}"
        seconds = f"{small['seconds']:10.1f}{whole['seconds']:10.1f}{whole['seconds'] / small['seconds']:8.1f}"
        print(f"{size:16}{seconds}{estimates:>20}")


if __name__ == "__main__":
    main()
