"""One extra layer beside the last: what any single intermediate layer adds (section 2 of the paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, mean, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import JUDGED, TaskStudy, best, study_of
from head2toe.probes.columns import LINEAR_VIEW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINEAR = "none (linear probe)"
MOST_LAYERS = 32  # evenly spaced over the depth, where there are more


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of the last layer together with each other layer, for every task."""
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        extra = with_each_layer(study)
        judged = study.judge(lambda _, extra=extra: extra)
        chosen = best({layer: one for layer, one in judged.items() if layer != LINEAR})
        for depth, (layer, one) in enumerate(judged.items()):
            at = None if layer == LINEAR else depth - 1
            rows.append(study.row(one, layer=layer, depth=at, chosen=layer == chosen))
    return rows


def with_each_layer(study: TaskStudy) -> dict[str, np.ndarray]:
    """Columns of the linear probe alone, and with those of other layers of the view, in order of execution."""
    last = study.columns.indices(LINEAR_VIEW)
    found: dict[str, np.ndarray] = {LINEAR: last}
    for number in study.columns.views[study.settings.view]:
        block = study.columns.blocks[number]
        own = np.arange(block.start, block.stop)
        found[block.layer] = np.union1d(found.get(block.layer, last), own)
    layers = [layer for layer, columns in found.items() if len(columns) > len(last)]
    places = np.linspace(0, len(layers) - 1, min(MOST_LAYERS, len(layers))).round().astype(int)
    return {layer: found[layer] for layer in (LINEAR, *(layers[i] for i in places))}


def draw(rows: Rows) -> Figure:
    """Gain over the linear probe against the depth of the extra layer."""
    figure, (ax,) = style.axes(8.5, 4.4)
    for i, task in enumerate(values(rows, "task")):
        mine = where(rows, task=task)
        base = where(mine, layer=LINEAR)[0]["accuracy"]
        layers = [row for row in mine if row["layer"] != LINEAR]
        deepest = max(1, len(layers) - 1)
        gains = [row["accuracy"] - base for row in layers]
        look = style.look(i)
        ax.plot([100 * j / deepest for j in range(len(layers))], gains, **look, markersize=3, label=task)
        j = next(j for j, row in enumerate(layers) if row["chosen"])
        ring = {"s": 90, "facecolors": "none", "edgecolors": look["color"], "linewidths": 1.8, "zorder": 6}
        ax.scatter(100 * j / deepest, gains[j], **ring)
    ax.scatter([], [], s=80, facecolors="none", edgecolors="#555555", label="layer chosen by CV")
    ax.axhline(0, color="#555555", linestyle=":", label="linear probe")
    ax.set_xlabel("depth of the extra layer (%: 0 input, 100 output)")
    ax.set_ylabel("gain over the linear probe (points)")
    ax.set_title("The last layer and one more")
    style.legend_beside(ax)
    return figure


def findings(rows: Rows) -> list[str]:
    """Compare the linear probe, the layer chosen by cross-validation and the best one on the test images."""
    base = mean(where(rows, layer=LINEAR))
    chosen = mean(where(rows, chosen=True))
    extra = [row for row in rows if row["layer"] != LINEAR]
    oracle = [max(row["accuracy"] for row in where(extra, task=task)) for task in values(rows, "task")]
    return [
        _verdict(rows),
        (
            f"Mean accuracy: linear probe {base:.1f}, with the extra layer that CV chooses {chosen:.1f}, with "
            f"the one that is best on the test images (an oracle, as in the paper) {sum(oracle) / len(oracle):.1f}."
        ),
    ]


def _verdict(rows: Rows) -> str:
    """Whether the layer that cross-validation chooses helps."""
    gains = [
        where(rows, task=task, chosen=True)[0]["accuracy"] - where(rows, task=task, layer=LINEAR)[0]["accuracy"]
        for task in values(rows, "task")
    ]
    change, helped = sum(gains) / len(gains), sum(gain > 0 for gain in gains)
    what = "an intermediate layer helps" if change > 0 else "an intermediate layer does not help"
    return (
        f"{as_in_paper(change > 0)}, {what}: the one that CV chooses changes accuracy by {change:+.1f} points on "
        f"average, and raises it on {helped} of {len(gains)} tasks."
    )


EXPERIMENT = Experiment(
    name="one-layer",
    title="One extra layer at a time",
    columns=("task", "backbone", "layer", "depth", "chosen", *JUDGED),
    paper="Section 2 adds one layer at a time to the linear probe, and looks at what the best one brings. As recalled: "
    "it raises accuracy, as intermediate layers still know what the last one has lost.",
    differs=f"Damped features and a ridge head; at most {MOST_LAYERS} layers, evenly spaced over the depth.",
    measure=measure,
    draw=draw,
    findings=findings,
)
