"""What a probe expects of new rows where nothing can be learned: labels drawn without a look at the rows.

Chance is then the truth. `python -m benchmarks noise` runs what is missing and prints means over draws
(benchmarks/results/noise.json).
"""

from __future__ import annotations

import numpy as np

from benchmarks import records
from benchmarks.tables import show

NAME = "noise"
DRAWS, ROWS, COLUMNS, CLASSES = 20, 100, 100, 4


def draw(seed: int) -> dict[str, float]:
    """Accuracies (per cent) that one fitted probe tells: estimated, cross-validated, and the linear probe's."""
    from head2toe import FeatureProbe

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    probe = FeatureProbe(random_state=seed).fit(X, rng.permutation(np.arange(ROWS) % CLASSES))
    accuracies = {
        "estimated": probe.estimated_accuracy_,
        "cv": probe.cv_accuracy_,
        "linear_cv": probe.linear_cv_accuracy_,
    }
    return {name: 100 * value for name, value in accuracies.items()}


def main() -> None:
    """Measure what is not in the record, and print."""
    if not records.read(NAME):
        records.write(NAME, {"chance": 100 / CLASSES, "draws": [draw(seed) for seed in range(DRAWS)]})
    found = records.read(NAME)
    print(f"{DRAWS} draws of {ROWS} rows, {COLUMNS} columns of noise, {CLASSES} classes; chance {found['chance']:.1f}")
    drawn = {name: [one[name] for one in found["draws"]] for name in found["draws"][0]}
    errors = {name: np.std(values, ddof=1) / np.sqrt(len(values)) for name, values in drawn.items()}
    show([(name, f"{np.mean(values):.1f} +- {errors[name]:.1f}") for name, values in drawn.items()])


if __name__ == "__main__":
    main()
