"""What each piece of the search gives: cross-validated accuracy with the embedded backbone, training images alone.

Pieces are added one after another to the paper's candidates, and taken one at a time from all of them. All figures of a
task come from two searches that give nothing up early, one with damped standardisation and one without; those of the
single statistics from a third; and those of kernels and of ways to select, which the search does not have, from
`benchmarks.kernels` and `benchmarks.selections`. No test image is looked at. `python -m benchmarks.bench_ablation
[TASK ...]` runs what is missing (benchmarks/results/ablation.json), prints the tables and writes docs/ablation.md.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import kernels, records, selections
from benchmarks.bench_main_job import SHARED, TASKS
from head2toe.cli.output import write_text

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
OTHERS = (  # part of a task's record, what it compares, and the table's title
    ("kernels", "kernel", "Kernels of the kept features under a discriminant, learned layer weights"),
    ("selections", "way", "Ways to keep at most 3 % of the features under a discriminant, learned layer weights"),
)
SHARE = 0.03  # of a view's features: what small heads may keep


def _few(row: Row) -> bool:
    return row["view"] != "linear" and row["fraction"] <= SHARE


SMALL: dict[str, Callable[[Row], bool]] = {
    "all features": lambda row: row["view"] != "linear",
    "3 % of them, no distilled heads": lambda row: _few(row) and row["head"] != "distilled",
    "3 % of them, distilled heads too": _few,
    "3 % of them, distilled heads alone": lambda row: _few(row) and row["head"] == "distilled",
}


def run_task(task: str, found: dict[str, Any]) -> dict[str, Any]:
    """The parts of a task's record that are missing in `found`."""
    from head2toe import features
    from head2toe.backbones import load
    from head2toe.estimators.frozen import columns_of

    file, label = TASKS[task]
    data = features.read_data(SHARED / "data" / file, split="train", label=label).with_labels()
    backbone = load("embedded")
    plan = features.Plan.build(features.layers(backbone), (512,), statistics=features.STATISTICS)
    rows = features.extract(backbone, data.images, plan, progress=False).rows
    _, y = np.unique(np.asarray(data.labels), return_inverse=True)
    columns = columns_of(plan)
    parts: dict[str, Callable[[], Any]] = {
        "damped": lambda: _searched(rows, y, columns),
        "plain": lambda: _searched(rows, y, replace(columns, commensurable=False)),
        "kernels": lambda: kernels.table(rows, y, columns),
        "selections": lambda: selections.table(rows, y, columns, _channels(plan)),
    }
    if task in SINGLE:
        parts["single"] = lambda: _singles(rows, y, columns)
    return {name: found[name] if name in found else part() for name, part in parts.items()}


def _searched(rows: np.ndarray, y: np.ndarray, columns: Any) -> dict[str, Any]:
    """The table of a search that gives nothing up early, and its seconds."""
    from head2toe.probes import SearchSettings, search

    start = time.perf_counter()
    result = search(rows, y, columns, settings=SearchSettings(patience=math.inf))
    return {"table": result.table, "seconds": time.perf_counter() - start}


def _singles(rows: np.ndarray, y: np.ndarray, columns: Any) -> list[Row]:
    from head2toe.probes import SearchSettings, search

    settings = SearchSettings(patience=math.inf, layer_weights=("learned",), heads=("discriminant", "least squares"))
    return search(rows, y, _single(columns), settings=settings).table


def _channels(plan: Any) -> np.ndarray:
    """For each column the number of the channel it comes from: one number a layer and channel, int64 (d,)."""
    from head2toe.features.pooling import channels

    counts = [channels(layer.shape) for layer in plan.layers]
    first = dict(zip((layer.name for layer in plan.layers), np.cumsum([0, *counts[:-1]]), strict=True))
    found = np.empty(plan.blocks[-1].stop, np.int64)
    for block in plan.blocks:
        count = channels(plan.by_name[block.layer].shape)
        found[block.start : block.stop] = first[block.layer] + np.arange(block.stop - block.start) % count
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
    for part, key, title in OTHERS:
        names = dict.fromkeys(row[key] for row in record[tasks[0]][part]) if tasks else {}
        other = [header]
        for name in names:
            values = [best(record[task][part], lambda row, key=key, name=name: row[key] == name) for task in tasks]
            other.append(line(name, values, ".1f"))
        found.append((title, other))
    singles = [task for task in tasks if "single" in record[task]]
    if singles:
        views = dict.fromkeys(row["view"] for row in record[singles[0]]["single"] if row["view"] != "linear")
        single = [["", *singles, "mean"]]
        for view in sorted(views):
            values = [best(record[task]["single"], lambda row, view=view: row["view"] == view) for task in singles]
            single.append(line(view, values, ".1f"))
        found.append(("The statistics one by one, learned layer weights", single))
    return found


def page(record: dict[str, Any]) -> str:
    """The ablation page, Markdown, made of the record alone."""
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
    return "\n\n".join(parts) + "\n"


def measured() -> dict[str, Any]:
    """The records of the tasks that have been measured whole."""
    return {task: found for task, found in records.read(NAME).items() if _whole(task, found)}


def _whole(task: str, found: dict[str, Any]) -> bool:
    return {"damped", "plain", "kernels", "selections", *(("single",) if task in SINGLE else ())} <= {*found}


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing, print, and write the page."""
    if not SHARED.is_dir():
        print("bench_ablation: no folder 'shared' beside the checkout, nothing to run")
        return
    for task in tasks or TASKS:
        before = records.read(NAME).get(task, {})
        if not _whole(task, before):
            found = run_task(task, before)
            records.write(NAME, {**records.read(NAME), task: found})
    record = measured()
    for title, cells in tables(record):
        print(f"\n{title}")
        for row in cells:
            print("  ".join([row[0].ljust(34), *(cell.rjust(12) for cell in row[1:])]))
    write_text(PAGE, page(record))


if __name__ == "__main__":
    main(sys.argv[1:])
