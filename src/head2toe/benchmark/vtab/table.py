"""The table of VTAB-1k: each task, each group, both averages, and published rows beside one's own."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from head2toe.benchmark.vtab.definitions import DEFINITIONS, GROUPS
from head2toe.benchmark.vtab.pool import LISTED_ORDER, TFDS_ORDER
from head2toe.benchmark.vtab.published import PUBLISHED, PublishedRow
from head2toe.errors import DataFormatError

_TITLES = {task.name: task.title for task in DEFINITIONS}
_PLACES = {task.name: number for number, task in enumerate(DEFINITIONS)}
# What must be the same where accuracies are compared.
_SEEN = {
    "order": "the choice of images",
    "train": "the number of training images",
    "test": "the number of test images",
    "labels": "the labels",
    "images": "the images",
}
# What `running.run` keeps the same among the cells of a backbone; folders that were put together may differ in it.
_MADE = {"settings": "the settings", "weights_sha256": "the weights", "dtype": "the number format"}


@dataclass(frozen=True)
class Row:
    """One line of the table; accuracies in per cent.

    Attributes
    ----------
    name : str
    backbone : str
        Empty for a published row.
    accuracies : mapping of task to float
        Median over seeds.
    seeds : int
        The fewest of any of its tasks; 0 where it is published.
    groups : mapping of group to float
        Mean over its tasks.
    over_tasks, over_groups : float
        Both averages in use; over the tasks that the row has.
    source : str
        Empty for one's own.
    verified : bool
        Of a published row: its figures were read at the source.
    """

    name: str
    backbone: str
    accuracies: Mapping[str, float]
    seeds: int
    groups: Mapping[str, float]
    over_tasks: float
    over_groups: float
    source: str = ""
    verified: bool = True


@dataclass(frozen=True)
class Table:
    """Rows over the same tasks, and what must be said under them."""

    tasks: tuple[str, ...]
    groups: Mapping[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "tasks": list(self.tasks),
            "groups": dict(self.groups),
            "rows": [
                {**vars(row), "accuracies": dict(row.accuracies), "groups": dict(row.groups)} for row in self.rows
            ],
            "notes": list(self.notes),
        }

    def lines(self) -> list[list[str]]:
        """Cells of text, the header first; a figure that is not there is empty."""
        present = groups_in_order(self.groups.values())
        header = ["method", "backbone", "seeds", *(_TITLES.get(task, task) for task in self.tasks)]
        header += [f"{group} mean" for group in present] + ["mean of tasks", "mean of groups"]
        return [header, *([_shown(cell) for cell in self._line(row, present)] for row in self.rows)]

    def markdown(self) -> str:
        """A table in Markdown, with its notes."""
        header, *body = self.lines()
        marks = ["---"] * 2 + ["---:"] * (len(header) - 2)
        text = [f"| {' | '.join(map(_escaped, line))} |" for line in (header, marks, *body)]
        return "\n".join([*text, "", *(f"- {note}" for note in self.notes)])

    def csv(self) -> str:
        """The same as CSV, without the notes but with the source of each row."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        header, *body = self.lines()
        writer.writerow([*header, "source"])
        writer.writerows([*line, row.source] for line, row in zip(body, self.rows, strict=True))
        return file.getvalue()

    def _line(self, row: Row, groups: Sequence[str]) -> list[Any]:
        cells: list[Any] = [row.name, row.backbone, row.seeds or None]
        cells += [row.accuracies.get(task) for task in self.tasks]
        return [*cells, *(row.groups.get(group) for group in groups), row.over_tasks, row.over_groups]


