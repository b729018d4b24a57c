"""The paper's table on the shared data: nine tasks, four backbones, every method; and what each costs.

`python -m benchmarks.bench_paper [TASK--BACKBONE ...]` runs what is missing, cell by cell, and prints the tables. Each
cell has a record of its own, benchmarks/results/paper/TASK--BACKBONE.json; methods that it has are not run again, so
two processes work on different cells, each with half of the cores: seconds are those of a cell beside another one. What
started from an outcome that is gone or made again is gone too.
`--methods=linear,head2toe` runs those methods alone. Needs the folder `shared` beside the checkout.
`python -m benchmarks paper` prints what is there.

`finetune-official`, with the embedded backbone alone, trains for minutes on a GPU and for hours without: only
`--methods=finetune-official` runs it. Its outcomes name the GPU, and their seconds are compared with nothing.

`embedded-64` is the embedded backbone with images of 64 pixels, for methods that train the network: what two cores can
train in minutes. All methods of that row see the same images.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from benchmarks import records
from benchmarks.shared_data import no_shared_data, read, spec

GROUPS = {
    "caltech101": "natural",
    "cifar10": "natural",
    "mnist": "natural",
    "signdigits": "natural",
    "brainmri": "specialized",
    "rsscn7": "specialized",
    "nuclei_count": "structured",
    "location": "structured",
    "orientation": "structured",
}
NATURAL_OBJECTS = ("caltech101", "cifar10")
FROZEN = ("linear", "all-l2", "all-l1", "all-gl", "head2toe-reference", "head2toe-equal", "head2toe")
TRAINED = ("linear", "head2toe", "head2toe-ft", "head2toe-ft+", "finetune", "scratch")
OFFICIAL = "finetune-official"
COSTED = ("orientation", "caltech101")  # tasks whose fine-tuning is costed, with few and with many classes
SMALL, PIXELS = "embedded-64", 64
BACKBONES = ("embedded", "resnet50", "mobilenetv2_100", "vit_tiny_patch16_224", SMALL)
DTYPE = "float32"  # of the frozen network: which format is faster differs from machine to machine
PROCESSES = 2
CELLS = tuple(f"{task}--{backbone}" for backbone in BACKBONES for task in GROUPS)


def methods(task: str, backbone: str) -> tuple[str, ...]:
    """The methods of a cell that any machine can run."""
    if backbone == SMALL:
        return TRAINED
    return (*FROZEN, "finetune-cost") if task in COSTED else FROZEN


def columns(backbone: str) -> tuple[str, ...]:
    """The methods whose accuracies are printed."""
    return {SMALL: TRAINED, "embedded": (*FROZEN, OFFICIAL)}.get(backbone, FROZEN)


def run_cell(cell: str, only: tuple[str, ...] = ()) -> None:
    """Run the methods (of some, `only` those) that a cell's record lacks, and add them to it."""
    from head2toe.benchmark import Task, compare
    from head2toe.errors import InterruptedComparisonError, UnfinishedComparisonError

    name, backbone = cell.split("--")
    record = _standing(records.read(f"paper/{cell}"))
    possible = dict.fromkeys((*methods(name, backbone), *(columns(backbone) if only else ())))
    missing = [m for m in possible if m not in record and (not only or m in only)]
    if not missing:
        return
    task = Task(name, GROUPS[name], read(name, "train"), read(name, "test"))
    start = time.perf_counter()
    network, size = ("embedded", PIXELS) if backbone == SMALL else (spec(backbone), None)
    unfinished = None
    try:
        outcomes = compare(task, network, missing, image_size=size, dtype=DTYPE, progress=_report)
    except (UnfinishedComparisonError, InterruptedComparisonError) as error:  # what the others came to is kept
        outcomes, unfinished = error.outcomes, error
    new = {one.method: {**one.to_dict(), "backbone": backbone} for one in outcomes}
    records.write(f"paper/{cell}", {**_standing(records.read(f"paper/{cell}"), new.keys()), **new})
    if unfinished is not None:
        raise unfinished
    print(f"{cell}: {time.perf_counter() - start:.0f} s", flush=True)


def _standing(record: dict, run: Collection[str] = ()) -> dict:
    """The outcomes that still hold: those that started from one which is there, and was not run again."""
    from head2toe.benchmark.methods.registry import STARTS_FROM

    there = record.keys() - run
    return {name: kept for name, kept in record.items() if there >= {*STARTS_FROM.get(name, ())}}


