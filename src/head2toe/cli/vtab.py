"""`head2toe vtab`: the benchmark VTAB-1k, and one's own tasks beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from head2toe.benchmark.defaults import VTAB_SEEDS
from head2toe.cli.options import (
    DEFAULT_BACKBONE,
    OutputOptions,
    UserPath,
    device_option,
    images_alone,
    listed,
    listed_seeds,
    output_options,
    seeds_option,
)
from head2toe.cli.output import check_file, emit, resuming, table, tell
from head2toe.errors import Head2ToeError, ParameterError
from head2toe.paths import real_path
from head2toe.whole_files import write_text

if TYPE_CHECKING:
    from head2toe.benchmark.vtab import Presence

_DEFAULT_METHODS = "linear,head2toe-reference,head2toe"


@click.group()
def vtab() -> None:
    """VTAB-1k: 19 tasks of 1000 training images each, in three groups.

    Nothing is downloaded, except by --hub. What each task needs, and where it comes from: docs/vtab.md.
    """


@vtab.command(name="list")
@click.option("--data", type=UserPath(), metavar="ROOT", help="The folder below which the data lie.")
@output_options
def list_tasks(data: Path | None, output: OutputOptions) -> None:
    """List the tasks: which are there, in which layout, and what is missing of the others."""
    from head2toe.benchmark.vtab import presence

    _check_folder(data)
    found = presence(Path("." if data is None else data))
    tasks = [_described(one, looked=data is not None) for one in found]
    emit(
        {"data": None if data is None else str(data), "tasks": tasks},
        _list_text(tasks, looked=data is not None),
        as_json=output.as_json,
    )


@vtab.command(name="run")
@click.option("--data", type=UserPath(), metavar="ROOT", help="Run the VTAB tasks below this folder.")
@click.option(
    "--only",
    "names",
    metavar="TASK",
    multiple=True,
    help="Of VTAB's tasks, those of --hub too, only this; may be repeated.",
)
@click.option(
    "--hub",
    "hubs",
    metavar="TASK=REPO[:LABEL]",
    multiple=True,
    help="Read a VTAB task from a data set of Hugging Face, or a folder of its package datasets; may be repeated.",
)
@click.option(
    "--task",
    "own",
    metavar="[GROUP/]NAME=PATH[:LABEL]",
    multiple=True,
    help="A task of your own: a folder, CSV, zip or npz with splits train and test; may be repeated.",
)
@click.option(
    "--backbone", metavar="SPEC", default=DEFAULT_BACKBONE, show_default=True, help="See head2toe fit --help."
)
@click.option("--image-size", type=click.IntRange(min=1), metavar="PIXELS", help="Side of the network's input.")
@click.option(
    "--methods", metavar="A,B,...", default=_DEFAULT_METHODS, show_default=True, help="Of those of head2toe compare."
)
@seeds_option(VTAB_SEEDS)
@click.option("--steps", type=click.IntRange(min=1), help="Gradient steps of one training of a whole network.")
@click.option(
    "--test-limit", type=click.IntRange(min=1), metavar="N", help="At most N test images; no VTAB figure then."
)
@device_option
@click.option("--out", required=True, type=UserPath(), metavar="DIR", help="One JSON file a cell.")
@output_options
def run_tasks(
    data: Path | None,
    names: tuple[str, ...],
    hubs: tuple[str, ...],
    own: tuple[str, ...],
    backbone: str,
    image_size: int | None,
    methods: str,
    seeds: str,
    steps: int | None,
    test_limit: int | None,
    device: str,
    out: Path,
    output: OutputOptions,
) -> None:
    """Run methods on all tasks that are there; run again, it goes on where it stopped.

    A task whose data cannot be used is told at the end, with exit code 2; the others are run.
    """
    from head2toe.artifacts import check_writable
    from head2toe.benchmark.vtab import Settings, run, tasks_of

    check_writable(out)
    images_alone(backbone)
    _check_folder(data)
    tasks = tasks_of(data, only=names, hubs=hubs, own=own)
    if not tasks:
        raise ParameterError(
            "no task to run: --data has none of VTAB's (see head2toe vtab list), or name one by --task"
        )
    settings = Settings(backbone, image_size, test_limit, steps)
    chosen, runs = listed(methods), listed_seeds(seeds)
    with resuming(possible=True):
        ran = run(tasks, chosen, out, settings, seeds=runs, progress=tell if output.progress else None, device=device)
    result = {"out": str(out), "tasks": [name for name, _ in tasks], **vars(ran)}
    text = f"{out}: {ran.made} cells made, {ran.kept} were there; head2toe vtab table {out}"
    emit(result, text, as_json=output.as_json)
    if ran.failed:
        click.echo("\n".join(f"error: {task}: {reason}" for task, reason in ran.failed.items()), err=True)
        raise click.exceptions.Exit(Head2ToeError.exit_code)


@vtab.command(name="table")
@click.argument("folder", type=UserPath())
@click.option("--csv", "csv_file", type=UserPath(), metavar="FILE", help="Also write it as CSV.")
@click.option("--markdown", type=UserPath(), metavar="FILE", help="Also write it as Markdown.")
@click.option("--overwrite", is_flag=True, help="Replace these files.")
@click.option("--published/--no-published", default=True, show_default=True, help="With the rows of papers.")
@output_options
def print_table(
    folder: Path,
    csv_file: Path | None,
    markdown: Path | None,
    overwrite: bool,
    published: bool,
    output: OutputOptions,
) -> None:
    """Print the table of a run: each task, each group, both averages, the median of its seeds, and published rows."""
    from head2toe.benchmark.vtab import PUBLISHED, read_cells, vtab_table

    if csv_file is not None and markdown is not None and real_path(csv_file) == real_path(markdown):
        raise ParameterError(f"--csv and --markdown are both {csv_file}: one would replace the other, name two files")
    for file in (csv_file, markdown):
        if file is not None:
            check_file(file, overwrite=overwrite)
    made = vtab_table(read_cells(folder), published=PUBLISHED if published else ())
    if csv_file is not None:
        write_text(csv_file, made.csv())
    if markdown is not None:
        write_text(markdown, f"{made.markdown()}\n")
    emit(made.to_dict(), made.markdown(), as_json=output.as_json)


def _check_folder(data: Path | None) -> None:
    if data is not None and not data.is_dir():
        raise ParameterError(f"{data} is no folder: --data is the one below which the data lie")


def _described(one: Presence, *, looked: bool) -> dict[str, Any]:
    from head2toe.benchmark.vtab import access

    task, where = one.definition, access(one.definition.name)
    layout = one.layout if looked else None
    return {
        "name": task.name,
        "title": task.title,
        "group": task.group,
        "classes": task.classes,
        "test_images": len(task.test),
        "present": layout is not None,
        "layout": None if layout is None else layout.name,
        "folder": None if layout is None else layout.folder,
        "missing": one.missing if looked else {},
        "begun": list(one.begun) if looked else [],
        "page": where.page,
        "terms": where.terms,
        "by_hand": where.manual,
    }


def _list_text(tasks: list[dict[str, Any]], *, looked: bool) -> str:
    rows = [("task", "group", "classes", "test images", "there", "else: from, on what terms")]
    for task in tasks:
        there = f"{task['layout']}: {task['folder']}" if task["present"] else "no" if looked else "?"
        source = "" if task["present"] else f"{task['page']} ({task['terms']})"
        rows.append((task["name"], task["group"], task["classes"], f"{task['test_images']:,}", there, source))
    if not looked:
        return f"{table(rows, right=(2, 3))}\n\n--data ROOT tells which are there, and what is missing"
    here = sum(task["present"] for task in tasks)
    lines = [table(rows, right=(2, 3)), "", f"{here} of {len(tasks)} are there; all that would do for each: --json"]
    for task in tasks:
        lines += [f"{task['name']}: {kind} lacks {', '.join(task['missing'][kind])}" for kind in task["begun"]]
    return "\n".join(lines)
