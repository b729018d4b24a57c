"""How much a selection changes with the training images drawn, and whether averaged scores help."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, deviation, mean, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.scorers import Question, group_lasso
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, study_of
from head2toe.errors import TooFewImagesError
from head2toe.probes.folds import stratified_folds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = 5  # a draw leaves out one part in five
ONE_DRAW, WHOLE, AVERAGED = "a draw of 80 % of the images", "all images", "all images, scores averaged over draws"


def measure(laboratory: Laboratory) -> Rows:
    """Overlap and accuracy of selections on draws of the training images, and accuracy with averaged scores."""
    rows: Rows = []
    for task in laboratory.tasks:
        check_count(len(task.train), task.name, laboratory.settings.folds)
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        everything = study.rows
        check_count(len(everything.y), task.name, laboratory.settings.folds)  # without those that cannot be read
        rows += _rows(study, WHOLE, group_lasso)
        rows += _rows(study, AVERAGED, averaged(laboratory.settings.repeats))
        parts = draws(everything.y, laboratory.settings.repeats, laboratory.settings.seed)
        drawn = [
            _rows(TaskStudy(everything.of_images(part), laboratory.settings), ONE_DRAW, group_lasso) for part in parts
        ]
        for same in zip(*drawn, strict=True):
            overlap = mean_overlap([row["kept"] for row in same])
            rows += [{**row, "draw": i, "overlap": overlap} for i, row in enumerate(same)]
    return [{name: value for name, value in row.items() if name != "kept"} for row in rows]


def check_count(n: int, task: str, folds: int) -> None:
    """Refuse training images so few that without a fold they are no longer enough for a draw.

    Raises
    ------
    TooFewImagesError
    """
    needed = next(k for k in itertools.count(PARTS) if k - math.ceil(k / min(folds, k)) >= PARTS)
    if n < needed:
        raise TooFewImagesError(
            f"{task}: {n} training images, and draws of {PARTS - 1} of {PARTS} parts of them in {folds} folds need "
            f"{needed}: add some"
        )


def _rows(study: TaskStudy, selection: str, scorer: Any) -> Rows:
    judged = study.by_fraction(scorer=scorer)
    return [
        {**study.row(one, selection=selection, fraction=f, draw=None, overlap=None), "kept": one.kept}
        for f, one in judged.items()
        if f < 1
    ]


def draws(y: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Stratified draws of four fifths of the rows."""
    return [stratified_folds(y, PARTS, random_state=seed + 1 + i)[0].train for i in range(count)]


def averaged(count: int) -> Any:
    """Average group lasso scores, each divided by its mean, over draws of the rows that a scorer may see."""

    def scorer(question: Question) -> np.ndarray:
        y = question.targets.argmax(dim=1).numpy()
        total = np.zeros(len(question.indices))
        for part in draws(y, count, question.seed):
            scores = group_lasso(replace(question, train=question.train[part], targets=question.targets[part]))
            total += scores / max(scores.mean(), 1e-300)
        return total / count

    return scorer


def mean_overlap(kept: list[np.ndarray]) -> float:
    """Mean intersection over union of all pairs."""
    pairs = itertools.combinations(kept, 2)
    shares = [len(np.intersect1d(a, b)) / len(np.union1d(a, b)) for a, b in pairs]
    return float(np.mean(shares)) if shares else 1.0


def draw(rows: Rows) -> Figure:
    """Overlap and accuracy against fraction."""
    figure, (left, right) = style.axes(13, 4.2, 2)
    drawn = [{**row, "percent": 100 * row["fraction"]} for row in where(rows, selection=ONE_DRAW, draw=0)]
    style.lines(left, drawn, "percent", "task", "overlap")
    percents = sorted({row["percent"] for row in drawn})
    chance = [p / (200 - p) for p in percents]
    left.plot(percents, chance, color="#555555", linestyle=":", label="chance")
    left.set_ylabel("intersection over union of two selections")
    left.set_ylim(0, 1)
    left.set_title("Overlap between draws")
    for i, selection in enumerate(values(rows, "selection")):
        mine = where(rows, selection=selection)
        means = {100 * f: mean(where(mine, fraction=f)) for f in values(mine, "fraction")}
        right.plot(*_xy(means), **style.look(i), label=selection)
    right.set_ylabel("mean " + style.ACCURACY)
    right.set_title("Accuracy")
    for ax in (left, right):
        style.plain_log(ax, percents)
        ax.set_xlabel("features kept, F (%)")
        style.legend_beside(ax)
    return figure


def _xy(means: dict[float, float]) -> tuple[list[float], list[float]]:
    return list(means), list(means.values())


def findings(rows: Rows) -> list[str]:
    """Give the overlap at each fraction, and what averaging brings."""
    drawn = where(rows, selection=ONE_DRAW, draw=0)
    overlap = ", ".join(
        f"{mean(where(drawn, fraction=f), 'overlap'):.2f} (F = {100 * f:g} %)" for f in values(drawn, "fraction")
    )
    spread = [
        deviation(where(rows, selection=ONE_DRAW, task=task, fraction=f))
        for task in values(rows, "task")
        for f in values(drawn, "fraction")
    ]
    gain = mean(where(rows, selection=AVERAGED)) - mean(where(rows, selection=WHOLE))
    return [
        f"Mean overlap of two selections: {overlap}.",
        f"Accuracy varies between draws with a standard deviation of {np.mean(spread):.1f} points on average.",
        f"Averaging scores over draws changes mean accuracy by {gain:+.1f} points.",
    ]


EXPERIMENT = Experiment(
    name="stability",
    title="Stability of the selection",
    columns=("task", "backbone", "selection", "draw", "fraction", "overlap", *JUDGED),
    paper="Scores come from training runs with seeds; they are compared, and can be averaged over runs.",
    differs="The group lasso is solved without chance, so draws of the training images take the place of seeds: they "
    "differ in a fifth of the images, which is harder.",
    measure=measure,
    draw=draw,
    findings=findings,
)
