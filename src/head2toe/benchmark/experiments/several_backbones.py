"""Several backbones side by side."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean, mean_by, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory, TaskRows
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, best, study_of
from head2toe.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINEAR, HEAD2TOE = "linear", "head2toe"


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of the linear probe and of Head2Toe on each backbone, and on all of them together."""
    if len(laboratory.specs) < 2:
        raise ParameterError("several backbones need two different ones: give --backbone twice or more")
    rows: Rows = []
    for task in laboratory.tasks:
        alone = [study_of(laboratory, task, label) for label in laboratory.specs]
        together = TaskStudy(reduce(TaskRows.beside, (study.rows for study in alone)), laboratory.settings)
        for study in (*alone, together):
            judged = study.by_fraction()
            rows.append(study.row(study.linear(), method=LINEAR, fraction=None))
            rows.append(study.row(judged[best(judged)], method=HEAD2TOE, fraction=best(judged)))
    return rows


def draw(rows: Rows) -> Figure:
    """Bars in groups, a group a task, a panel a method."""
    methods = values(rows, "method")
    figure, panels = style.axes(11.5, 4.2, len(methods), sharey=True)
    for ax, method in zip(panels, methods, strict=True):
        style.accuracy_bars(ax, where(rows, method=method), "backbone")
        ax.set_title("linear probe" if method == LINEAR else method)
    panels[0].set_ylabel(style.ACCURACY)
    style.legend_beside(panels[-1])
    return figure


def findings(rows: Rows) -> list[str]:
    """Give the means of each backbone and method."""
    lines = [_together(rows)]
    for name in values(rows, "backbone"):
        mine = where(rows, backbone=name)
        linear, probe = mean(where(mine, method=LINEAR)), mean(where(mine, method=HEAD2TOE))
        lines.append(f"{name}: linear probe {linear:.1f}, Head2Toe {probe:.1f}.")
    return lines


def _together(rows: Rows) -> str:
    """Whether all backbones at once, the last of them, do better with Head2Toe than the best alone."""
    means = mean_by(where(rows, method=HEAD2TOE), "backbone")
    *alone, together = means
    best_alone = max(alone, key=means.__getitem__)
    gain = means[together] - means[best_alone]
    return (
        f"Together the backbones do {'better' if gain > 0 else 'no better'} with Head2Toe than the best of them alone, "
        f"{best_alone}: {gain:+.1f} points."
    )


EXPERIMENT = Experiment(
    name="backbones",
    title="Several backbones",
    columns=("task", "backbone", "method", "fraction", *JUDGED),
    paper="Features of several backbones are put side by side and selected together.",
    differs="Other, smaller backbones.",
    measure=measure,
    draw=draw,
    findings=findings,
)
