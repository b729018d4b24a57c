"""How features are scaled before they are scored and used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean_by, ordered, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.scaling import DAMPED, NONE, SCALINGS, UNIT
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, best, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of each way to scale, for every task; selected features and all of them."""
    rows: Rows = []
    for task in laboratory.tasks:
        usual = study_of(laboratory, task)
        for name, (prepare, scaling) in SCALINGS.items():
            study = usual if name == DAMPED else TaskStudy(prepare(usual.rows), laboratory.settings, scaling)
            rows += _measured(study, name)
    return rows


def _measured(study: TaskStudy, name: str) -> Rows:
    judged = study.by_fraction()
    return [
        study.row(judged[best(judged)], scaling=name, method="head2toe", fraction=best(judged)),
        study.row(judged[max(judged)], scaling=name, method="all features", fraction=max(judged)),
    ]


def draw(rows: Rows) -> Figure:
    """Bars in groups, a group a task, a panel a method."""
    methods = values(rows, "method")
    figure, panels = style.axes(11.5, 4.2, len(methods), sharey=True)
    for ax, method in zip(panels, methods, strict=True):
        style.accuracy_bars(ax, where(rows, method=method), "scaling")
        ax.set_title(method)
    panels[0].set_ylabel(style.ACCURACY)
    style.legend_beside(panels[-1], title="scaling")
    return figure


def findings(rows: Rows) -> list[str]:
    """Compare the paper's way with none, and rank the ways."""
    means = {method: mean_by(where(rows, method=method), "scaling") for method in values(rows, "method")}
    gains = {method: found[UNIT] - found[NONE] for method, found in means.items()}
    listed = ", ".join(f"{gain:+.1f} points ({method})" for method, gain in gains.items())
    does = "does better" if all(gain > 0 for gain in gains.values()) else "does not always do better"
    return [
        f"The paper's norm {does} than features as they are: {listed}.",
        *(f"Mean accuracy, {method}: {ordered(found)}." for method, found in means.items()),
    ]


EXPERIMENT = Experiment(
    name="normalisation",
    title="Normalisation",
    columns=("task", "backbone", "scaling", "method", "fraction", *JUDGED),
    paper="Each layer's features are divided by their joint l2 norm before they are scored: layers differ in how loud "
    "they are.",
    differs=(
        "Compared with features as they are, standardised ones, and damped ones: divided by the root of their variance "
        "and the mean variance of their layer together. All other experiments use the last."
    ),
    measure=measure,
    draw=draw,
    findings=findings,
)
