"""Groups of consecutive features at growing offset in the order of relevance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, mean_by
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, Select, TaskStudy, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONOTONE = "falls at every step"
LEAST_GROUPS = 8  # a task with few features is cut into smaller groups


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of each group, for every task."""
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        width = study.columns.width(laboratory.settings.view)
        size = max(1, min(laboratory.settings.group, width // LEAST_GROUPS))
        judged = study.judge(groups(study, size, offsets(width, size)))
        rows += [study.row(one, offset=offset) for offset, one in judged.items()]
    return rows


def offsets(width: int, size: int) -> list[int]:
    """0 and then doubling steps of one group, as long as a whole group fits behind them; and the last group."""
    doubled = itertools.takewhile(lambda start: start + size <= width, (size * 2**i for i in itertools.count()))
    return sorted({0, *doubled, (width // size - 1) * size})


def groups(study: TaskStudy, size: int, starts: list[int]) -> Select[int]:
    """Keep `size` consecutive features of the ranking behind each offset."""
    indices = study.columns.indices(study.settings.view)

    def select(train: np.ndarray) -> dict[int, np.ndarray]:
        order = np.argsort(-study.rank(train), kind="stable")
        return {start: indices[np.sort(order[start : start + size])] for start in starts}

    return select


def draw(rows: Rows) -> Figure:
    """Accuracy against offset, a line a task, and their mean."""
    title = f"Groups of {rows[0]['features']} consecutive features in the order of relevance"
    return style.lines_by_task(rows, "offset", "offset: features of higher relevance that are left out", title)


def findings(rows: Rows) -> list[str]:
    """Tell whether mean accuracy falls from each offset to the next."""
    means = mean_by(rows, "offset")
    values = ", ".join(f"{value:.1f} ({offset})" for offset, value in means.items())
    course = _course(means)
    falls = course if course == MONOTONE else f"does not fall at every step: it {course}"
    return [
        f"{as_in_paper(course == MONOTONE)}, mean accuracy {falls}.",
        f"Mean accuracy in per cent (offset): {values}.",
    ]


def _course(means: Mapping[Any, float]) -> str:
    steps = list(zip(list(means)[1:], itertools.pairwise(means.values()), strict=True))
    rises, falls = [f"{offset}" for offset, (a, b) in steps if b > a], [b < a for _, (a, b) in steps]
    if all(falls):
        return MONOTONE
    if not rises:
        return "falls, and never rises" if any(falls) else "never changes"
    return f"{'falls, but ' if any(falls) else ''}rises at offset {', '.join(rises)}"


EXPERIMENT = Experiment(
    name="offset",
    title="Relevance offset",
    columns=("task", "backbone", "offset", *JUDGED),
    paper="Groups of 2048 features that follow each other in the order of relevance: mean accuracy over VTAB-1k falls "
    "monotonically with the offset, so the score says how useful a feature is.",
    differs="Scores are those of the group lasso on damped features, and the head is ridge regression; offsets "
    "double, as neighbouring groups differ by less than the error of a test set.",
    measure=measure,
    draw=draw,
    findings=findings,
)
