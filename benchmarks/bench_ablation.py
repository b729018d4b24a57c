"""What each piece of the search gives: cross-validated accuracy with the embedded backbone, training images alone.

Pieces are added one after another to the paper's candidates, and taken one at a time from all of them. All figures of a
task come from two searches that give nothing up early, one with damped standardisation and one without; those of the
single statistics from a third; and those of kernels, which the search does not have, from `benchmarks.kernels`. No
test image is looked at. `python -m benchmarks.bench_ablation [TASK ...]` runs
what is missing (benchmarks/results/ablation.json), prints the tables and writes docs/ablation.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import kernels, records
from benchmarks.bench_main_job import SHARED, TASKS

NAME = "ablation"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "ablation.md"
SINGLE = ("location", "orientation", "nuclei_count", "signdigits")  # tasks that measure the statistics one by one

Row = dict[str, Any]


def _paper(row: Row) -> bool:
    return row["view"] == "512" and row["layer_weights"] == "equal" and row["head"] in ("least squares", "logistic")


# Name -> which standardisation, and which rows of its table compete.
ADDED: dict[str, tuple[str, Callable[[Row], bool]]] = {
    "linear probe": ("plain", lambda row: row["view"] == "linear" and row["head"] == "logistic"),
    "the paper's candidates (N = 512)": ("plain", _paper),
    "+ damped standardisation": ("damped", _paper),
    "+ discriminant": (
        "damped",
        lambda row: row["view"] == "512" and row["layer_weights"] == "equal" and row["head"] != "distilled",
    ),
    "+ learned layer weights": ("damped", lambda row: row["view"] == "512" and row["head"] != "distilled"),
    "+ statistics": ("damped", lambda row: row["view"] != "linear" and row["head"] != "distilled"),
    "+ distilled heads: everything": ("damped", lambda row: row["view"] != "linear"),
}
TAKEN: dict[str, tuple[str, Callable[[Row], bool]]] = {
    "damped standardisation": ("plain", lambda row: row["view"] != "linear"),
    "discriminant": (
        "damped",
        lambda row: row["view"] != "linear" and row["head"] not in ("discriminant", "distilled"),
    ),
    "distilled heads": ("damped", lambda row: row["view"] != "linear" and row["head"] != "distilled"),
    "learned layer weights": ("damped", lambda row: row["view"] != "linear" and row["layer_weights"] == "equal"),
    "statistics": ("damped", lambda row: row["view"] == "512"),
    "grids (N = 512)": ("damped", lambda row: row["view"] == "statistics"),
}
SHARE = 0.03  # of a view's features: what small heads may keep


def _few(row: Row) -> bool:
    return row["view"] != "linear" and row["fraction"] <= SHARE


SMALL: dict[str, Callable[[Row], bool]] = {
    "all features": lambda row: row["view"] != "linear",
    "3 % of them, no distilled heads": lambda row: _few(row) and row["head"] != "distilled",
    "3 % of them, distilled heads too": _few,
    "3 % of them, distilled heads alone": lambda row: _few(row) and row["head"] == "distilled",
}


def run_task(task: str) -> dict[str, Any]:
    """Tables of both searches, and figures of the single statistics, of one task."""
    from head2toe import features
    from head2toe.backbones import load
    from head2toe.estimators.frozen import columns_of
    from head2toe.probes import SearchSettings, search

    file, label = TASKS[task]
    data = features.read_data(SHARED / "data" / file, split="train", label=label).with_labels()
    backbone = load("embedded")
    plan = features.Plan.build(features.layers(backbone), (512,), statistics=features.STATISTICS)
    rows = features.extract(backbone, data.images, plan, progress=False).rows
    _, y = np.unique(np.asarray(data.labels), return_inverse=True)
    columns = columns_of(plan)
    found: dict[str, Any] = {}
    for name, chosen in (("damped", columns), ("plain", replace(columns, commensurable=False))):
        start = time.perf_counter()
        result = search(rows, y, chosen, settings=SearchSettings(patience=1.0))
        found[name] = {"table": result.table, "seconds": time.perf_counter() - start}
    found["kernels"] = kernels.table(rows, y, columns)
    if task in SINGLE:
        settings = SearchSettings(patience=1.0, layer_weights=("learned",), heads=("discriminant", "least squares"))
        found["single"] = search(rows, y, _single(columns), settings=settings).table
    return found


def _single(columns: Any) -> Any:
    """Views of one statistic, and of all but one. What has no statistics (vectors) is in each."""
    kind = {i: columns.blocks[i].operation.partition(":")[0] for i in columns.views["statistics"]}
    names = ("mean", "std", "max", "centre")
    views = {"linear": columns.views["linear"], "all four": columns.views["statistics"]}
    for name in names:
        views[f"{name} alone"] = tuple(i for i in kind if kind[i] in (name, "identity"))
        views[f"all but {name}"] = tuple(i for i in kind if kind[i] != name)
    return replace(columns, views=views)


def best(rows: list[Row], wanted: Callable[[Row], bool]) -> float:
    """The highest cross-validated accuracy of some rows, per cent."""
    return 100 * max(row["cv_accuracy"] for row in rows if wanted(row))


def tables(record: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """Titles and cells of the tables; the last column is the mean over the tasks."""
    tasks = [task for task in TASKS if task in record]
    everything = {
        task: best(record[task]["damped"]["table"], ADDED["+ distilled heads: everything"][1]) for task in tasks
    }

    def line(name: str, values: list[float], form: str) -> list[str]:
        return [name, *(format(v, form) for v in values), format(sum(values) / len(values), form)]

    def of(chosen: dict[str, tuple[str, Callable[[Row], bool]]], name: str) -> list[float]:
        source, wanted = chosen[name]
        return [best(record[task][source]["table"], wanted) for task in tasks]

    header = ["", *tasks, "mean"]
    added = [header, *(line(name, of(ADDED, name), ".1f") for name in ADDED)]
    taken = [header]
    for name in TAKEN:
        lost = [value - everything[task] for task, value in zip(tasks, of(TAKEN, name), strict=True)]
        taken.append(line(f"without {name}", lost, "+.1f"))
    small = [header]
    for name, wanted in SMALL.items():
        small.append(line(name, [best(record[task]["damped"]["table"], wanted) for task in tasks], ".1f"))
    found = [
        ("Pieces added one after another", added),
        ("What everything loses without one piece", taken),
        ("Small heads", small),
    ]
    names = list(dict.fromkeys(row["kernel"] for row in record[tasks[0]]["kernels"])) if tasks else []
    kernel = [header]
    for name in names:
        values = [best(record[task]["kernels"], lambda row, name=name: row["kernel"] == name) for task in tasks]
        kernel.append(line(name, values, ".1f"))
    found.append(("Kernels of the kept features under a discriminant, learned layer weights", kernel))
    singles = [task for task in tasks if "single" in record[task]]
    if singles:
        views = dict.fromkeys(row["view"] for row in record[singles[0]]["single"] if row["view"] != "linear")
        single = [["", *singles, "mean"]]
        for view in sorted(views):
            values = [best(record[task]["single"], lambda row, view=view: row["view"] == view) for task in singles]
            single.append(line(view, values, ".1f"))
        found.append(("The statistics one by one, learned layer weights", single))
    return found


def write_page(record: dict[str, Any]) -> None:
    """docs/ablation.md, made of the record alone."""
    seconds = [record[task]["damped"]["seconds"] for task in record]
    parts = [
        "# What each piece gives",
        (
            "Written by `python -m benchmarks.bench_ablation` from benchmarks/results/ablation.json. Cross-validated "
            "accuracy (per cent, five folds) on the 1000 training images of each task that was run, embedded backbone; "
            "no test image plays a part. The standard error of a figure is 1 to 1.6 points, of a difference half."
        ),
        f"One search took {np.median(seconds):.0f} s in the median, one thread, nothing given up early.",
    ]
    for title, cells in tables(record):
        rule = ["---", *["---:"] * (len(cells[0]) - 1)]
        parts.append(f"## {title}")
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])))
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing, print, and write the page."""
    if not SHARED.is_dir():
        print("bench_ablation: no folder 'shared' beside the checkout, nothing to run")
        return
    for task in tasks or TASKS:
        if task not in records.read(NAME):
            found = run_task(task)
            records.write(NAME, {**records.read(NAME), task: found})
    record = records.read(NAME)
    for title, cells in tables(record):
        print(f"\n{title}")
        for row in cells:
            print("  ".join([row[0].ljust(34), *(cell.rjust(12) for cell in row[1:])]))
    write_page(record)


if __name__ == "__main__":
    main(sys.argv[1:])
