"""Several target sizes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean_by, ordered
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, best, study_of
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
        alone = {}
        for size in sizes:
            study = study_of(laboratory, task, view=str(size))
            judged = study.by_fraction(str(size))
            fraction = best(judged)
            rows.append(study.row(judged[fraction], sizes=f"N = {size}", fraction=fraction))
            alone[size] = rows[-1]
        chosen = max(alone, key=lambda size: (alone[size]["cv_accuracy"], -alone[size]["features"]))
        rows.append({**alone[chosen], "sizes": CHOSEN})
        together = TaskStudy(laboratory.rows(task).restricted_to([str(size) for size in sizes]), laboratory.settings)
        judged = together.by_fraction("all")
        fraction = best(judged)
        rows.append(together.row(judged[fraction], sizes=TOGETHER, fraction=fraction))
    return rows


def draw(rows: Rows) -> Figure:
    """Bars in groups, a group a task."""
    return style.bars_by_task(rows, "sizes", "One target size, or several at once")


def findings(rows: Rows) -> list[str]:
    """Compare all sizes at once with one size, and rank the ways."""
    means = mean_by(rows, "sizes")
    gain = means[TOGETHER] - means[CHOSEN]
    return [
        (
            f"All sizes in one ranking do {'better' if gain > 0 else 'no better'} than the one size that CV chooses: "
            f"{gain:+.1f} points."
        ),
        f"Mean accuracy: {ordered(means)}.",
    ]


EXPERIMENT = Experiment(
    name="several-sizes",
    title="Several target sizes at once",
    columns=("task", "backbone", "sizes", "fraction", *JUDGED),
    paper="Features of several target sizes are put side by side and selected together.",
    differs="Blocks that two sizes share stand once in the ranking.",
    measure=measure,
    draw=draw,
    findings=findings,
)
