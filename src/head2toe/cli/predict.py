"""`head2toe predict`: a class and its probability for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from head2toe.cli.options import (
    DataOptions,
    MovedOptions,
    OutputOptions,
    RunningOptions,
    UserPath,
    moved_backbone_option,
    output_options,
    running_options,
    unlabelled_data_options,
)
from head2toe.cli.output import check_file, emit, skipped_dicts, warn_skipped, write_csv
from head2toe.errors import EmptyDataError


@click.command()
@click.argument("probe", type=UserPath())
@unlabelled_data_options
@click.option("--out", type=UserPath(), metavar="FILE.csv", help="By default standard output.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.csv.")
@moved_backbone_option
@running_options
@output_options
def predict(
    probe: Path,
    source: DataOptions,
    out: Path | None,
    overwrite: bool,
    moved: MovedOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Predict the class of each image (text, recording); labels are not needed.

    Writes CSV with path (text), class and probability. What cannot be read is listed on standard error.
    """
    from head2toe import Head2ToeClassifier
    from head2toe.data import PREDICTED

    if out is not None:
        check_file(out, overwrite=overwrite)
    options = {**moved.parameters(), **running.parameters()}
    classifier = Head2ToeClassifier.load(probe, verbose=output.progress, **options)
    images = source.read(takes=classifier.takes)
    found = classifier.outputs(images, strict=running.strict)
    if found.skipped and not len(found.kept):
        raise EmptyDataError(
            f"none of the {len(images)} {images.takes} can be read; the first: {found.skipped[0].reason}"
        )
    names = [images.names[i] for i in found.kept]
    rows = list(zip(names, map(str, found.labels), found.probabilities.max(axis=1).tolist(), strict=True))
    header = ("text", *PREDICTED[1:]) if classifier.takes == "texts" else PREDICTED
    warn_skipped(found.skipped, len(images), images.takes)
    result = {"n": len(rows), "skipped": skipped_dicts(found.skipped)}
    if out is not None:
        try:
            write_csv(out, header, rows)
        except OSError:  # a full disk does not lose them
            _print(header, rows, result, as_json=output.as_json)
            raise
        emit({"out": str(out), **result}, f"{len(rows)} predictions in {out}", as_json=output.as_json)
    else:
        _print(header, rows, result, as_json=output.as_json)


def _print(header: Sequence[str], rows: list[tuple[Any, ...]], result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit({**result, "predictions": [dict(zip(header, row, strict=True)) for row in rows]}, "", as_json=True)
    else:
        write_csv(None, header, rows)
