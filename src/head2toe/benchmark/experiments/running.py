"""Run an experiment, and write its data as CSV and JSON and its figure as SVG and PNG."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from head2toe.benchmark.before_training import check_shared_images, warn_of_unseen_classes
from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.registry import find
from head2toe.benchmark.tasks import Task
from head2toe.whole_files import replacing


def run_experiment(name: str, laboratory: Laboratory, data: Path, figures: Path | None = None) -> dict[str, Any]:
    """Measure one experiment.

    Parameters
    ----------
    name
        See `registry.NAMES`.
    laboratory
    data
        Folder for NAME.csv and NAME.json.
    figures
        Folder for NAME.svg and NAME.png; None: the same.

    Returns
    -------
    dict
        What NAME.json holds: experiment, tasks, backbones, settings, image_size (asked for, in pixels), dtype (of the
        frozen network), seconds, rows, findings; and `files`.

    Raises
    ------
    ParameterError
        Unknown name, or too few tasks or backbones for this experiment.
    MissingLabelError, DataFormatError
        A task without labels, or none of whose test labels is a training label.
    MissingDependencyError
        matplotlib is not installed.
    """
    chosen = find(name)
    style.load()  # a figure that cannot be drawn is told now, not when all is measured
    for task in laboratory.tasks:
        train, test = (np.asarray(part.known_labels()) for part in (task.train, task.test))
        warn_of_unseen_classes(train, test, task.name)
        check_shared_images(task)
    start = time.perf_counter(), time.process_time()
    rows = chosen.measure(laboratory)
    result = {
        "experiment": name,
        "title": chosen.title,
        "tasks": [_task(laboratory, task) for task in laboratory.tasks],
        "backbones": list(laboratory.specs),
        "settings": asdict(laboratory.settings),
        "image_size": laboratory.backbone_options.get("image_size"),
        "dtype": _number_format(laboratory),
        "machine": _machine(),
        "seconds": time.perf_counter() - start[0],
        "cpu_seconds": time.process_time() - start[1],
        "findings": chosen.findings(rows),
        "rows": rows,
    }
    return {**result, "files": write(chosen, result, data, figures or data)}


def _task(laboratory: Laboratory, task: Task) -> dict[str, Any]:
    """A task's name and how many of its images could be read."""
    counts = {
        part: len(getattr(task, part)) - len(laboratory.skipped.get((task.name, part), ()))
        for part in ("train", "test")
    }
    return {"name": task.name, **counts}


def _number_format(laboratory: Laboratory) -> str:
    """That asked for or, where a trial decides, what it found for each backbone."""
    asked = laboratory.run_options.get("dtype", "auto")
    return asked if asked != "auto" else ", ".join(dict.fromkeys(laboratory.formats.values())) or asked


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def files_of(name: str, folder: Path) -> list[Path]:
    """The files that an experiment writes into a folder of its own."""
    return [*_data_files(name, folder), *(folder / f"{name}.{ending}" for ending in style.FIGURES)]


def _data_files(name: str, folder: Path) -> tuple[Path, Path]:
    return folder / f"{name}.csv", folder / f"{name}.json"


def write(chosen: Experiment, result: Mapping[str, Any], data: Path, figures: Path) -> list[str]:
    """Write the CSV, the figure, and last the JSON: where that is, all are, and of one run.

    Nothing that is there is touched before all is drawn and written beside it.
    """
    table, record = _data_files(chosen.name, data)
    with style.style():
        drawn = style.rendered(chosen.draw(style.drawable(result["rows"])), chosen.name)
    pictures = {figures / f"{chosen.name}.{ending}": content for ending, content in drawn.items()}
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    made = {table: _csv(chosen, result["rows"]), **pictures, record: text.encode()}
    for folder in (data, figures):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as places:
        for path, content in reversed(made.items()):  # the last one here is the first in its place
            places.enter_context(replacing(path)).write_bytes(content)
        Path(os.path.realpath(record)).unlink(missing_ok=True)
    return [str(path) for path in made]


def _csv(chosen: Experiment, rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, chosen.columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)
    return file.getvalue().encode(errors="surrogateescape")  # names of files that are no text: as their bytes


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
