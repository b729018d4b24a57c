"""A busy machine: forward passes and decompositions beside a process that never rests, by how OpenMP's threads wait.

The embedded backbone at 64 and 224 pixels and the eigenvalues of an 800 x 800 matrix, with as many threads as there are
cores; each figure is the median of three fresh processes. "short" is what the program `head2toe` sets. Needs libgomp
(PyTorch's wheels for Linux). `python -m benchmarks busy` prints the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

from benchmarks import records, tables

NAME = "busy"
WAITING = ("default", "short")
REPEATS = 3
FIGURES = ("64 pixels, images/s", "224 pixels, images/s", "eigenvalues, ms")


def measure(waiting: str) -> list[float]:
    """The figures of a fresh process."""
    from head2toe.cli.main import SPINS

    free = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    chosen = {"GOMP_SPINCOUNT": SPINS} if waiting == "short" else {}
    command = [sys.executable, "-m", "benchmarks.bench_busy", "--figures"]
    return json.loads(subprocess.run(command, env=free | chosen, capture_output=True, check=True).stdout)


def print_figures(seconds: float = 4.0) -> None:
    """Measure in this process, each figure for so many seconds, and print them as JSON."""
    import torch

    from head2toe import backbones

    module = backbones.load("embedded").module
    matrix = torch.randn(800, 800, dtype=torch.float64)
    matrix = matrix @ matrix.T
    speeds = []
    with torch.inference_mode():
        for side, count in ((64, 16), (224, 8)):
            images = torch.randn(count, 3, side, side).to(memory_format=torch.channels_last)
            speeds.append(count / _middle_time(partial(module, images), seconds))
        milliseconds = 1000 * _middle_time(partial(torch.linalg.eigh, matrix), seconds)
    print(json.dumps([*speeds, milliseconds]))


def _middle_time(work: Callable[[], Any], seconds: float) -> float:
    """Median seconds of a piece of work that is done over and over, at least three times."""
    work()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


@contextmanager
def company(busy: bool) -> Iterator[None]:
    """A process that keeps one core busy, or none."""
    if not busy:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def main() -> None:
    """Measure and print."""
    found: dict[str, list[float]] = {}
    for busy in (False, True):
        with company(busy):
            runs = [(waiting, measure(waiting)) for _ in range(REPEATS) for waiting in WAITING]
        for waiting in WAITING:
            mine = [figures for name, figures in runs if name == waiting]
            found[f"{'busy' if busy else 'idle'}, {waiting}"] = [median(each) for each in zip(*mine, strict=True)]
    records.write(NAME, {name: dict(zip(FIGURES, figures, strict=True)) for name, figures in found.items()})
    show()


def show() -> None:
    """Print the record."""
    rows = [(name, *(f"{row[figure]:.0f}" for figure in FIGURES)) for name, row in records.read(NAME).items()]
    tables.show([("", *FIGURES), *rows])


if __name__ == "__main__":
    if sys.argv[1:] == ["--figures"]:
        print_figures()
    else:
        main()
