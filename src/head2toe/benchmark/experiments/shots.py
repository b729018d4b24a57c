"""Fewer training images: the same number of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, deviation, mean, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, best, study_of
from head2toe.errors import ClassTooSmallError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINEAR, HEAD2TOE, ALL = "linear", "head2toe", "all features"


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of three methods for each number of images a class, repeated draws.

    Raises
    ------
    ClassTooSmallError
        A class has fewer images than any of these numbers.
    """
    rows: Rows = []
    for task in laboratory.tasks:
        everything = study_of(laboratory, task).rows
        least = int(np.bincount(everything.y).min())
        possible = [k for k in laboratory.settings.shots if k <= least]
        if not possible:
            fewest = min(laboratory.settings.shots)
            small = f"{task.name}: {least} of its images are of its smallest class, and {fewest} are needed"
            raise ClassTooSmallError(f"{small}: add images to that class, or leave it out")
        for shots in possible:
            for draw in range(laboratory.settings.repeats):
                chosen = balanced(everything.y, shots, laboratory.settings.seed + draw)
                study = TaskStudy(everything.of_images(chosen), laboratory.settings)
                rows += [{**row, "shots": shots, "draw": draw, "n": len(chosen)} for row in _methods(study)]
    return rows


def balanced(y: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """`shots` rows of each class, ascending; draws of fewer shots are parts of those of more."""
    order = np.random.default_rng(seed).permutation(len(y))
    return np.sort(np.concatenate([order[y[order] == label][:shots] for label in np.unique(y)]))


def _methods(study: TaskStudy) -> Rows:
    judged = study.by_fraction()
    everything = max(judged)
    return [
        study.row(study.linear(), method=LINEAR, fraction=None),
        study.row(judged[best(judged)], method=HEAD2TOE, fraction=best(judged)),
        study.row(judged[everything], method=ALL, fraction=everything),
    ]


def draw(rows: Rows) -> Figure:
    """Accuracy against images a class, a panel a task; bands are one standard deviation over the draws."""
    tasks = values(rows, "task")
    figure, panels = style.axes(2.2 + 2.9 * len(tasks), 3.8, len(tasks))
    for ax, task in zip(panels, tasks, strict=True):
        _panel(ax, where(rows, task=task))
        ax.set_title(task)
    panels[0].set_ylabel(style.ACCURACY)
    style.legend_beside(panels[-1])
    return figure


def _panel(ax: Axes, rows: Rows) -> None:
    shots = values(rows, "shots")
    for i, method in enumerate(values(rows, "method")):
        mine = where(rows, method=method)
        draws = [where(mine, shots=k) for k in shots]
        middle, spread = np.array([mean(one) for one in draws]), np.array([deviation(one) for one in draws])
        ax.plot(shots, middle, color=style.COLOURS[i], marker=style.MARKERS[i], label=method)
        if len(shots) == 1:  # a band over one place has no area
            ax.errorbar(shots, middle, spread, color=style.COLOURS[i])
        ax.fill_between(shots, middle - spread, middle + spread, color=style.COLOURS[i], alpha=0.15, linewidth=0)
    style.plain_log(ax, shots)
    ax.set_xlabel("training images a class")


def findings(rows: Rows) -> list[str]:
    """Give the gain over the linear probe for each number of images."""
    lines = [_ahead(rows)]
    for task in values(rows, "task"):
        mine = where(rows, task=task)
        gains = (
            f"{mean(where(mine, shots=k, method=HEAD2TOE)) - mean(where(mine, shots=k, method=LINEAR)):+.1f} ({k})"
            for k in values(mine, "shots")
        )
        lines.append(f"{task}: gain over the linear probe in points (images a class): {', '.join(gains)}.")
    return lines


def _ahead(rows: Rows) -> str:
    """On how many tasks Head2Toe beats the linear probe, by images a class."""
    counts = []
    for k in sorted(values(rows, "shots")):
        mine = where(rows, shots=k)
        tasks = values(mine, "task")
        won = sum(
            mean(where(mine, task=task, method=HEAD2TOE)) > mean(where(mine, task=task, method=LINEAR))
            for task in tasks
        )
        counts.append(f"{won} of {len(tasks)} ({k})")
    return f"Tasks in which Head2Toe is ahead of the linear probe (images a class): {', '.join(counts)}."


EXPERIMENT = Experiment(
    name="shots",
    title="Fewer training images",
    columns=("task", "backbone", "shots", "n", "draw", "method", "fraction", *JUDGED),
    paper="Head2Toe is compared with the linear probe on fewer images, the same number of each class.",
    differs="A task is measured up to the number of images that its smallest class has.",
    measure=measure,
    draw=draw,
    findings=findings,
)
