"""What an experiment is: a question, its measurement, its figure, and what it found."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from head2toe.benchmark.experiments.laboratory import Laboratory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper.

    Attributes
    ----------
    name
        As the command line knows it.
    title
        A few words.
    columns
        Of the CSV, in order. Accuracies are in per cent.
    paper
        What the paper does and says, in one or two sentences.
    differs
        What is done otherwise here, and why figures may differ.
    measure
        From the laboratory to the rows of the CSV.
    draw
        From rows to the figure.
    findings
        From rows to sentences with the figures that answer the question.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    paper: str
    differs: str
    measure: Callable[[Laboratory], Rows]
    draw: Callable[[Rows], Figure]
    findings: Callable[[Rows], list[str]]


def values(rows: Rows, column: str) -> list[Any]:
    """The different values of a column, in order of appearance."""
    return list(dict.fromkeys(row[column] for row in rows))


def where(rows: Rows, **wanted: Any) -> Rows:
    """The rows with these values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def mean(rows: Rows, column: str = "accuracy") -> float:
    """Mean of a column."""
    if not rows:
        raise ValueError(f"no rows to average {column} over")
    return sum(row[column] for row in rows) / len(rows)


def deviation(rows: Rows) -> float:
    """Standard deviation of the accuracies, estimated from these few draws; zero of a single one."""
    return statistics.stdev(row["accuracy"] for row in rows) if len(rows) > 1 else 0.0


def mean_by(rows: Rows, by: str) -> dict[Any, float]:
    """Mean accuracy for each value of a column, over the tasks that have all these values.

    A value that some task lacks (an offset past its last feature) would otherwise be an average over other tasks.
    """
    return {value: mean(where(rows, **{by: value})) for value in complete(rows, by)}


def complete(rows: Rows, by: str) -> list[Any]:
    """The values of a column that every task has."""
    tasks = set(values(rows, "task"))
    return [value for value in values(rows, by) if set(values(where(rows, **{by: value}), "task")) == tasks]


def as_in_paper(agrees: bool) -> str:
    """How a sentence begins that compares with what the paper found."""
    return "As in the paper" if agrees else "Unlike in the paper"


def ordered(means: dict[Any, float]) -> str:
    """Names, which may hold commas and numbers, and means, best first, as text."""
    ranked: Sequence[tuple[Any, float]] = sorted(means.items(), key=lambda pair: -pair[1])
    return "; ".join(f"{name}: {value:.1f}" for name, value in ranked)
