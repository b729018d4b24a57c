"""Where benchmarks leave their numbers: benchmarks/results/NAME.json."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from head2toe.whole_files import write_text

FOLDER = Path(__file__).parent / "results"


def read(name: str) -> dict[str, Any]:
    """The numbers of an earlier run, or an empty record."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["numbers"] if path.is_file() else {}


def write(name: str, numbers: Any) -> Path:
    """Write a benchmark's numbers, with the machine and the versions they were measured on, as JSON."""
    machine = {
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"machine": machine, "numbers": numbers}, indent=2) + "\n")
    return path


def add(name: str, key: str, found: Any) -> Path:
    """Write one more entry beside those there are, which are read only now: others may have written meanwhile."""
    return write(name, {**read(name), key: found})


def fill(name: str, keys: Iterable[str], measure: Callable[[str], Any]) -> dict[str, Any]:
    """Measure what a record lacks of `keys`, each kept as soon as it is there; all of the record."""
    for key in keys:
        if key not in read(name):
            add(name, key, measure(key))
    return read(name)
