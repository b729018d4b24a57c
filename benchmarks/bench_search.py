"""The whole search beside the extraction of its rows, 1000 images, both in one run.

With a ResNet-50 for the default columns and for the paper's three target sizes; with the other backbones for the
default columns. Seconds are medians of three with the ResNet-50, those of one run with the others. Also what a fit
takes of memory at its peak, in sizes of the feature matrix: where that is a memmap, and where it is an array in memory,
beside that array.

`python -m benchmarks.bench_search [TASK ...]` (benchmarks/results/search.json). Run it on a quiet machine: both use
all cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.shared_data import no_shared_data, read, resident, spec
from benchmarks.tables import show

NAME = "search"
RESNET, OTHERS = "resnet50", ("embedded", "mobilenetv2_100", "vit_tiny_patch16_224")
REPEATS = {RESNET: 3, **dict.fromkeys(OTHERS, 1)}
BY_RESNET, BY_OTHERS = ("location", "signdigits"), ("signdigits", "caltech101")  # tasks
COLUMNS: dict[str, dict[str, Any]] = {
    "default": {},
    "512, 2048, 8192": {"target_sizes": (512, 2048, 8192), "statistics": ()},
}
RUNS = {  # task, backbone and columns
    **{f"{task}, {columns}": (task, RESNET, columns) for task in BY_RESNET for columns in COLUMNS},
    **{f"{task}, {backbone}": (task, backbone, "default") for backbone in OTHERS for task in BY_OTHERS},
}
FIGURES = {  # of a record, and how they are printed
    "columns": ("d", ","),
    "extraction_seconds": ("extract s", ".1f"),
    "search_seconds": ("search s", ".1f"),
    "search_over_extraction": ("ratio", ".2f"),
    "peak_over_matrix": ("peak / matrix", ".2f"),
    "peak_over_matrix_held": ("in memory", ".2f"),
}


def run(task: str, backbone: str, columns: str) -> dict[str, Any]:
    """Seconds of both halves, medians, and memory of the search in a process of its own."""
    from head2toe import AllLayerFeatures

    train = read(task, "train")
    pooled = AllLayerFeatures(spec(backbone), cache=False, **wanted(columns)).fit()
    extractions, fits = [], []
    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        np.save(Path(folder) / "labels.npy", np.asarray(train.labels))
        for _ in range(REPEATS[backbone]):
            start = time.perf_counter()
            X = pooled.transform(train.images)
            extractions.append(time.perf_counter() - start)
            np.save(Path(folder) / "rows.npy", X)
            matrix = X.nbytes
            del X
            fits.append(fitted(folder, backbone, columns, "mapped"))
        held = fitted(folder, backbone, columns, "held")
    extraction, search = median(extractions), median(fit["seconds"] for fit in fits)
    return {
        "columns": matrix // (4 * len(train.labels)),
        "extraction_seconds": extraction,
        "search_seconds": search,
        "search_over_extraction": search / extraction,
        "matrix_bytes": matrix,
        "peak_over_matrix": max(fit["peak"] - fit["before"] for fit in fits) / matrix,
        "peak_over_matrix_held": (held["peak"] - held["before"]) / matrix,
    }


def wanted(columns: str) -> dict[str, Any]:
    """Parameters of the pooling: the classifier's own, but for what the name of the columns changes."""
    from head2toe import Head2ToeClassifier

    own = Head2ToeClassifier()
    return {"target_sizes": own.target_sizes, "statistics": own.statistics, **COLUMNS[columns]}


def fitted(*arguments: str) -> dict[str, float]:
    """What `fit` prints, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_search", "--fit", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def fit(folder: str, backbone: str, columns: str, rows: str) -> None:
    """Search over the rows of a folder; print seconds, peak memory and memory before, bytes.

    Parameters
    ----------
    rows : "mapped" or "held"
        A memmap, or an array in memory, which is there before.
    """
    from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier
    from head2toe.backbones import load
    from head2toe.estimators.head_size import most_features

    layout = AllLayerFeatures(spec(backbone), cache=False, **wanted(columns)).fit().columns_
    X = np.load(Path(folder) / "rows.npy", mmap_mode="r" if rows == "mapped" else None)
    y = np.load(Path(folder) / "labels.npy")
    most = most_features(Head2ToeClassifier().head_size, load(spec(backbone)).body_bytes, len(np.unique(y)))
    before = resident("VmRSS")
    start = time.perf_counter()
    FeatureProbe(layout, most_features=most).fit(X, y)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": resident("VmHWM"), "before": before}))


def main(tasks: list[str] | None = None) -> None:
    """Measure and print."""
    if no_shared_data(NAME):
        return
    keys = [key for key, (task, *_) in RUNS.items() if not tasks or task in tasks]
    found = records.fill(NAME, keys, lambda key: run(*RUNS[key]))
    figures = [[format(row[name], how) for name, (_, how) in FIGURES.items()] for row in found.values()]
    titles = (title for title, _ in FIGURES.values())
    show([("", *titles), *((key, *row) for key, row in zip(found, figures, strict=True))])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fit"]:
        fit(*sys.argv[2:])
    else:
        main(sys.argv[1:])
