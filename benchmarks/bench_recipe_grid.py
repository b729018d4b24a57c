"""What more of the official grid would give the published recipe, beside the part that the paper's table has.

Embedded backbone, three tasks; 800 of the 1000 training images are learned from and 200 tell the accuracy: no test
image is looked at. The table's grid is 500 steps, five fractions and the smallest target size; more of it are 18
fractions from 0.0005 to 1, 5000 steps, and 500 steps at the next target size. Each figure is that of the best of its
candidates on the 200 images, and so the higher by luck, the more there are. Head2Toe's own search learns from the same
800, and chooses by cross-validation among them.

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
SMALL, LARGE = "512", "2048"
PARTS = {  # more of the grid, step by step: target size, steps, and fractions
    "as in the table": (SMALL, 500, None),
    "18 fractions": (SMALL, 500, FRACTIONS),
    "5000 steps": (SMALL, 5000, FRACTIONS),
    "N = 2048": (LARGE, 500, FRACTIONS),
}


def run_task(task: str) -> dict[str, Any]:
    """The best held-out accuracy of each part of the grid, its recipe, and its seconds; and that of Head2Toe."""
    from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier
    from head2toe.backbones import load
    from head2toe.estimators.head_size import most_features
    from head2toe.probes.folds import stratified_folds
    from head2toe.probes.recipe_search import RecipeGrid, recipe_search

    data, own = read(task, "train"), Head2ToeClassifier()
    sizes = (int(SMALL), int(LARGE))
    pooled = AllLayerFeatures(spec("embedded"), target_sizes=sizes, statistics=own.statistics, cache=False)
    X = pooled.fit_transform(data.images)
    _, y = np.unique(np.asarray(data.labels), return_inverse=True)
    split = stratified_folds(y, 5, repeats=1, random_state=0)[0]
    found: dict[str, Any] = {}
    for part, (size, steps, fractions) in PARTS.items():
        grid = RecipeGrid(views=(size,), steps=(steps,), fractions=fractions or RecipeGrid.fractions)
        start = time.process_time()
        best = recipe_search(X, y, pooled.columns_, (split,), grid=grid).choice
        found[part] = {"accuracy": best["cv_accuracy"], "recipe": best, "seconds": time.process_time() - start}
        print(f"   {task}, {part}: {100 * best['cv_accuracy']:.1f}", flush=True)
    views = {name: pooled.columns_.views[name] for name in ("linear", SMALL, "statistics")}
    columns = replace(pooled.columns_, views=views)
    most = most_features(own.head_size, load(spec("embedded")).body_bytes, len(np.unique(y)))
    start = time.process_time()
    probe = FeatureProbe(columns, most_features=most).fit(X[split.train], y[split.train])
    accuracy = probe.score(X[split.held_out], y[split.held_out])
    return {**found, "head2toe": {"accuracy": accuracy, "seconds": time.process_time() - start}}


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    keys = () if no_shared_data(NAME, "only the records are printed") else tasks or CHOSEN
    found = records.fill(NAME, keys, run_task)
    rows = [(part, *(record[part] for record in found.values())) for part in (*PARTS, "head2toe")]
    show(
        [
            ("", *found, "mean", "CPU-seconds"),
            *(
                (
                    part,
                    *(f"{100 * row['accuracy']:.1f}" for row in of_tasks),
                    f"{100 * np.mean([row['accuracy'] for row in of_tasks]):.1f}",
                    f"{np.mean([row['seconds'] for row in of_tasks]):,.0f}",
                )
                for part, *of_tasks in rows
            ),
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