def vtab_table(cells: Iterable[Mapping[str, Any]], *, published: Sequence[PublishedRow] = PUBLISHED) -> Table:
    """Make the table of cells that `running.run` wrote.

    Parameters
    ----------
    cells
        Dicts with task, group, backbone, method, seed, accuracy (in [0, 1], or None where a method was only costed)
        and data.
    published
        Rows to set beside those of the cells; only for the tasks that the cells have.

    Returns
    -------
    Table
        A row for each backbone and method, in the order in which they come; published ones last.

    Raises
    ------
    DataFormatError
        No cell has an accuracy; or cells of one task are of several groups, or those of one row of other data.
    """
    judged = [cell for cell in cells if cell["accuracy"] is not None]
    if not judged:
        raise DataFormatError("no cell has an accuracy (costs alone make no table): run a method that is judged too")
    _check_groups(judged)
    _check_rows(judged)
    groups = {str(cell["task"]): str(cell["group"]) for cell in judged}
    tasks = sorted(groups, key=lambda task: (_place(groups[task]), *_place_of(task)))
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for cell in judged:
        found.setdefault((cell["backbone"], cell["method"]), {}).setdefault(cell["task"], []).append(cell["accuracy"])
    rows = [_own(name, backbone, accuracies, groups) for (backbone, name), accuracies in found.items()]
    rows += [row for one in published if (row := _published(one, groups)) is not None]
    ordered = {task: groups[task] for task in tasks}
    return Table(tuple(tasks), ordered, tuple(rows), tuple(_notes(judged, rows, tasks)))


