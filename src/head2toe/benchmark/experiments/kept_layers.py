"""From which layers the kept features come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, as_in_paper, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.task_study import TaskStudy, best, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(laboratory: Laboratory) -> Rows:
    """Features that each task keeps of each layer, at the fraction below one that cross-validation chooses."""
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        judged = {f: one for f, one in study.by_fraction().items() if f < 1}
        chosen = best(judged)
        rows += [
            {"task": task.name, "backbone": study.rows.backbone, "fraction": chosen, **row}
            for row in by_layer(study, judged[chosen].kept)
        ]
    return rows


def by_layer(study: TaskStudy, kept: np.ndarray) -> Rows:
    """Kept and all features of each layer of the view, in order of execution."""
    counts: dict[str, list[int]] = {}
    for number in study.columns.views[study.settings.view]:
        block = study.columns.blocks[number]
        inside = int(np.count_nonzero((kept >= block.start) & (kept < block.stop)))
        count = counts.setdefault(block.layer, [0, 0])
        count[0] += inside
        count[1] += block.width
    return [
        {"depth": depth, "layer": layer, "kept": count[0], "of": count[1]}
        for depth, (layer, count) in enumerate(counts.items())
    ]


def draw(rows: Rows) -> Figure:
    """Share of each layer that is kept, a panel a task, from the input to the output."""
    tasks = values(rows, "task")
    figure, panels = style.axes(8.5, 1.4 + 1.25 * len(tasks), rows=len(tasks), sharex=True)
    for i, (ax, task) in enumerate(zip(panels, tasks, strict=True)):
        mine = where(rows, task=task)
        shares = [100 * row["kept"] / row["of"] for row in mine]
        ax.bar([row["depth"] for row in mine], shares, width=0.85, color=style.COLOURS[i % 10])
        ax.grid(axis="x", visible=False)
        ax.set_title(f"{task}, F = {100 * mine[0]['fraction']:g} %", loc="left", fontsize=10)
    layers = [row["layer"] for row in where(rows, task=tasks[0])]
    shown = np.unique(np.linspace(0, len(layers) - 1, min(12, len(layers))).round().astype(int))
    panels[-1].set_xticks(shown, [layers[i] for i in shown], rotation=35, ha="right")
    panels[-1].set_xlabel("layer, from input to output")
    figure.supylabel("kept features of the layer (%)", fontsize=10)
    return figure


def findings(rows: Rows) -> list[str]:
    """Tell how deep the kept features lie, and from how many layers they come."""
    lines = [_verdict(rows)]
    for task in values(rows, "task"):
        mine = where(rows, task=task)
        depth = max(row["depth"] for row in mine) or 1
        kept = sum(row["kept"] for row in mine)
        centre = sum(row["kept"] * row["depth"] for row in mine) / kept / depth
        used = sum(row["kept"] > 0 for row in mine)
        lines.append(
            f"{task}: {kept} features from {used} of {len(mine)} layers, at a mean depth of {100 * centre:.0f} % "
            "(0 % input, 100 % output)."
        )
    return lines


def _verdict(rows: Rows) -> str:
    """Whether every task keeps features of several layers."""
    used = {task: sum(row["kept"] > 0 for row in where(rows, task=task)) for task in values(rows, "task")}
    alone = [task for task, count in used.items() if count < 2]
    if alone:
        return f"{as_in_paper(False)}, {', '.join(alone)} keeps features of one layer alone."
    fewest, most = min(used, key=used.__getitem__), max(used, key=used.__getitem__)
    return (
        f"{as_in_paper(True)}, the kept features are of several layers in every task, from {used[fewest]} ({fewest}) "
        f"to {used[most]} ({most})."
    )


EXPERIMENT = Experiment(
    name="kept-layers",
    title="Kept features of each layer",
    columns=("task", "backbone", "fraction", "depth", "layer", "kept", "of"),
    paper="The kept features of each layer are counted for each task. As recalled: they come from all over the "
    "network, and from other layers for other tasks.",
    differs="The share of each layer is shown, as layers differ in their numbers of features.",
    measure=measure,
    draw=draw,
    findings=findings,
)
