"""`head2toe extract`: rows of features on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from head2toe.cli.options import (
    DataOptions,
    LayerOptions,
    OutputOptions,
    RunningOptions,
    UserPath,
    data_options,
    layer_options,
    one_backbone_option,
    output_options,
    running_options,
)
from head2toe.cli.output import emit, resuming, skipped_dicts, table, warn_skipped, write_csv


@click.command()
@data_options
@click.option("--out", required=True, type=UserPath(), metavar="FOLDER", help="The store to write.")
@one_backbone_option
@layer_options
@running_options
@output_options
def extract(
    source: DataOptions,
    out: Path,
    backbone: str,
    wanted: LayerOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Pool the layers of a network for each image, and write the rows to a folder.

    The folder gets rows.npy (float32, one row an image that can be read), manifest.json (what they were made from) and
    images.csv (path, or text, and label of each row). The same command resumes a run that was interrupted.
    """
    from head2toe import backbones, features
    from head2toe.artifacts import check_writable

    start = time.perf_counter()
    check_writable(out)
    images = source.read(takes=backbones.takes(backbone))
    network = wanted.load(backbone)
    plan = wanted.plan(network)
    options = {**running.parameters(), "strict": running.strict, "progress": output.progress}
    with resuming(possible=True):
        found = features.extract(network, images, plan, store=out, **options)
    if images.lacking:
        click.echo(f"no labels are written to images.csv: {images.lacking}", err=True)
    labels = images.labels or [""] * len(images)
    header = ("text" if images.takes == "texts" else "path", "label")
    write_csv(out / "images.csv", header, ((images.names[i], labels[i]) for i in found.kept))
    warn_skipped(found.skipped, len(images), images.takes)
    result = {
        "store": str(out),
        "n": len(found.rows),
        "features": plan.d,
        "bytes": plan.bytes(len(found.rows)),
        "dtype": found.dtype,
        "reason": found.reason,
        "cached": found.cached,
        "skipped": skipped_dicts(found.skipped),
        "seconds": time.perf_counter() - start,
    }
    lines = [
        ("rows", f"{result['n']} x {result['features']:,} numbers, {result['bytes'] / 1e6:,.1f} MB, {out}"),
        ("skipped", len(found.skipped)),
        ("network", "not run: the rows were there already" if found.cached else f"{found.dtype}: {found.reason}"),
        ("seconds", f"{result['seconds']:.1f}"),
    ]
    emit(result, table(lines), as_json=output.as_json)