def _check_groups(cells: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a task of several groups: it can count in one mean alone."""
    first: dict[str, Mapping[str, Any]] = {}
    for cell in cells:
        other = first.setdefault(cell["task"], cell)
        if other["group"] != cell["group"]:
            raise DataFormatError(
                f"task {cell['task']} is of group {other['group']} in {_called(other)}, of {cell['group']} in "
                f"{_called(cell)}: run one of them again with the group of the other, or under another name"
            )


def _check_rows(cells: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a median over other data."""
    rows: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        rows.setdefault((cell["task"], cell["backbone"], cell["method"]), []).append(cell)
    for (task, _, _), seeds in rows.items():
        if differing := _differing(seeds):
            raise DataFormatError(
                f"task {task}: the seeds of {_called(seeds[0])} are of other data ({', '.join(differing)}): "
                "delete the wrong cells, and they are run again"
            )


def _called(cell: Mapping[str, Any]) -> str:
    return f"{cell['method']}, {cell['backbone']}"


def _differing(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is known of the data of all these cells and is not the same; older cells do not tell all of it."""
    values: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        data = {**(cell.get("data") or {}), **(cell.get("fingerprint") or {})}
        if data.get("order") == LISTED_ORDER:  # the same images
            data["order"] = TFDS_ORDER
        for name in _SEEN:
            if data.get(name) is not None:
                within = str(data.get("layout")) if name == "images" else ""  # each layout has its own names of files
                values.setdefault((name, within), set()).add(json.dumps(data[name], sort_keys=True))
    differing = {name for (name, _), found in values.items() if len(found) > 1}
    return [said for name, said in _SEEN.items() if name in differing]


def _own(method: str, backbone: str, accuracies: Mapping[str, Sequence[float]], groups: Mapping[str, str]) -> Row:
    medians = {task: 100 * median(values) for task, values in accuracies.items()}
    seeds = min(len(values) for values in accuracies.values())
    return Row(method, backbone, medians, seeds, *_means(medians, groups))


def _published(row: PublishedRow, groups: Mapping[str, str]) -> Row | None:
    accuracies = {task: value for task, value in row.accuracies.items() if task in groups}
    if not accuracies:
        return None
    means = _means(accuracies, groups)
    return Row(row.name, "", accuracies, 0, *means, source=row.source, verified=row.verified)


def _means(accuracies: Mapping[str, float], groups: Mapping[str, str]) -> tuple[dict[str, float], float, float]:
    by_group: dict[str, list[float]] = {}
    for task, value in accuracies.items():
        by_group.setdefault(groups[task], []).append(value)
    means = {group: mean(by_group[group]) for group in groups_in_order(by_group)}
    return means, mean(accuracies.values()), mean(means.values())


def _notes(cells: Sequence[Mapping[str, Any]], rows: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    notes = ["Top-1 accuracy in per cent; the median over seeds; means over the tasks in the row."]
    for row in rows:
        if not row.source and len(row.accuracies) < len(tasks):
            lacking = ", ".join(_TITLES.get(task, task) for task in tasks if task not in row.accuracies)
            notes.append(f"{row.name}, {row.backbone}: no {lacking} yet; its means are not comparable with the others.")
    notes += _fewer_seeds(cells)
    absent = [_TITLES[task] for task in _TITLES if task not in tasks]
    if absent and len(absent) < len(_TITLES):
        notes.append(f"Not in this table, and not in any of its means: {', '.join(absent)}.")
    notes += dict.fromkeys(_input(cell) for cell in cells if cell.get("preprocessing"))
    notes += _mixed(cells)
    for task in tasks:
        of_task = [cell for cell in cells if cell["task"] == task]
        notes += sorted({_note(cell) for cell in of_task} - {""})
        if differing := _differing(of_task):
            notes.append(f"{_TITLES.get(task, task)}: its rows are not comparable, they differ in {_and(differing)}.")
    for source in dict.fromkeys(row.source for row in rows if row.source):
        notes.append(f"{', '.join(row.name for row in rows if row.source == source)}: {source}.")
    return notes


def _fewer_seeds(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows that have fewer seeds of some tasks: their column of seeds tells only the fewest."""
    rows: dict[str, Counter[str]] = {}
    for cell in cells:
        rows.setdefault(_called(cell), Counter())[cell["task"]] += 1
    notes = []
    for row, seeds in rows.items():
        most = max(seeds.values())
        few = ", ".join(_TITLES.get(task, task) for task in sorted(seeds, key=_place_of) if seeds[task] < most)
        if few:
            notes.append(f"{row}: {most} seeds, but fewer of {few}.")
    return notes


def _input(cell: Mapping[str, Any]) -> str:
    """What the backbone is shown: published figures differ in it."""
    shown = ", ".join(f"{name} {_plain(name, value)}" for name, value in cell["preprocessing"].items())
    return f"Input of {cell['backbone']}: {shown}."


def _mixed(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each backbone what its cells were made with, where that is not the same for all that tell it."""
    notes = []
    for backbone in dict.fromkeys(cell["backbone"] for cell in cells):
        own = [cell for cell in cells if cell["backbone"] == backbone]
        told = {name: {_made(cell[name]) for cell in own if cell.get(name) is not None} for name in _MADE}
        differing = [_MADE[name] for name, found in told.items() if len(found) > 1]
        if differing:
            notes.append(f"{backbone}: its rows mix cells that differ in {_and(differing)}; they are not comparable.")
    return notes


def _made(value: Any) -> str:
    """As text; older settings do not tell the steps."""
    return json.dumps({"steps": None, **value} if isinstance(value, dict) else value, sort_keys=True)


def _plain(name: str, value: Any) -> str:
    """Sides are multiplied, a mean or a deviation of each channel is not."""
    between = " x " if name == "size" else " / "
    return between.join(f"{one:g}" for one in value) if isinstance(value, list) else str(value)


def _note(cell: Mapping[str, Any]) -> str:
    """What a reader must know of a task's images, "" where they are VTAB's own."""
    data, remarks = cell.get("data") or {}, []
    if data.get("order") not in (None, TFDS_ORDER, LISTED_ORDER):
        remarks.append(f"images {data['order']}")
    if data.get("test", 0) != data.get("test_of", data.get("test", 0)):
        remarks.append(f"{data['test']:,} test images, not {data['test_of']:,}")
    return f"{_TITLES.get(cell['task'], cell['task'])}: {'; '.join(remarks)}." if remarks else ""


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _escaped(text: str) -> str:
    """A cell of a Markdown table: a bar or a line's end would begin another one."""
    return " ".join(text.splitlines()).replace("|", "\\|")


def groups_in_order(groups: Iterable[str]) -> list[str]:
    """Each group once: VTAB's in the order of its paper, then others by name."""
    return sorted(set(groups), key=lambda group: (_place(group), group))


def _place_of(task: str) -> tuple[int, str]:
    return _PLACES.get(task, len(_PLACES)), task


def _place(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _shown(cell: Any) -> str:
    return "" if cell is None else f"{cell:.1f}" if isinstance(cell, float) else str(cell)
