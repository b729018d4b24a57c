"""Domain affinity of a task, Acc(Linear) - Acc(Scratch), against what Head2Toe gains over the linear probe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.networks import check_images, check_network, trained
from head2toe.benchmark.experiments.task_study import best, study_of
from head2toe.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(laboratory: Laboratory) -> Rows:
    """Accuracies of the linear probe, Head2Toe and a network trained from scratch, all on images of one size."""
    if len(laboratory.tasks) < 2:
        raise ParameterError("affinity against gain needs two tasks: name more data")
    small = laboratory.at_training_size()
    check_network(small, pretrained=False)
    check_images(laboratory)
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(small, task)
        judged = study.by_fraction()
        linear, head2toe = (study.test_accuracy(one) for one in (study.linear(), judged[best(judged)]))
        labels = np.array(task.test.known_labels())
        scratch = 100 * float((trained(laboratory, task, pretrained=False).predict(task.test.images) == labels).mean())
        rows.append(
            {
                "task": task.name,
                "backbone": small.backbone,
                "image_size": small.settings.side,
                "linear": linear,
                "head2toe": head2toe,
                "scratch": scratch,
                "affinity": linear - scratch,
                "gain": head2toe - linear,
            }
        )
    return rows


def draw(rows: Rows) -> Figure:
    """Gain against affinity, a point a task."""
    figure, (ax,) = style.axes(6.5, 4.4)
    for i, row in enumerate(rows):
        ax.scatter(row["affinity"], row["gain"], s=55, **style.look(i), label=row["task"])
    ends = np.array([min(row["affinity"] for row in rows), max(row["affinity"] for row in rows)])
    if np.ptp(ends) > 1e-6:  # over a single place there is no line
        slope, level = np.polyfit([row["affinity"] for row in rows], [row["gain"] for row in rows], 1)
        ax.plot(ends, slope * ends + level, color="black", linestyle="--", label="least squares line")
    ax.axhline(0, color="#555555", linewidth=0.8)
    ax.margins(x=0.16, y=0.12)
    ax.set_xlabel("domain affinity: linear probe minus training from scratch (points)")
    ax.set_ylabel("gain of Head2Toe over the linear probe (points)")
    ax.set_title(f"Images of {rows[0]['image_size']} pixels")
    style.legend_beside(ax)
    return figure


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's; NaN where one of them does not vary."""
    if any(np.ptp(values) == 0 for values in (a, b)):  # scipy would warn
        return math.nan
    found: Any = spearmanr(a, b)
    return float(found.statistic)


def findings(rows: Rows) -> list[str]:
    """Give the correlation of affinity and gain."""
    rho = rank_correlation([row["affinity"] for row in rows], [row["gain"] for row in rows])
    listed = ", ".join(f"{row['task']} {row['affinity']:.1f} / {row['gain']:+.1f}" for row in rows)
    shown = "undefined, for one of them does not vary" if math.isnan(rho) else f"{rho:+.2f}"
    return [
        _verdict(rho, len(rows)),
        f"Rank correlation of affinity and gain over {len(rows)} tasks: {shown}.",
        f"Affinity / gain in points: {listed}.",
    ]


def _verdict(rho: float, tasks: int) -> str:
    """Whether the gain falls: ranks without any relation correlate with a standard error of 1 / sqrt(tasks - 1)."""
    chance = 2 / math.sqrt(tasks - 1)  # more than 1: so few tasks can tell nothing
    if rho <= -chance:
        return f"{as_in_paper(True)}, the gain falls with affinity."
    if rho >= chance:
        return f"{as_in_paper(False)}, the gain rises with affinity."
    return (
        f"{as_in_paper(False)}, the gain is not seen to fall with affinity: over {tasks} tasks a rank correlation "
        f"within {min(1.0, chance):.2f} of 0 (two standard errors) may be chance."
    )


EXPERIMENT = Experiment(
    name="affinity",
    title="Domain affinity against gain",
    columns=("task", "backbone", "image_size", "linear", "head2toe", "scratch", "affinity", "gain"),
    paper="The lower a task's domain affinity, Acc(Linear) - Acc(Scratch), the more Head2Toe gains over the probe.",
    differs="Small images and few steps of training from scratch, what two cores can afford; all methods see the same "
    "images.",
    measure=measure,
    draw=draw,
    findings=findings,
)
