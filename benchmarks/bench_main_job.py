"""The main job on real data and weights: `fit` on 1000 training images, `evaluate` once on the test split.

`python -m benchmarks.bench_main_job TASK/BACKBONE ...` runs cells (benchmarks/results/main_job.json; one that is there
is not run again) and prints all that there are; cells that were not run here are printed from the paper's table
(`bench_paper`), which fits the same probe on rows in float32, beside a linear probe that standardises each feature by
itself: that of `fit` scales features within their layer, and is better on average.
`main_job_before.json` holds what the probe reached before statistics, discriminant and damped standardisation. Needs
the folder `shared` beside the checkout.
"""

from __future__ import annotations

import sys
import time

from benchmarks import records
from benchmarks.shared_data import BACKBONES, TASKS, no_shared_data, read, spec

NAME, BEFORE = "main_job", "main_job_before"
FITTED = "fit, evaluate"


def run_cell(task: str, backbone: str) -> dict:
    """Fit and evaluate one cell; figures in per cent and seconds."""
    from sklearn.metrics import accuracy_score

    from head2toe import Head2ToeClassifier

    train, test = (read(task, split) for split in ("train", "test"))
    start = time.perf_counter()
    probe = Head2ToeClassifier(spec(backbone), cache=False, verbose=False).fit(train)
    fitted = time.perf_counter() - start
    out = probe.outputs(test.images, linear=True)
    truth = [test.labels[i] for i in out.kept]
    return {
        "linear": 100 * float(accuracy_score(truth, out.linear_labels)),
        "head2toe": 100 * float(accuracy_score(truth, out.labels)),
        "cv": 100 * probe.cv_accuracy_,
        "linear_cv": 100 * probe.linear_cv_accuracy_,
        "choice": probe.choice_,
        "fit_seconds": fitted,
        "n_test": len(truth),
        "dtype": probe.dtype_,
    }


def row_of(cell: str) -> dict | None:
    """The figures of a cell: from this benchmark, else from the paper's table, which runs the same search."""
    record = records.read(NAME)
    if cell in record:
        return {**record[cell], "source": FITTED}
    found = records.read(f"paper/{cell.replace('/', '--')}")
    if not {"linear", "head2toe"} <= set(found):
        return None
    accuracies = {name: 100 * found[name]["accuracy"] for name in ("linear", "head2toe")}
    return {**accuracies, "source": "paper's table"}


def main(cells: list[str] | None = None) -> None:
    """Run the cells that are named and missing, and print the table of all that there is."""
    absent = no_shared_data(NAME, "only the records are printed")
    records.fill(NAME, () if absent else cells or (), lambda cell: run_cell(*cell.split("/")))
    before = records.read(BEFORE)
    for backbone in BACKBONES:
        rows = {task: row_of(f"{task}/{backbone}") for task in TASKS}
        for task, row in rows.items():
            if row is not None:
                _print(f"{task}/{backbone}", row, before.get(f"{task}/{backbone}"))
        if all(rows.values()):
            _print_mean(backbone, [row for row in rows.values() if row is not None], before)


def _print(cell: str, row: dict, before: dict | None) -> None:
    gain = row["head2toe"] - row["linear"]
    was = "" if before is None else f"  before {before['head2toe']:5.1f}"
    figures = f"linear {row['linear']:5.1f}  head2toe {row['head2toe']:5.1f}  {gain:+5.1f}"
    print(f"{cell:40} {figures}{was}  ({row['source']})", flush=True)


def _print_mean(backbone: str, rows: list[dict], before: dict) -> None:
    gains = [row["head2toe"] - row["linear"] for row in rows]
    mean = sum(row["head2toe"] for row in rows) / len(rows)
    linear = "its own" if {row["source"] for row in rows} == {FITTED} else "the table's"
    span = f"{sum(gains) / len(gains):+.1f}, from {min(gains):+.1f} to {max(gains):+.1f}"
    print(f"{backbone}: mean {mean:.1f}; gain over {linear} linear probe {span}")
    pairs = [
        (before[f"{task}/{backbone}"]["head2toe"], row["head2toe"])
        for task, row in zip(TASKS, rows, strict=True)
        if f"{task}/{backbone}" in before
    ]
    if len(pairs) == len(rows):
        changes = [new - old for old, new in pairs]
        print(f"{backbone}: against before {sum(changes) / len(changes):+.1f}, smallest {min(changes):+.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
