"""How the cost of the search grows: with the number of features d at 102 classes, and of classes c at 50,000 features.

CPU-seconds of one thread on real rows (ResNet-50, target size 8192, the 1000 training images of Caltech101; its classes
merged to fewer), nothing given up early. The exponent is the slope between the ends of the logarithmic curve: 1 is
linear, 0 flat. `python -m benchmarks growth` runs what is missing (benchmarks/results/growth.json). The curves of a
group lasso are in `bench_group_lasso`.
"""

from __future__ import annotations

import math
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks import records
from benchmarks.real_rows import standardised
from benchmarks.shared_data import no_shared_data
from benchmarks.tables import show

NAME = "growth"
FEATURES = (12_500, 25_000, 50_000, 100_000, 200_000)
CLASSES = (2, 10, 30, 102)
MOST_CLASSES, SOME_FEATURES, GROUPS = 102, 50_000, 50


def search_seconds(X: np.ndarray, y: np.ndarray) -> float:
    """Of the whole search over `GROUPS` blocks."""
    from head2toe.probes import SearchSettings, search
    from head2toe.probes.columns import Columns

    edges = np.linspace(0, X.shape[1], GROUPS + 1).astype(int).tolist()
    columns = Columns.plain(X.shape[1], list(pairwise(edges)))
    start = time.process_time()
    search(X, y, columns, settings=SearchSettings(patience=math.inf))
    return time.process_time() - start


def one_thread_seconds(size: str, folder: Path) -> float:
    """Of the search on real rows of a size, "features, classes"."""
    d, c = map(int, size.split(", "))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    X, y = standardised(MOST_CLASSES, d, folder)
    seconds = search_seconds(X, y % c)
    torch.set_num_threads(threads)
    return seconds


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of the logarithms between the first size and the last."""
    return float(np.log(seconds[-1] / seconds[0]) / np.log(sizes[-1] / sizes[0]))


def main() -> None:
    """Measure what is missing and print."""
    if no_shared_data(NAME):
        return
    sizes = [f"{d}, {MOST_CLASSES}" for d in FEATURES] + [f"{SOME_FEATURES}, {c}" for c in CLASSES]
    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        print_tables(records.fill(NAME, sizes, lambda size: one_thread_seconds(size, Path(folder))))


def print_tables(record: dict[str, float]) -> None:
    """Both curves and their exponents."""
    curves = {
        f"features, {MOST_CLASSES} classes": {d: record[f"{d}, {MOST_CLASSES}"] for d in FEATURES},
        f"classes, {SOME_FEATURES:,} features": {c: record[f"{SOME_FEATURES}, {c}"] for c in CLASSES},
    }
    for title, curve in curves.items():
        sizes, seconds = list(curve), list(curve.values())
        measured = (*(f"{value:.1f}" for value in seconds), f"{exponent(sizes, seconds):.2f}")
        print()
        show([(title, *(f"{size:,}" for size in sizes), "exponent"), ("CPU-seconds", *measured)])


if __name__ == "__main__":
    main()
