"""`head2toe demo`: four methods on three tasks, without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from head2toe.cli.options import OutputOptions, UserPath, output_options
from head2toe.cli.output import emit, table, tell
from head2toe.errors import OutputExistsError, ParameterError


@click.command()
@click.option(
    "--out",
    type=UserPath(),
    default=Path("demo"),
    show_default=True,
    metavar="FOLDER",
    help="Where the report goes.",
)
@output_options
def demo(out: Path, output: OutputOptions) -> None:
    """Compare linear probe, Head2Toe, fine-tuning and training from scratch in one to four minutes.

    The embedded backbone, scikit-learn's digits and drawn sprites; prints a table and writes FOLDER/report.html.
    """
    from head2toe.artifacts import check_writable
    from head2toe.benchmark.demo import REPORT, run_demo

    check_writable(out)
    if (out / REPORT).is_dir():
        raise OutputExistsError(f"{out / REPORT} is a folder, where the report goes: choose another --out")

    result = run_demo(out, tell if output.progress else None)
    text = f"{table_text(result['table'])}\n\nreport: {result['report'] or '-'}, {result['seconds']:.0f} seconds in all"
    emit(result, text, as_json=output.as_json)
    if result["report"] is None:
        raise ParameterError(result["problem"])


def table_text(results: list[dict[str, Any]]) -> str:
    """The demo's table for a terminal."""
    rows = [
        (
            row["task"],
            row["method"],
            f"{100 * row['accuracy']:.1f} ± {100 * row['standard_error']:.1f}",
            f"{row['seconds']:.1f}",
            f"{row['stored_bytes'] / 1000:,.0f}",
        )
        for row in results
    ]
    return table([("task", "method", "accuracy %", "training s", "stored kB"), *rows], right=range(2, 5))
