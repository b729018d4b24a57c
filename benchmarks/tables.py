"""Tables that are printed, and of outcomes: accuracy by task with both averages, and what each method costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from head2toe.benchmark.outcome import Outcome
from head2toe.benchmark.vtab.table import groups_in_order
from head2toe.cli.output import table


def show(rows: Sequence[Sequence[Any]], words: int = 1) -> None:
    """Print rows of cells, the header first: so many columns of words to the left, figures to the right."""
    print(table(rows, right=range(words, len(rows[0]))), flush=True)


def accuracy_rows(outcomes: Iterable[Outcome], methods: Sequence[str]) -> list[tuple[str, list[float | None]]]:
    """Top-1 accuracy in per cent of one backbone: tasks, group means, and the means over tasks and over groups.

    Of several seeds the median counts. A mean is None where one of its tasks lacks the method.

    Returns
    -------
    list of (name, one figure a method)
    """
    found: dict[tuple[str, str], list[float]] = {}
    groups: dict[str, list[str]] = {}
    for one in outcomes:
        tasks = groups.setdefault(one.group, [])
        if one.task not in tasks:
            tasks.append(one.task)
        if one.accuracy is not None:
            found.setdefault((one.task, one.method), []).append(100 * one.accuracy)
    middle = {key: median(values) for key, values in found.items()}
    ordered = groups_in_order(groups)
    rows = [(task, [middle.get((task, m)) for m in methods]) for group in ordered for task in groups[group]]
    by_task = dict(rows)
    means = [(f"mean {g}", _means([by_task[task] for task in groups[g]])) for g in ordered]
    overall = (f"mean of {len(by_task)} tasks", _means(list(by_task.values())))
    of_groups = (f"mean of {len(means)} groups", _means([values for _, values in means]))
    return [*rows, *means, overall, of_groups]


def cost_rows(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """What each method of one task and backbone costs, and how many times as much `finetune-cost` does.

    Returns
    -------
    list of dict
        method, train_flops, seconds, stored_bytes, estimated, and for each of the three ``..._times``: its figure
        over the method's; None where it is not among them.
    """
    found = list(outcomes)
    base = next((one for one in found if one.method == "finetune-cost"), None)
    rows = []
    for one in found:
        costs = {"train_flops": one.train_flops, "seconds": one.seconds, "stored_bytes": one.stored_bytes}
        theirs = None if base is None else (base.train_flops, base.seconds, base.stored_bytes)
        times = {
            f"{name}_times": None if theirs is None or not value else theirs[i] / value
            for i, (name, value) in enumerate(costs.items())
        }
        rows.append({"method": one.method, "estimated": one.estimated, **costs, **times})
    return rows


def _means(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    return [_mean(values) for values in zip(*rows, strict=True)]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there and len(there) == len(values) else None
