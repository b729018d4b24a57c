"""Features selected on another task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, mean, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, study_of
from head2toe.errors import ParameterError
from head2toe.probes.ranking import top

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRACTION = 0.03


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of each task's head on the features that each task's ranking selects."""
    if len(laboratory.tasks) < 2:
        raise ParameterError("features selected on another task need two tasks: name more data")
    view, found = laboratory.settings.view, {}
    studies = {}
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        found[task.name] = study.columns.indices(view)[top(study.rank(study.everything), FRACTION)]
        studies[task.name] = study
    return [row for name, study in studies.items() for row in _of_target(name, study, found)]


def _of_target(target: str, study: TaskStudy, found: dict[str, np.ndarray]) -> Rows:
    indices = study.columns.indices(study.settings.view)

    def select(train: np.ndarray) -> dict[str, np.ndarray]:
        own = indices[top(study.rank(train), FRACTION)]
        return {**found, target: own}  # what another task selected has seen no image of this one

    judged = study.judge(select)
    return [study.row(one, selected_on=source, fraction=FRACTION) for source, one in judged.items()]


def draw(rows: Rows) -> Figure:
    """A matrix of differences from the own selection."""
    targets, sources = values(rows, "task"), values(rows, "task")
    figure, (ax,) = style.axes(2.6 + 1.1 * len(sources), 1.9 + 0.75 * len(targets))
    table = np.array([[_cell(rows, target, source) for source in sources] for target in targets])
    change = table - np.diag(table)[:, None]
    reach = max(1.0, float(np.abs(change).max()))
    image = ax.imshow(change, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        colour = "white" if abs(change[i, j]) > 0.65 * reach else "black"
        ax.text(j, i, f"{value:.1f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(sources)), sources, rotation=30, ha="right")
    ax.set_yticks(range(len(targets)), targets)
    ax.grid(visible=False)
    ax.set_xlabel("features selected on")
    ax.set_ylabel("head trained and tested on")
    ax.set_title(style.ACCURACY.capitalize())
    figure.colorbar(image, label="difference from own features (points)")
    return figure


def _cell(rows: Rows, target: str, source: str) -> float:
    return where(rows, task=target, selected_on=source)[0]["accuracy"]


def findings(rows: Rows) -> list[str]:
    """Compare own features with those of other tasks."""
    own = [row for row in rows if row["task"] == row["selected_on"]]
    other = [row for row in rows if row["task"] != row["selected_on"]]
    wins = sum(row["accuracy"] <= where(own, task=row["task"])[0]["accuracy"] for row in other)
    change = mean(other) - mean(own)
    return [
        (
            f"{as_in_paper(change < 0)}, features selected on another task {'do' if change < 0 else 'do not do'} worse "
            f"than own ones: {change:+.1f} points on average."
        ),
        (
            f"Mean accuracy with {100 * FRACTION:g} % of the features, selected on the task itself {mean(own):.1f}, on "
            f"another {mean(other):.1f}; the own selection is at least as good in {wins} of {len(other)} pairs."
        ),
    ]


EXPERIMENT = Experiment(
    name="other-task",
    title="Features selected on another task",
    columns=("task", "backbone", "selected_on", "fraction", *JUDGED),
    paper="Features selected on one task are used for the head of another. As recalled: they do worse than features "
    "selected on the task itself.",
    differs="One fraction for all pairs.",
    measure=measure,
    draw=draw,
    findings=findings,
)
