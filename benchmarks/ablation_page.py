"""The ablation page, docs/ablation.md: tables made of the records of `benchmarks.bench_ablation` alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markdown import markdown_table
from benchmarks.shared_data import TASKS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "ablation.md"

Row = dict[str, Any]
Pieces = dict[str, tuple[str, Callable[[Row], bool]]]


def _screened(row: Row) -> bool:
    """On more than the last layer, by a head that every candidate gets."""
    return row["view"] != "linear" and row["head"] != "logistic"


def _paper(row: Row) -> bool:
    return row["view"] == "512" and row["layer_weights"] == "equal" and row["head"] == "least squares"


ALL_BUT_DEVIATIONS = "+ logistic heads of the two best"
EVERYTHING = "+ deviations: everything"
# Name -> which standardisation, and which rows of its table compete.
ADDED: Pieces = {
    "linear probe": ("plain", lambda row: row["view"] == "linear" and row["head"] == "logistic"),
    "the paper's candidates (N = 512), least squares": ("plain", _paper),
    "+ damped standardisation": ("damped", _paper),
    "+ discriminant": (
        "damped",
        lambda row: (
            _screened(row) and row["view"] == "512" and row["layer_weights"] == "equal" and row["head"] != "distilled"
        ),
    ),
    "+ learned layer weights": (
        "damped",
        lambda row: _screened(row) and row["view"] == "512" and row["head"] != "distilled",
    ),
    "+ statistics": ("damped", lambda row: _screened(row) and row["head"] != "distilled"),
    "+ distilled heads": ("damped", _screened),
    ALL_BUT_DEVIATIONS: ("damped", lambda row: row["view"] != "linear"),
    EVERYTHING: ("deviations", lambda row: row["view"] != "linear"),
}
TAKEN: Pieces = {
    "damped standardisation": ("plain", lambda row: row["view"] != "linear"),
    "discriminant and distilled heads": (
        "damped",
        lambda row: row["view"] != "linear" and row["head"] not in ("discriminant", "distilled"),
    ),
    "distilled heads": ("damped", lambda row: row["view"] != "linear" and row["head"] != "distilled"),
    "logistic heads": ("damped", _screened),
    "learned layer weights": ("damped", lambda row: row["view"] != "linear" and row["layer_weights"] == "equal"),
    "statistics": ("damped", lambda row: row["view"] == "512"),
    "grids (N = 512)": ("damped", lambda row: row["view"] == "statistics"),
}
RIVALS = (  # part of a task's record, what it compares (what the search does comes first), and the table's title
    ("kernels", "kernel", "kernels of the kept features under a discriminant, learned layer weights"),
    ("transforms", "features", "what is made of the kept features, under a discriminant, learned layer weights"),
    ("expansions", "features", "kernels at a linear head's price, under a discriminant, learned layer weights"),
    ("selections", "way", "ways to keep at most 3 % of the features under a discriminant, learned layer weights"),
    ("layers", "layers", "whole layers left out beforehand, under a discriminant, learned layer weights"),
    ("weightings", "weights", "ways to weigh the layers, under a discriminant"),
    ("codes", "head", "ways to teach a head its classes, learned layer weights"),
    ("moments", "view", "second moments, learned layer weights"),
    ("sizes", "view", "target sizes, learned layer weights"),
    ("tokens", "view", "the class token of grids (N = 512), learned layer weights"),
)
SINGLE = ("single", "view", "the statistics one by one, learned layer weights")
GLOSSARY = """\
What the names mean; each step is told in [how the probe works](how-the-probe-works.md):

- *N = 512*, *grids*: the view of averages over windows, about 512 numbers a layer, as the paper pools; *statistics*:
  the view of mean, standard deviation, maximum and centre of mass of each channel.
- *Damped standardisation*: features are divided by `sqrt(v + mean of v over their block)` instead of `sqrt(v)`.
- A *logistic head* is tried on the two best sets of features of the whole search alone, so the rows before it lack
  it, and a row of what is lost may lose that head along. `head2toe-equal` of [the
  table](reproduction.md) is a search of the paper's candidates with logistic heads for its own two best, and so the
  fairer figure for the paper.
