"""How finely each layer is pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean_by, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, best, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINE, COARSE = "caltech101", "orientation"  # tasks of both the paper and the shared data


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy at each target size, for every task; the fraction is chosen by cross-validation."""
    rows: Rows = []
    for task in laboratory.tasks:
        for size in sorted(laboratory.settings.target_sizes):
            study = study_of(laboratory, task, view=str(size))
            judged = study.by_fraction(str(size))
            chosen = best(judged)
            width = study.columns.width(str(size))
            rows.append(study.row(judged[chosen], target_size=size, fraction=chosen, of=width))
    return rows


def draw(rows: Rows) -> Figure:
    """Accuracy against target size."""
    xlabel = "target size N: numbers wanted of each layer"
    return style.lines_by_task(rows, "target_size", xlabel, "Target size", log=True)


def findings(rows: Rows) -> list[str]:
    """Name the best size of all tasks, and of each."""
    means = mean_by(rows, "target_size")
    first = max(means, key=means.__getitem__)
    own = {
        task: max(where(rows, task=task), key=lambda row: row["accuracy"])["target_size"]
        for task in values(rows, "task")
    }
    listed = ", ".join(f"{task} {size}" for task, size in own.items())
    text = ", ".join(f"{value:.1f} (N = {size})" for size, value in means.items())
    return [
        *_verdict(own),
        f"Mean accuracy: {text}; best for all is N = {first}.",
        f"Best on the test images of each: {listed}.",
    ]


def _verdict(own: dict[str, int]) -> list[str]:
    """Whether the two tasks whose sizes the official code names differ as they do there."""
    if not {FINE, COARSE} <= own.keys():
        return []
    agrees = own[FINE] > own[COARSE]
    begun = f"{'As' if agrees else 'Unlike'} in the settings of the official code"
    more = "a larger size" if agrees else "no larger size"
    return [f"{begun}, {FINE} does best with {more} ({own[FINE]}) than {COARSE} ({own[COARSE]})."]


EXPERIMENT = Experiment(
    name="target-size",
    title="Target size",
    columns=("task", "backbone", "target_size", "fraction", "of", *JUDGED),
    paper="The target size is chosen for each task by cross-validation; for ResNet-50 among 512, 8192 and 24576. "
    f"The settings that the official code gives name 8192 for {FINE} and 512 for {COARSE}.",
    differs="Smaller sizes, that two cores can rank in seconds.",
    measure=measure,
    draw=draw,
    findings=findings,
)
