"""The group lasso against other ways to score features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import (
    Experiment,
    Rows,
    as_in_paper,
    mean,
    mean_by,
    ordered,
    values,
    where,
)
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.sklearn_scorers import ALL_SCORERS
from head2toe.benchmark.experiments.task_study import JUDGED, best, study_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUP_LASSO, RANDOM = "group lasso", "random"


def measure(laboratory: Laboratory) -> Rows:
    """Accuracy of each scorer at each fraction, for every task."""
    rows: Rows = []
    for task in laboratory.tasks:
        study = study_of(laboratory, task)
        for name, scorer in ALL_SCORERS.items():
            laboratory.progress(f"{task.name}: {name}")
            judged = study.by_fraction(scorer=scorer)
            parts = {fraction: one for fraction, one in judged.items() if fraction < 1}  # all of them need no scorer
            chosen = best(parts)
            rows += [study.row(one, scorer=name, fraction=f, chosen=f == chosen) for f, one in parts.items()]
    return rows


def draw(rows: Rows) -> Figure:
    """Mean accuracy against fraction, and at the fraction that cross-validation chooses."""
    figure, (left, right) = style.axes(10.5, 4.4, 2, width_ratios=(1.15, 1))
    for i, name in enumerate(values(rows, "scorer")):
        means = mean_by(where(rows, scorer=name), "fraction")
        width, colour = (2.4, "black") if name == GROUP_LASSO else (1.4, style.COLOURS[i % 10])
        percents, accuracies = [100 * f for f in means], list(means.values())
        left.plot(percents, accuracies, marker=style.MARKERS[i], label=name, linewidth=width, color=colour)
    style.plain_log(left, [100 * f for f in values(rows, "fraction")])
    left.set_xlabel("features kept (%)")
    left.set_ylabel("mean " + style.ACCURACY)
    left.set_title("At each fraction")
    left.legend(loc="lower right", ncols=2)
    _ranking(right, rows)
    return figure


def _ranking(ax: Axes, rows: Rows) -> None:
    ranked = sorted(chosen_means(rows).items(), key=lambda pair: pair[1])
    names, accuracies = zip(*ranked, strict=True)
    colours = ["black" if name == GROUP_LASSO else style.COLOURS[0] for name in names]
    ax.scatter(accuracies, range(len(names)), s=60, c=colours, zorder=3)
    for place, value in enumerate(accuracies):
        ax.annotate(f"{value:.1f}", (value, place), (8, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(range(len(names)), names)
    ax.margins(x=0.15)
    ax.set_xlabel("mean " + style.ACCURACY)
    ax.set_title("At the fraction chosen by cross-validation")


def chosen_means(rows: Rows) -> dict[str, float]:
    """Mean accuracy over the tasks of each scorer, at its own fraction by cross-validation; ties without rounding."""
    return {name: round(mean(where(rows, scorer=name, chosen=True)), 6) for name in values(rows, "scorer")}


def findings(rows: Rows) -> list[str]:
    """Rank the scorers."""
    means = chosen_means(rows)
    return [
        _of_group_lasso(means),
        *_of_chance(means),
        f"Mean accuracy at the fraction that cross-validation chooses: {ordered(means)}.",
        f"First at each share of the features kept: {_firsts(rows)}.",
    ]


def _of_group_lasso(means: dict[str, float]) -> str:
    """Whether the paper's scores come first, alone, and else how far behind."""
    first = max(means, key=means.__getitem__)
    place = 1 + sum(other > means[GROUP_LASSO] for other in means.values())
    if place == 1:
        level = _level(means, GROUP_LASSO)
        shared = f", but not alone: level with it are {level}" if level else ""
        return f"{as_in_paper(not level)}, the {GROUP_LASSO} comes first of {len(means)}{shared}."
    behind = means[first] - means[GROUP_LASSO]
    return (
        f"{as_in_paper(False)}, the {GROUP_LASSO} does not come first: it is number {place} of {len(means)}, "
        f"{behind:.1f} points behind {first}."
    )


def _of_chance(means: dict[str, float]) -> list[str]:
    """Whether every way to score beats scores drawn at random."""
    if RANDOM not in means:
        return []
    worse = [name for name in means if means[name] < means[RANDOM]]
    level = _level(means, RANDOM)
    if not worse and level:
        return [f"Random scores come last, but level with {level}."]
    if not worse:
        return ["Random scores come last, as they should."]
    listed = ", ".join(f"{name} ({means[name] - means[RANDOM]:+.1f} points)" for name in worse)
    return [f"Random scores do not come last; below them: {listed}."]


def _level(means: dict[str, float], name: str) -> str:
    """The others with the same mean."""
    return ", ".join(other for other in means if other != name and means[other] == means[name])


def _firsts(rows: Rows) -> str:
    """The best scorer at each fraction."""
    found = []
    for fraction in values(rows, "fraction"):
        means = mean_by(where(rows, fraction=fraction), "scorer")
        first = max(means, key=means.__getitem__)
        found.append(f"{first} {means[first]:.1f} ({100 * fraction:g} %)")
    return ", ".join(found)


EXPERIMENT = Experiment(
    name="scorers",
    title="Scores of relevance",
    columns=("task", "backbone", "scorer", "fraction", "chosen", *JUDGED),
    paper=(
        "Group lasso scores are compared with norms of the weights of a head, with variance, with filters and trees of "
        "scikit-learn, and with chance. As recalled: the group lasso does best."
    ),
    differs="Norms are those of a ridge head on all features; mutual information is of features cut into ten bins; all "
    "heads are ridge regression, which regularises what a bad score lets in, so that differences are small.",
    measure=measure,
    draw=draw,
    findings=findings,
)