- *Deviations*: how far each feature of the grids lies from its mean, beside it, with learned layer weights.
- *Without*: how far the search without deviations falls when it lacks a piece; negative is worse.
- Kernels of the kept features: *RBF w* is `exp(-w r^2 / mean r^2)` with the distance r, *quadratic q* the inner
  product and q times its square.
- *Squares* and *thresholds* (what a feature has above one deviation and below minus one) stand beside the kept
  features, each with 0.3 or 1 times its feature's variance. A head has twice or three times the coefficients then.
- *Random Fourier features w*: as many cosines of random projections as features are kept (4096 at most), whose inner
  products estimate those of the kernel RBF w; *products*: of all pairs of the best features, about as many as are kept.
  *With*: beside the kept features, with 0.3 or 1 times their variance in all, the cosines those of width 1.
- *Layers of 90 % of the kernel*: the fewest that make up so much of the weighted kernel; features are ranked in these.
- *As it is*: features ranked with learned layer weights. *One step of the group lasso*: each feature weighed anew by
  its own score (*reweighted*), by its channel's (*channels*), or by both (*sparse group*). *Kept in most of five
  parts*: ranked in five parts of the rows. *Near-duplicates dropped*: of features with a correlation above 0.95 one
  is kept.
- *Leave-one-out gradient*: the layers' weights after 25 steps of Adam on the exact leave-one-out error.
- *Ordinal code*, *the class as a number*: classes in the order of their labels are told by what each is above, or by
  their number; the nearest code is the answer. *Class means*: the nearest mean is. *Labels smoothed*: logistic heads
  on all statistics alone, as is *logistic* beside them; the best of these four is what cross-validation chooses.
- *Second moments*: covariances of pairs of random projections of a layer's channels, as many as it has channels.

Kernels, squares and thresholds, ways to select, to weigh and to teach were measured with the embedded backbone on all
tasks, with the other three on four; random features and products, second moments, target sizes, single
statistics and costs with the embedded backbone alone, on some tasks; class tokens with the ViT-Tiny, the only backbone
that has one.
"""
AVERAGED = """\
From the searches of [the table](reproduction.md): nested cross-validation on the same training images, in which each
fold is judged by what the others choose, one head or an average around it; means over the nine tasks. That heads are
averaged at all was decided by such figures of some of these tasks."""
COST = """\
Seconds of a task's 1000 images, one thread beside another process. A piece that begins with a plus has all that stands
above it, as far as its extraction or its search. Images are in memory when an extraction begins (it is timed on 256 of
them), and searches give nothing up early but for the last."""
WITHOUT = "This was measured before there were deviations."
TINY = """\
Five images of each class are drawn from the training images, and the others tell the accuracy: means of three draws.
Class means choose their view and layer weights by cross-validation on the drawn images."""
IMAGES = 1000  # of each task
UNSEEN = 0.15  # points of a mean over tasks that are no help
SHARE = 0.03  # of a view's features: what small heads may keep


def _few(row: Row) -> bool:
    return row["view"] != "linear" and row["fraction"] <= SHARE


SMALL: Pieces = {
    "all features": ("damped", lambda row: row["view"] != "linear"),
    "3 % of them, no distilled heads": ("damped", lambda row: _few(row) and row["head"] != "distilled"),
    "3 % of them, distilled heads too": ("damped", _few),
    "3 % of them, distilled heads alone": ("damped", lambda row: _few(row) and row["head"] == "distilled"),
}

Records = dict[str, dict[str, Any]]  # by task
Table = list[list[str]]


def page(found: dict[str, Records], chosen: dict[str, dict[str, Row]]) -> str:
    """The page, Markdown, from the records by backbone and task, and from what the table's searches chose."""
    seconds = [record["damped"]["seconds"] for records in found.values() for record in records.values()]
    errors = [_standard_error(value) for records in found.values() for value in _reached(records, ADDED, EVERYTHING)]
    sections = [
        "# What each piece gives",
        (
            "Written by `python -m benchmarks.bench_ablation` from benchmarks/results/ablation. Cross-validated "
            "accuracy (per cent, five folds) on the 1000 training images of each task; no test image plays a part. "
            f"The standard error of a figure is {min(errors):.1f} to {max(errors):.1f} points, of a difference on the "
            "same images less. A figure is that of the best of its candidates: the more there are, the higher by luck "
            "alone. Logistic heads were solved in more steps than now when this was measured "
            "([details](test-images.md))."
        ),
        GLOSSARY.strip(),
        f"One search took {np.median(seconds):.0f} s in the median, one thread, nothing given up early.",
    ]
    whole = {backbone: records for backbone, records in found.items() if len(records) == len(TASKS)}
    sections += ["## Means over the tasks", _markdown(_means(whole, ADDED)), _markdown(_means(whole, TAKEN, lost=True))]
    if chosen:
        sections += ["## Heads averaged into one", AVERAGED, _markdown(_averaged(chosen))]
    sections += ["## What did not help, or cost more than it gave", "\n".join(_no_help(whole))]
    sections += _more(whole)
    for backbone, records in found.items():
        for title, cells in _tables(records):
            sections += [f"## {backbone}: {title}", _markdown(cells)]
    return "\n\n".join(sections) + "\n"