def run_cells(cells: tuple[str, ...], only: tuple[str, ...] = ()) -> None:
    """Run cells, as many at once as there are processes. One that fails is raised when the others are done."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), _share_cores) as pool:
        running = [pool.submit(run_cell, cell, only) for cell in cells]
    for one in as_completed(running):
        one.result()


def _share_cores() -> None:
    import scipy.linalg  # noqa: F401  (its BLAS and numpy's are limited too, once loaded)
    import torch
    from threadpoolctl import threadpool_limits

    share = max(1, (os.cpu_count() or 1) // PROCESSES)
    torch.set_num_threads(share)
    threadpool_limits(share)


def main(cells: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> None:
    """Run cells and print the tables of all that have been run."""
    if cells and no_shared_data("paper"):
        return
    unknown = [cell for cell in cells if cell not in CELLS]
    if unknown:
        raise SystemExit(f"bench_paper: no cell {unknown[0]}; there are TASK--BACKBONE, such as {CELLS[0]}")
    run_cells(cells, only)
    for backbone in BACKBONES:
        print_backbone(backbone)


def print_backbone(backbone: str) -> None:
    """The accuracies and the costs of one backbone."""
    from benchmarks.tables import accuracy_rows, cost_rows, show

    found = outcomes(backbone)
    if not found:
        return
    names = list(columns(backbone))
    print(f"\n{backbone}: top-1 accuracy, per cent")
    show([("", *names), *((name, *map(_figure, values)) for name, values in accuracy_rows(found, names))])
    show([("", *names), ("training seconds, mean", *map(_figure, _mean_seconds(found, names)))])
    _print_gains(found)
    for task in COSTED:
        costed = [one for one in found if one.task == task]
        if not any(one.method == "finetune-cost" for one in costed):
            continue
        print(
            f"\n{backbone}, {task}: cost of training; times: fine-tuning by the official schedule (estimated) over it"
        )
        header = ("", "TFLOPs", "times", "seconds", "times", "stored kB", "times")
        rows = [
            (
                row["method"],
                f"{row['train_flops'] / 1e12:,.2f}",
                f"{row['train_flops_times']:,.1f}",
                f"{row['seconds']:,.1f}",
                f"{row['seconds_times']:,.1f}",
                f"{row['stored_bytes'] / 1000:,.0f}",
                f"{row['stored_bytes_times']:,.1f}",
            )
            for row in cost_rows(costed)
        ]
        show([header, *rows])


def _print_gains(found: list) -> None:
    """Head2Toe against the linear probe and the published recipe, on the tasks that have them."""
    for rival, chosen in (("linear", [t for t in GROUPS if t not in NATURAL_OBJECTS]), ("head2toe-reference", GROUPS)):
        both = pairs(found, rival, chosen)
        if not both:
            continue
        gains = [100 * (ours.accuracy - theirs.accuracy) for ours, theirs in both]
        times = sum(theirs.train_seconds for _, theirs in both) / sum(ours.train_seconds for ours, _ in both)
        print(
            f"head2toe over {rival}, {len(both)} tasks: mean {sum(gains) / len(gains):+.1f}, least {min(gains):+.1f}; "
            f"{rival} trains {times:.2g} times as long"
        )


def pairs(found: list, rival: str, tasks: Iterable[str]) -> list[tuple]:
    """Outcomes of head2toe and of a rival on the tasks that have both."""
    by_task: dict[str, dict] = {}
    for one in found:
        if one.accuracy is not None:
            by_task.setdefault(one.task, {})[one.method] = one
    measured = (by_task.get(task, {}) for task in tasks)
    return [(mine["head2toe"], mine[rival]) for mine in measured if {"head2toe", rival} <= mine.keys()]


def outcomes(backbone: str) -> list:
    """All that has been measured with a backbone."""
    from head2toe.benchmark.outcome import Outcome

    found = [records.read(f"paper/{task}--{backbone}") for task in GROUPS]
    return [Outcome.from_dict(row) for record in found for row in record.values()]


def _mean_seconds(found: list, names: list[str]) -> list[float | None]:
    seconds = [[one.train_seconds for one in found if one.method == name and one.device == "cpu"] for name in names]
    return [sum(values) / len(values) if values else None for values in seconds]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _report(done: int, total: int, text: str) -> None:
    print(f"  {done}/{total} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--methods=")]
    narrowed = [argument.removeprefix("--methods=") for argument in sys.argv[1:] if argument not in wanted]
    main(tuple(wanted) or CELLS, tuple(name for listed in narrowed for name in listed.split(",")))
