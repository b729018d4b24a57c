"""How finely each layer is pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.bench import bench_of, best
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean_by, values
from head2toe.benchmark.experiments.laboratory import Laboratory

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy at each target size, for every task; the fraction is chosen by cross-validation."""
    rows: Rows = []
    for task in laboratory.tasks:
        for size in sorted(laboratory.settings.target_sizes):
            bench = bench_of(laboratory, task, view=str(size))
            judged = bench.by_fraction(str(size))
            chosen = best(judged)
            width = bench.columns.width(str(size))
            rows.append(bench.row(judged[chosen], target_size=size, fraction=chosen, of=width))
    return rows


def draw(rows: Rows) -> Figure:
    """Accuracy against target size."""
    figure, (ax,) = style.axes()
    style.lines(ax, rows, "target_size", "task")
    style.mean_line(ax, mean_by(rows, "target_size"))
    style.plain_log(ax, values(rows, "target_size"))
    ax.set_xlabel("target size N: numbers wanted of each layer")
    ax.set_ylabel(style.ACCURACY)
    ax.set_title("Target size")
    style.legend_beside(ax)
    return figure


def findings(rows: Rows) -> list[str]:
    """Name the best size of all tasks, and of each."""
    means = mean_by(rows, "target_size")
    first = max(means, key=means.__getitem__)
    own = (
        f"{task} {max((row for row in rows if row['task'] == task), key=lambda row: row['accuracy'])['target_size']}"
        for task in values(rows, "task")
    )
    text = ", ".join(f"{value:.1f} (N = {size})" for size, value in means.items())
    return [
        f"Mean accuracy: {text}; best for all is N = {first}.",
        f"Best on the test images of each: {', '.join(own)}.",
    ]


EXPERIMENT = Experiment(
    name="target-size",
    title="Target size",
    columns=(
        *("task", "backbone", "target_size", "fraction", "of", "features", "strength"),
        *("cv_accuracy", "accuracy", "standard_error"),
    ),
    paper="The target size is chosen for each task by cross-validation; for ResNet-50 among 512, 8192 and 24576.",
    differs="Smaller sizes, that two cores can rank in seconds.",
    measure=measure,
    draw=draw,
    findings=findings,
)
