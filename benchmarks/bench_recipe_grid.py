"""What more of the official grid would give the published recipe, beside the part that the paper's table has.

Embedded backbone, three tasks; 800 of the 1000 training images are learned from and 200 tell the accuracy: no test
image is looked at. The table's grid is 500 steps, five fractions and the smallest target size; more of it are 18
fractions from 0.0005 to 1, 5000 steps, and 500 steps at target sizes of 2048 (the paper's) and of 8192 (the second of
the official grid). Each figure is that of the best of its candidates on the 200 images, and so the higher by luck, the
more there are. Head2Toe's own search learns from the same 800, and chooses by cross-validation among them.

`python -m benchmarks.bench_recipe_grid [TASK ...]` runs what is missing (benchmarks/results/recipe_grid.json).
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.shared_data import no_shared_data, read, spec
from benchmarks.tables import show

NAME = "recipe_grid"
CHOSEN = ("orientation", "nuclei_count", "cifar10")
FRACTIONS = tuple(float(share) for share in np.geomspace(0.0005, 1, 18))
SMALL, MIDDLE, LARGE = "512", "2048", "8192"
OURS, SECOND = "head2toe", f"N = {LARGE}"
PARTS = {  # more of the grid, step by step: target size, steps, and fractions
    "as in the table": (SMALL, 500, None),
    "18 fractions": (SMALL, 500, FRACTIONS),
    "5000 steps": (SMALL, 5000, FRACTIONS),
    "N = 2048": (MIDDLE, 500, FRACTIONS),
    SECOND: (LARGE, 500, FRACTIONS),
}
ALL = (*PARTS, OURS)
OFFICIAL = ("18 fractions", "5000 steps", SECOND)  # what the official grid has too


def run_task(task: str) -> None:
    """Run what the record of a task lacks; each part is kept as soon as it is there."""
    from head2toe import AllLayerFeatures, Head2ToeClassifier
    from head2toe.probes.folds import stratified_folds

    missing = [part for part in ALL if part not in records.read(NAME).get(task, {})]
    if not missing:
        return
    data, statistics = read(task, "train"), Head2ToeClassifier().statistics
    sizes = {SMALL, *(PARTS[part][0] for part in missing if part in PARTS)}
    pooled = AllLayerFeatures(
        spec("embedded"), target_sizes=sorted(map(int, sizes)), statistics=statistics, cache=False
    )
    X = pooled.fit_transform(data.images)
    _, y = np.unique(np.asarray(data.labels), return_inverse=True)
    split = stratified_folds(y, 5, repeats=1, random_state=0)[0]
    for part in missing:
        rows = X, y, pooled.columns_, split
        found = run_ours(*rows) if part == OURS else run_recipe(part, *rows)
        records.add(NAME, task, {**records.read(NAME).get(task, {}), part: found})
        print(f"   {task}, {part}: {100 * found['accuracy']:.1f}", flush=True)


def run_recipe(part: str, X: np.ndarray, y: np.ndarray, columns: Any, split: Any) -> dict[str, Any]:
    """The best held-out accuracy of a part of the grid, its recipe, and CPU-seconds."""
    from head2toe.probes.recipe_search import RecipeGrid, recipe_search

    size, steps, fractions = PARTS[part]
    grid = RecipeGrid(views=(size,), steps=(steps,), fractions=fractions or RecipeGrid.fractions)
    start = time.process_time()
    best = recipe_search(X, y, columns, (split,), grid=grid).choice
    return {"accuracy": best["cv_accuracy"], "recipe": best, "seconds": time.process_time() - start}


def run_ours(X: np.ndarray, y: np.ndarray, columns: Any, split: Any) -> dict[str, Any]:
    """Held-out accuracy of what Head2Toe chooses among the default columns, and CPU-seconds."""
    from head2toe import FeatureProbe, Head2ToeClassifier
    from head2toe.backbones import load
    from head2toe.estimators.head_size import most_features

    views = {name: columns.views[name] for name in ("linear", SMALL, "statistics")}
    most = most_features(Head2ToeClassifier().head_size, load(spec("embedded")).body_bytes, len(np.unique(y)))
    start = time.process_time()
    probe = FeatureProbe(replace(columns, views=views), most_features=most).fit(X[split.train], y[split.train])
    accuracy = probe.score(X[split.held_out], y[split.held_out])
    return {"accuracy": accuracy, "seconds": time.process_time() - start}


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    for task in () if no_shared_data(NAME, "only the records are printed") else tasks or CHOSEN:
        run_task(task)
    found = records.read(NAME)
    if found:
        show([("", *found, "mean", "CPU-seconds"), *(_line(part, found) for part in ALL)])


def _line(part: str, found: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Accuracies of a part by task, and means where it was run."""
    there = {task: parts[part] for task, parts in found.items() if part in parts}
    accuracy, seconds = ([row[name] for row in there.values()] for name in ("accuracy", "seconds"))
    each = (f"{100 * there[task]['accuracy']:.1f}" if task in there else "-" for task in found)
    return part, *each, f"{100 * np.mean(accuracy):.1f}" if there else "-", f"{np.mean(seconds):,.0f}" if there else "-"


if __name__ == "__main__":
    main(sys.argv[1:])