def best(rows: list[Row], wanted: Callable[[Row], bool]) -> float:
    """The highest cross-validated accuracy of some rows, per cent."""
    return 100 * max(row["cv_accuracy"] for row in rows if wanted(row))


def _means(found: dict[str, Records], pieces: Pieces, *, lost: bool = False) -> Table:
    """Means over each backbone's tasks; `lost`: what they lie below those of all but deviations."""
    table = [["", *found]]
    for name in pieces:
        means = [float(np.mean(_values(records, pieces, name, lost=lost))) for records in found.values()]
        table.append(_line(f"without {name}" if lost else name, means, "+.1f" if lost else ".1f", mean=False))
    return table


def _no_help(found: dict[str, Records]) -> list[str]:
    """Bullets: pieces whose absence no backbone's mean shows, and each comparison's rivals of what the search does."""
    means = {name: [np.mean(_values(records, TAKEN, name, lost=True)) for records in found.values()] for name in TAKEN}
    idle = [name for name, lost in means.items() if min(lost, default=0.0) > -UNSEEN]
    bullets = [
        f"- Without {name}: {max(map(abs, means[name])):.1f} points at most on any backbone's mean (where heads must "
        "be small, see the tables of small heads)."
        for name in idle
    ]
    for part, key, title in RIVALS:
        for backbone, records in found.items():
            measured = _having(records, part)
            if measured:
                compared = _beside_the_first(_compared(measured, key))
                bullets.append(f"- {backbone}, {title} ({len(measured)} tasks): {compared}.")
    return bullets


def _having(records: Records, part: str) -> dict[str, list[Row]]:
    """The tables of the tasks that have a part."""
    return {task: record[part] for task, record in records.items() if part in record}


def _more(found: dict[str, Records]) -> list[str]:
    """Sections of the backbones that have been measured more: what pieces cost, and classes of five images."""
    sections = []
    for backbone, records in found.items():
        costs, tiny = _having(records, "cost"), _having(records, "tiny")
        if costs:
            without = not any("deviations" in row["piece"] for rows in costs.values() for row in rows)
            text = f"{COST} {WITHOUT}" if without else COST
            sections += [f"## {backbone}: what each piece costs", text, _markdown(_costs(costs))]
        if tiny:
            sections += [f"## {backbone}: five images a class", TINY, _markdown(_tiny(tiny))]
    return sections


def _costs(tables: dict[str, list[Row]]) -> Table:
    """Seconds, task by task."""
    pieces = [row["piece"] for row in next(iter(tables.values()))]
    seconds = [[rows[i]["seconds"] for rows in tables.values()] for i in range(len(pieces))]
    return [["", *tables], *(_line(piece, each, mean=False) for piece, each in zip(pieces, seconds, strict=True))]


def _tiny(tables: dict[str, list[Row]]) -> Table:
    """Means over the draws, task by task."""
    ways = dict.fromkeys(row["way"] for row in next(iter(tables.values())))
    return [["", *tables, "mean"], *(_line(way, [_drawn(rows, way) for rows in tables.values()]) for way in ways)]


