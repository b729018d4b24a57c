"""How many features to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, mean, mean_by, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, best, study_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINEAR = "linear"


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy at each fraction and of the linear probe, for every task and backbone."""
    rows: Rows = []
    for label in laboratory.specs:
        for task in laboratory.tasks:
            study = study_of(laboratory, task, label)
            judged = study.by_fraction()
            chosen = best(judged)
            rows += [study.row(one, method="head2toe", fraction=f, chosen=f == chosen) for f, one in judged.items()]
            rows.append(study.row(study.linear(), method=LINEAR, fraction=None, chosen=True))
    return rows


def draw(rows: Rows) -> Figure:
    """Accuracy against fraction; hollow rings show cross-validation's choice, dotted lines the linear probe."""
    labels = values(rows, "backbone")
    figure, panels = style.axes(2.2 + 4.4 * len(labels), 4.2, len(labels), sharey=True)
    for ax, label in zip(panels, labels, strict=True):
        _panel(ax, where(rows, backbone=label))
        ax.set_title(label)
    panels[0].set_ylabel(style.ACCURACY)
    style.legend_beside(panels[-1])
    return figure


def _panel(ax: Axes, rows: Rows) -> None:
    curves = [{**row, "percent": 100 * row["fraction"]} for row in rows if row["method"] != LINEAR]
    style.lines(ax, curves, "percent", "task")
    for i, task in enumerate(values(rows, "task")):
        (linear,), (chosen,) = where(rows, task=task, method=LINEAR), where(curves, task=task, chosen=True)
        colour, dots = style.look(i)["color"], style.DOTS[i // len(style.COLOURS) % len(style.DOTS)]
        ax.axhline(linear["accuracy"], color=colour, linestyle=dots, linewidth=1.1)
        ring = {"s": 110, "facecolors": "none", "edgecolors": colour, "linewidths": 1.6, "zorder": 6}
        ax.scatter(chosen["percent"], chosen["accuracy"], **ring)
    style.mean_line(ax, mean_by(curves, "percent"))
    ax.plot([], [], color="#555555", linestyle=":", label="linear probe")
    ax.scatter([], [], s=80, facecolors="none", edgecolors="#555555", label="chosen by CV")
    style.plain_log(ax, values(curves, "percent"))
    ax.set_xlabel("features kept, F (%)")


def findings(rows: Rows) -> list[str]:
    """Compare all features, the chosen fraction and the linear probe."""
    curves = [row for row in rows if row["method"] != LINEAR]
    means = mean_by(curves, "fraction")
    first = max(means, key=means.__getitem__)
    better = mean(where(curves, chosen=True)) - means[max(means)]
    does = "does" if better > 0 else "does not do"
    return [
        (
            f"{as_in_paper(better > 0)}, the part that CV chooses {does} better than all features: {better:+.1f} "
            "points on average."
        ),
        (
            f"Mean accuracy: linear probe {mean(where(rows, method=LINEAR)):.1f}, "
            f"all features {means[max(means)]:.1f}, "
            f"at the fraction that CV chooses {mean(where(curves, chosen=True)):.1f}."
        ),
        f"The best single fraction for all tasks is {first:g} with {means[first]:.1f}.",
    ]


EXPERIMENT = Experiment(
    name="fraction",
    title="Fraction of features kept",
    columns=("task", "backbone", "method", "fraction", "chosen", *JUDGED),
    paper="The fraction is chosen for each task by cross-validation among about 18 in [0.0005, 1]. As recalled: the "
    "part that is kept does better on average than a regularised head on all features.",
    differs="The head is ridge regression, which does better with all features than the paper's unregularised one.",
    measure=measure,
    draw=draw,
    findings=findings,
)
