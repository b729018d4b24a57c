"""`head2toe predict`: a class and its probability for each image."""

from __future__ import annotations

from pathlib import Path

import click

from head2toe.cli.options import data_options, output_options, running, running_options
from head2toe.cli.output import check_file, emit, skipped_dicts, warn_skipped, write_csv

_HEADER = ("path", "class", "probability")


@click.command()
@click.argument("probe", type=click.Path(path_type=Path))
@data_options
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.csv", help="By default standard output.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.csv.")
@click.option("--backbone", metavar="SPEC", help="Where the probe's backbone is now, if it has moved.")
@running_options
@output_options
def predict(
    probe: Path,
    data: Path,
    split: str | None,
    label: str | None,
    out: Path | None,
    overwrite: bool,
    backbone: str | None,
    device: str,
    dtype: str,
    batch_size: int | None,
    strict: bool,
    as_json: bool,
    progress: bool,
) -> None:
    """Predict the class of each image; labels are not needed.

    Writes CSV with path, class and probability. What cannot be read is listed on standard error.
    """
    from head2toe import Head2ToeClassifier
    from head2toe.features import read_data

    if out is not None:
        check_file(out, overwrite=overwrite)
    options = running(device, dtype, batch_size)
    classifier = Head2ToeClassifier.load(probe, backbone=backbone, verbose=progress, **options)
    images = read_data(data, split=split, label=label)
    found = classifier.outputs(images, strict=strict)
    names = [images.names[i] for i in found.kept]
    rows = list(zip(names, map(str, found.labels), found.probabilities.max(axis=1).tolist(), strict=True))
    warn_skipped(found.skipped, len(images))
    result = {"n": len(rows), "skipped": skipped_dicts(found.skipped)}
    if out is not None:
        write_csv(out, _HEADER, rows)
        emit({"out": str(out), **result}, f"{len(rows)} predictions in {out}", as_json=as_json)
    elif as_json:
        emit({**result, "predictions": [dict(zip(_HEADER, row, strict=True)) for row in rows]}, "", as_json=True)
    else:
        write_csv(None, _HEADER, rows)