def _drawn(rows: list[Row], way: str) -> float:
    """The mean accuracy of a way over the draws, per cent."""
    return 100 * float(np.mean([row["accuracy"] for row in rows if row["way"] == way]))


def _beside_the_first(table: Table) -> str:
    """The means of a comparison, each but the first beside it."""
    (own, *others) = table[1:]
    return ", ".join(f"{one[0]} {float(one[-1]) - float(own[-1]):+.1f}" for one in others) + f" against {own[0]}"


def _values(records: Records, pieces: Pieces, name: str, *, lost: bool) -> list[float]:
    """A figure a task: what a choice of candidates reaches, or how far that is from what all reach."""
    reached = _reached(records, pieces, name)
    if not lost:
        return reached
    everything = _reached(records, ADDED, ALL_BUT_DEVIATIONS)
    return [value - full for value, full in zip(reached, everything, strict=True)]


def _reached(records: Records, pieces: Pieces, name: str) -> list[float]:
    part, wanted = pieces[name]
    return [best(_rows(record, part), wanted) for record in records.values()]


def _rows(record: dict[str, Any], part: str) -> list[Row]:
    """What competes: deviations beside all else that is damped."""
    return record["damped"]["table"] + record[part] if part == "deviations" else record[part]["table"]


def _averaged(chosen: dict[str, dict[str, Row]]) -> Table:
    """Means over each backbone's tasks, and how many tasks gained and lost."""
    table = [["", "one head", "averaged", "tasks better / worse", "heads", "features"]]
    for backbone, choices in chosen.items():
        rows = list(choices.values())
        alone, together = (
            np.array([100 * row[name] for row in rows]) for name in ("estimated_accuracy_alone", "estimated_accuracy")
        )
        first = [row["averaged"][0] for row in rows]
        width = np.mean([row["features"] / one["features"] for row, one in zip(rows, first, strict=True)])
        table.append(
            [
                backbone,
                f"{alone.mean():.1f}",
                f"{together.mean():.1f}",
                f"{(together > alone).sum()} / {(together < alone).sum()}",
                f"{np.mean([len(row['averaged']) for row in rows]):.1f}",
                f"x {width:.1f}",
            ]
        )
    return table


def _standard_error(accuracy: float) -> float:
    """Of an accuracy on so many images, both in per cent."""
    return math.sqrt(accuracy * (100 - accuracy) / IMAGES)


def _tables(records: Records) -> list[tuple[str, Table]]:
    """Titles and cells of one backbone's tables."""
    header = ["", *records, "mean"]
    added = [_line(name, _values(records, ADDED, name, lost=False)) for name in ADDED]
    taken = [_line(f"without {name}", _values(records, TAKEN, name, lost=True), "+.1f") for name in TAKEN]
    small = [_line(name, _values(records, SMALL, name, lost=False)) for name in SMALL]
    found = [
        ("pieces added one after another", [header, *added]),
        ("what is lost without one piece", [header, *taken]),
        ("small heads", [header, *small]),
    ]
    for part, key, title in (*RIVALS, SINGLE):
        measured = _having(records, part)
        if measured:
            found.append((title, _compared(measured, key)))
    return found


def _compared(tables: dict[str, list[Row]], key: str) -> Table:
    """The best of each value of `key`, task by task; the linear probe is none of them."""
    names = dict.fromkeys(row[key] for row in next(iter(tables.values())) if row["view"] != "linear")
    lines = [
        _line(name, [best(rows, lambda row, name=name: row[key] == name) for rows in tables.values()]) for name in names
    ]
    return [["", *tables, "mean"], *lines]


def _line(name: str, values: Iterable[float], form: str = ".1f", *, mean: bool = True) -> list[str]:
    figures = list(values)
    figures += [sum(figures) / len(figures)] if mean else []
    return [name, *(format(figure, form) for figure in figures)]


def _markdown(cells: Table) -> str:
    return markdown_table(cells[0], cells[1:]).rstrip()
