"""How the cost of the search grows: with the number of features d at 102 classes, and of classes c at 50,000 features.

CPU-seconds of one thread on real rows (ResNet-50, target size 8192, the 1000 training images of Caltech101; its classes
merged to fewer), nothing given up early. A profile tells how much of them is spent on rows and kernels, which are
n x d and n x n, and how much on the heads of c classes, their judgement and the coefficients that are kept (n x c and
d x c): by the file whose lines took the time, or called the library that took it. The exponent is the slope between the
ends of the logarithmic curve: 1 is linear, 0 flat. `python -m benchmarks growth` runs what is missing
(benchmarks/results/growth.json). The curves of a group lasso are in `bench_group_lasso`.
"""

from __future__ import annotations

import cProfile
import math
import pstats
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import head2toe
from benchmarks import records
from benchmarks.real_rows import standardised
from benchmarks.shared_data import no_shared_data
from benchmarks.tables import show

NAME = "growth"
FEATURES = (12_500, 25_000, 50_000, 100_000, 200_000)
CLASSES = (2, 10, 30, 102)
MOST_CLASSES, SOME_FEATURES, GROUPS = 102, 50_000, 50
KERNELS = (  # files of the probes' room that know no class but as a column of a product
    "columns",
    "gram_bank",
    "grams",
    "kept_grams",
    "kernels",
    "layer_weights",
    "memory",
    "ranking",
    "scores",
    "scratch",
    "selector",
    "standardised",
)
PARTS = {"whole": "seconds", "rows and kernels": "kernels", "heads": "heads"}  # how they are printed, and in the record


def search_seconds(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """CPU-seconds of the whole search over `GROUPS` blocks, and of its parts."""
    from head2toe.probes import SearchSettings, search
    from head2toe.probes.columns import Columns

    edges = np.linspace(0, X.shape[1], GROUPS + 1).astype(int).tolist()
    columns = Columns.plain(X.shape[1], list(pairwise(edges)))
    profile = cProfile.Profile(time.process_time)
    profile.runcall(search, X, y, columns, settings=SearchSettings(patience=math.inf))
    seconds = spent(profile)
    whole, kernels = sum(seconds.values()), sum(seconds.get(name, 0.0) for name in KERNELS)
    return {"seconds": whole, "kernels": kernels, "heads": whole - kernels}


def spent(profile: cProfile.Profile) -> dict[str, float]:
    """Seconds by file, those of libraries by the file that called them."""
    found: dict[str, float] = {}
    own_code = str(Path(head2toe.__file__).parent)
    stats: Any = pstats.Stats(profile)
    for (file, *_), (*_, own, _, callers) in stats.stats.items():
        mine = (
            [(file, own)] if file.startswith(own_code) else [(name, times[2]) for (name, *_), times in callers.items()]
        )
        for name, seconds in mine:
            found[Path(name).stem] = found.get(Path(name).stem, 0.0) + seconds
    return found


def one_thread_seconds(size: str, folder: Path) -> dict[str, float]:
    """Of the search on real rows of a size, "features, classes"."""
    d, c = map(int, size.split(", "))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    X, y = standardised(MOST_CLASSES, d, folder)
    found = search_seconds(X, y % c)
    torch.set_num_threads(threads)
    return found


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


def print_tables(record: dict[str, dict[str, float]]) -> None:
    """Both curves, whole and in parts, and their exponents."""
    curves = {
        f"features, {MOST_CLASSES} classes": {d: record[f"{d}, {MOST_CLASSES}"] for d in FEATURES},
        f"classes, {SOME_FEATURES:,} features": {c: record[f"{SOME_FEATURES}, {c}"] for c in CLASSES},
    }
    for title, curve in curves.items():
        sizes = list(curve)
        print()
        show([(title, *(f"{size:,}" for size in sizes), "exponent"), *(_row(part, sizes, curve) for part in PARTS)])


def _row(part: str, sizes: list[int], curve: dict[int, dict[str, float]]) -> tuple[str, ...]:
    seconds = [curve[size][PARTS[part]] for size in sizes]
    return part, *(f"{value:.1f}" for value in seconds), f"{exponent(sizes, seconds):.2f}"


if __name__ == "__main__":
    main()
