"""`head2toe extract`: rows of features on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from head2toe.cli.options import (
    UserPath,
    data_options,
    layer_options,
    one_backbone_option,
    output_options,
    running,
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
    data: Path,
    split: str | None,
    label: str | None,
    out: Path,
    backbone: str,
    weights: Path | None,
    resize: str,
    image_size: int | None,
    patterns: tuple[str, ...],
    target_sizes: tuple[int, ...],
    statistics: tuple[str, ...],
    cls_token: str,
    device: str,
    dtype: str,
    batch_size: int | None,
    strict: bool,
    as_json: bool,
    progress: bool,
) -> None:
    """Pool the layers of a network for each image, and write the rows to a folder.

    The folder gets rows.npy (float32, one row an image that can be read), manifest.json (what they were made from) and
    images.csv (path and label of each row). The same command resumes a run that was interrupted.
    """
    from head2toe import backbones, features
    from head2toe.artifacts import check_writable
    from head2toe.data import read_data

    start = time.perf_counter()
    check_writable(out)
    images = read_data(data, split=split, label=label, takes=backbones.takes(backbone))
    network = backbones.load(backbone, weights=weights, resize=resize, image_size=image_size)
    tapped = features.layers(network, list(patterns) or None)
    plan = features.Plan.build(tapped, target_sizes, cls_token, statistics)
    options = running(device, dtype, batch_size)
    with resuming(possible=True):
        found = features.extract(network, images, plan, store=out, strict=strict, progress=progress, **options)
    if images.lacking:
        click.echo(f"no labels are written to images.csv: {images.lacking}", err=True)
    labels = images.labels or [""] * len(images)
    write_csv(out / "images.csv", ("path", "label"), ((images.names[i], labels[i]) for i in found.kept))
    warn_skipped(found.skipped, len(images))
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
    emit(result, table(lines), as_json=as_json)
