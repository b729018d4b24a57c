"""The whole search beside the extraction of its rows, 1000 images, both in one run.

With a ResNet-50 for the default columns and for the paper's three target sizes; with the other backbones for the
default columns. Also the peak memory of a fit, beside the size of the feature matrix.

`python -m benchmarks.bench_search [TASK ...]` (benchmarks/results/search.json). Run it on a quiet machine: both use
all cores.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.shared_data import no_shared_data, read, resident, spec
from benchmarks.tables import show

NAME = "search"
RESNET, OTHERS = "resnet50", ("embedded", "mobilenetv2_100", "vit_tiny_patch16_224")
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
}


def run(task: str, backbone: str, columns: str) -> dict[str, Any]:
    """Seconds of both halves, and memory of the search in a process of its own."""
    from head2toe import AllLayerFeatures, Head2ToeClassifier

    train = read(task, "train")
    own = Head2ToeClassifier()
    wanted = {"target_sizes": own.target_sizes, "statistics": own.statistics, **COLUMNS[columns]}
    pooled = AllLayerFeatures(spec(backbone), cache=False, **wanted).fit()
    start = time.perf_counter()
    X = pooled.transform(train.images)
    extraction = time.perf_counter() - start
    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        np.save(Path(folder) / "rows.npy", X)
        np.save(Path(folder) / "labels.npy", np.asarray(train.labels))
        matrix = X.nbytes
        del X
        command = [sys.executable, "-m", "benchmarks.bench_search", "--fit", folder, backbone, columns]
        spent = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    seconds, peak, before = (float(value) for value in spent)
    return {
        "columns": matrix // (4 * len(train.labels)),
        "extraction_seconds": extraction,
        "search_seconds": seconds,
        "search_over_extraction": seconds / extraction,
        "matrix_bytes": matrix,
        "peak_over_matrix": (peak - before) / matrix,
    }


def fit(folder: str, backbone: str, columns: str) -> None:
    """Search over the rows of a folder; print seconds, peak memory and memory before, bytes."""
    from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier
    from head2toe.backbones import load
    from head2toe.estimators.head_size import most_features

    own = Head2ToeClassifier()
    wanted = {"target_sizes": own.target_sizes, "statistics": own.statistics, **COLUMNS[columns]}
    layout = AllLayerFeatures(spec(backbone), cache=False, **wanted).fit().columns_
    X = np.load(Path(folder) / "rows.npy", mmap_mode="r")
    y = np.load(Path(folder) / "labels.npy")
    most = most_features(own.head_size, load(spec(backbone)).body_bytes, len(np.unique(y)))
    before = resident("VmRSS")
    start = time.perf_counter()
    FeatureProbe(layout, most_features=most).fit(X, y)
    print(time.perf_counter() - start, resident("VmHWM"), before)


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
