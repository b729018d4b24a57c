"""What each piece of the search gives: cross-validated accuracy on training images alone.

Pieces are added one after another to the paper's candidates, and taken one at a time from all of them. All figures of
a task come from searches that give nothing up early: one with damped standardisation, one without, one of deviations.
More parts try what the search does not have (a module of this folder each): kernels, squares and thresholds, ways to
select features and layers, to weigh layers and to teach classes, with all backbones; random features and products, the
single statistics, other views, class means of tiny classes, and what each piece costs, with the embedded one; and with
the ViT-Tiny its class token. No test image is looked at.

`python -m benchmarks.bench_ablation [TASK--BACKBONE ...]` runs what is missing, cell by cell (a record each:
benchmarks/results/ablation/TASK--BACKBONE.json), prints the tables and writes docs/ablation.md. Several processes may
run different cells at the same time.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import (
    ablation_page,
    bench_few_images,
    bench_paper,
    codes,
    expansions,
    kernels,
    layer_choices,
    piece_costs,
    records,
    selections,
    tiny_classes,
    transforms,
    view_choices,
    weightings,
)
from benchmarks.shared_data import BACKBONES, TASKS, no_shared_data, read, spec
from head2toe.whole_files import write_text

SINGLE = ("location", "orientation", "nuclei_count", "signdigits")
MORE = ("kernels", "transforms", "selections", "layers", "weightings", "codes")
MORE_TASKS = {backbone: TASKS if backbone == "embedded" else SINGLE for backbone in BACKBONES}
SOME = {  # with the embedded backbone on some tasks alone: they take their time
    "single": SINGLE,
    "expansions": SINGLE,
    "moments": SINGLE,
    "sizes": SINGLE,
    "tiny": bench_few_images.CHOSEN,
    "cost": bench_paper.COSTED,
}
OF_BACKBONES = {"vit_tiny_patch16_224": ("tokens",)}  # parts of other backbones
CELLS = tuple(f"{task}--{backbone}" for backbone in BACKBONES for task in TASKS)


def parts(cell: str) -> set[str]:
    """The parts of a cell's record."""
    task, backbone = cell.split("--")
    found = {"damped", "plain", "deviations", *OF_BACKBONES.get(backbone, ())}
    if task in MORE_TASKS[backbone]:
        found.update(MORE)
    if backbone == "embedded":
        found.update(part for part, tasks in SOME.items() if task in tasks)
    return found


def run_cell(cell: str) -> None:
    """Measure the parts of a cell that its record lacks; each is kept as soon as it is there."""
    from head2toe import features
    from head2toe.backbones import load
    from head2toe.estimators.frozen import columns_of

    name = f"ablation/{cell}"
    missing = parts(cell) - records.read(name).keys()
    if not missing:
        return
    task, source = cell.split("--")
    data = read(task, "train")
    backbone = load(spec(source))
    plan = features.Plan.build(features.layers(backbone), (512,), statistics=features.STATISTICS)
    rows = features.extract(backbone, data.images, plan, progress=False).rows
    _, y = np.unique(np.asarray(data.labels), return_inverse=True)
    columns = columns_of(plan)
    ways: dict[str, Callable[[], Any]] = {
        "damped": lambda: _searched(rows, y, columns),
        "plain": lambda: _searched(rows, y, replace(columns, commensurable=False)),
        "deviations": lambda: _deviating(rows, y, columns),
        "kernels": lambda: kernels.table(rows, y, columns),
        "transforms": lambda: transforms.table(rows, y, columns),
        "expansions": lambda: expansions.table(rows, y, columns),
        "selections": lambda: selections.table(rows, y, columns, _channels(plan)),
        "layers": lambda: layer_choices.table(rows, y, columns),
        "weightings": lambda: weightings.table(rows, y, columns),
        "codes": lambda: codes.table(rows, y, columns),
        "moments": lambda: view_choices.moments(backbone, data.images, y),
        "sizes": lambda: view_choices.sizes(backbone, data.images, y),
        "tokens": lambda: view_choices.tokens(backbone, data.images, y),
        "tiny": lambda: tiny_classes.table(rows, y, columns),
        "cost": lambda: piece_costs.table(backbone, data.images, rows, y, columns),
        "single": lambda: _singles(rows, y, columns),
    }
    for part in sorted(missing):
        records.add(name, part, ways[part]())


def _searched(rows: np.ndarray, y: np.ndarray, columns: Any) -> dict[str, Any]:
    """The table of a search without deviations that gives nothing up early, and its seconds."""
    from head2toe.probes import SearchSettings, search

    start = time.perf_counter()
    result = search(rows, y, columns, settings=SearchSettings(patience=math.inf, deviations=False))
    return {"table": result.table, "seconds": time.perf_counter() - start}


def _deviating(rows: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """What a search that gives nothing up early says of the grids with deviations, by heads in closed form."""
    from head2toe.probes import DEVIATIONS, LINEAR_VIEW, SearchSettings, search

    grids = replace(columns, views={name: columns.views[name] for name in (LINEAR_VIEW, "512")})
    heads = ("least squares", "discriminant", "distilled")
    settings = SearchSettings(patience=math.inf, layer_weights=("learned",), heads=heads)
    return [row for row in search(rows, y, grids, settings=settings).table if row["view"].endswith(DEVIATIONS)]


def _singles(rows: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    from head2toe.probes import search

    return search(rows, y, _single(columns), settings=view_choices.settings()).table


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


def measured() -> dict[str, dict[str, Any]]:
    """The records of the cells that have been measured whole, by backbone and task."""
    found: dict[str, dict[str, Any]] = {}
    for cell in CELLS:
        task, backbone = cell.split("--")
        record = records.read(f"ablation/{cell}")
        if parts(cell) <= record.keys():
            found.setdefault(backbone, {})[task] = record
    return found


def averaged() -> dict[str, dict[str, Any]]:
    """What the searches of the paper's table chose, by backbone and task, where all tasks have been measured."""
    found = {}
    for backbone in (*BACKBONES, bench_paper.SMALL):
        mine = [one for one in bench_paper.outcomes(backbone) if one.method == "head2toe"]
        choices = {one.task: one.choice for one in mine if "averaged" in one.choice}
        if len(choices) == len(TASKS):
            found[backbone] = choices
    return found


def main(cells: list[str] | None = None) -> None:
    """Run what is missing, print, and write the page."""
    if no_shared_data("ablation"):
        return
    for cell in cells or CELLS:
        run_cell(cell)
    text = ablation_page.page(measured(), averaged())
    write_text(ablation_page.PAGE, text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
