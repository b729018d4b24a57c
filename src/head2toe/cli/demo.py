"""`head2toe demo`: four methods on three tasks, without a download."""

from __future__ import annotations

from pathlib import Path

import click

from head2toe.cli.options import UserPath, output_options
from head2toe.cli.output import emit


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
def demo(
    out: Path,
    as_json: bool,
    progress: bool,
) -> None:
    """Compare linear probe, Head2Toe, fine-tuning and training from scratch in one to four minutes.

    The embedded backbone, scikit-learn's digits and drawn sprites; prints a table and writes FOLDER/report.html.
    """
    from head2toe.artifacts import check_writable
    from head2toe.benchmark.demo import run_demo, table_text

    check_writable(out)

    def tell(done: int, total: int, text: str) -> None:
        click.echo(f"[{done}/{total}] {text}", err=True)

    result = run_demo(out, tell if progress else None)
    text = f"{table_text(result['table'])}\n\nreport: {result['report']}, {result['seconds']:.0f} seconds in all"
    emit(result, text, as_json=as_json)
