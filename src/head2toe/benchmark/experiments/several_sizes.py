"""Several target sizes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.bench import Bench, Judged, best
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean_by, ordered, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOGETHER, CHOSEN = "all sizes in one ranking", "one size, by CV"


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of each size, of all of them in one ranking, and of the size that cross-validation chooses."""
    sizes = sorted(laboratory.settings.target_sizes)
    if len(sizes) < 2:
        raise ParameterError("several sizes at once need several target sizes: give --target-size twice or more")
    rows: Rows = []
    for task in laboratory.tasks:
        bench = Bench(laboratory.rows(task).of_views([str(size) for size in sizes]), laboratory.settings)
        alone: dict[tuple[str, float], Judged] = {}
        for size in sizes:
            judged = bench.judge(bench.fractions(str(size)))
            alone.update({(str(size), fraction): one for fraction, one in judged.items()})
        for size in sizes:
            mine = {option: one for option, one in alone.items() if option[0] == str(size)}
            rows.append(_row(bench, f"N = {size}", best(mine)[1], mine[best(mine)]))
        rows.append(_row(bench, CHOSEN, best(alone)[1], alone[best(alone)]))
        together = bench.judge(bench.fractions("all"))
        rows.append(_row(bench, TOGETHER, best(together), together[best(together)]))
    return rows


def _row(bench: Bench, sizes: str, fraction: float, judged: Judged) -> dict:
    return bench.row(judged, sizes=sizes, fraction=fraction)


def draw(rows: Rows) -> Figure:
    """Bars in groups, a group a task."""
    figure, (ax,) = style.axes(8.5, 4.2)
    tasks, sizes = values(rows, "task"), values(rows, "sizes")
    found = {size: [where(rows, task=task, sizes=size)[0] for task in tasks] for size in sizes}
    heights = {size: [row["accuracy"] for row in mine] for size, mine in found.items()}
    errors = {size: [row["standard_error"] for row in mine] for size, mine in found.items()}
    style.grouped_bars(ax, tasks, heights, errors)
    ax.set_ylabel(style.ACCURACY)
    ax.set_title("One target size, or several at once")
    style.legend_beside(ax)
    return figure


def findings(rows: Rows) -> list[str]:
    """Rank the ways."""
    return [f"Mean accuracy: {ordered(mean_by(rows, 'sizes'))}."]


EXPERIMENT = Experiment(
    name="several-sizes",
    title="Several target sizes at once",
    columns=(
        *("task", "backbone", "sizes", "fraction", "features", "strength"),
        *("cv_accuracy", "accuracy", "standard_error"),
    ),
    paper="Features of several target sizes are put side by side and selected together.",
    differs="Blocks that two sizes share stand once in the ranking.",
    measure=measure,
    draw=draw,
    findings=findings,
)
