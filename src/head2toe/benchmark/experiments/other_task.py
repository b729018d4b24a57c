"""Features selected on another task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, mean, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, study_of
from head2toe.data import Images
from head2toe.data.copies import copies
from head2toe.data.views import picked
from head2toe.errors import ParameterError, TooFewImagesError
from head2toe.probes.ranking import top

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRACTION = 0.03


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of each task's head on the features that each task's ranking selects."""
    if len(laboratory.tasks) < 2:
        raise ParameterError("features selected on another task need two tasks: name more data")
    studies = {task.name: study_of(laboratory, task) for task in laboratory.tasks}
    return [row for name in studies for row in _of_target(name, studies)]


def _of_target(target: str, studies: dict[str, TaskStudy]) -> Rows:
    study = studies[target]
    indices = study.columns.indices(study.settings.view)

    def select(train: np.ndarray) -> dict[str, np.ndarray]:
        held_out = picked(study.rows.images, np.setdiff1d(study.everything, train).tolist())
        scores = {name: other.rank(_unseen(other, held_out)) for name, other in studies.items() if name != target}
        scores[target] = study.rank(train)
        return {name: indices[top(scores[name], FRACTION)] for name in studies}

    judged = study.judge(select)
    return [study.row(one, selected_on=source, fraction=FRACTION) for source, one in judged.items()]


def _unseen(study: TaskStudy, held_out: Images) -> np.ndarray:
    """The rows of a task that are not of images held out from another one.

    Raises
    ------
    TooFewImagesError
        There are hardly any.
    """
    unseen = study.everything[~np.array(copies(study.rows.images, held_out))]
    if len(np.unique(study.rows.y[unseen])) < 2:
        raise TooFewImagesError(
            f"{study.rows.task}: without the images that it shares with another task, and that a fold of that one "
            "holds out, it has no two classes to select features by: add images of its own, or leave it out"
        )
    return unseen


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
    differs="One fraction for all pairs. Where two tasks share training images, as location and orientation do, a "
    "selection on the other task leaves out those that a fold holds out.",
    measure=measure,
    draw=draw,
    findings=findings,
)
