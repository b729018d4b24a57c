"""Single features against whole layers, and what lies between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, mean_by
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.scorers import interpolated
from head2toe.benchmark.experiments.task_study import JUDGED, Select, TaskStudy, best, study_of
from head2toe.probes.ranking import top

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
Option = tuple[float, float]


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy at each step from features to layers, for every task; the fraction is chosen by cross-validation."""
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        judged = study.judge(select_between(study))
        for step in STEPS:
            mine = {option: one for option, one in judged.items() if option[0] == step}
            chosen = best(mine)
            blocks = np.unique(_blocks(study, mine[chosen].kept)).size
            rows.append(study.row(mine[chosen], towards_layer=step, fraction=chosen[1], blocks=blocks))
    return rows


def select_between(study: TaskStudy) -> Select[Option]:
    """Keep each fraction below one by scores moved towards their layer's mean by each of `STEPS`."""
    indices, blocks = study.columns.indices(study.settings.view), study.columns.block_of(study.settings.view)
    fractions = [f for f in study.settings.fractions if f < 1]

    def select(train: np.ndarray) -> dict[Option, np.ndarray]:
        scores = study.rank(train)
        moved = {step: interpolated(scores, blocks, step) for step in STEPS}
        return {(step, f): indices[top(moved[step], f)] for step in STEPS for f in fractions}

    return select


def _blocks(study: TaskStudy, kept: np.ndarray) -> np.ndarray:
    places = np.searchsorted(study.columns.indices(study.settings.view), kept)
    return study.columns.block_of(study.settings.view)[places]


def draw(rows: Rows) -> Figure:
    """Accuracy against the step."""
    xlabel, title = "a: 0 selects single features, 1 whole layers", "Scores (1 - a) x feature + a x mean of its layer"
    return style.lines_by_task(rows, "towards_layer", xlabel, title)


def findings(rows: Rows) -> list[str]:
    """Compare the two ends and the best step."""
    means = mean_by(rows, "towards_layer")
    first = max(means, key=means.__getitem__)
    better = means[0.0] - means[1.0]
    return [
        (
            f"{as_in_paper(better > 0)}, single features {'do' if better > 0 else 'do not do'} better than whole "
            f"layers: {better:+.1f} points."
        ),
        (
            f"Mean accuracy with single features {means[0.0]:.1f}, with whole layers {means[1.0]:.1f}; "
            f"the best step from the first (a = 0) to the second (a = 1) is a = {first:g} with {means[first]:.1f}."
        ),
    ]


EXPERIMENT = Experiment(
    name="whole-layers",
    title="Features against whole layers",
    columns=("task", "backbone", "towards_layer", "fraction", "blocks", *JUDGED),
    paper=(
        "Features selected one by one are compared with layers selected as a whole, each by the mean score of its "
        "features, and with scores between the two. As recalled: single features do better."
    ),
    differs="At equal numbers of features the last layer of a whole-layer selection is cut; the fraction is chosen by "
    "cross-validation for each step.",
    measure=measure,
    draw=draw,
    findings=findings,
)
