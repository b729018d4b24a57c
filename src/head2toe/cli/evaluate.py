"""`head2toe evaluate`: how good a probe is on labelled images."""

from __future__ import annotations

from pathlib import Path

import click

from head2toe.cli.options import (
    UserPath,
    data_options,
    moved,
    moved_backbone_option,
    output_options,
    running,
    running_options,
)
from head2toe.cli.output import emit, skipped_dicts, table, warn_skipped


@click.command()
@click.argument("probe", type=UserPath())
@data_options
@moved_backbone_option
@running_options
@output_options
def evaluate(
    probe: Path,
    data: Path,
    split: str | None,
    label: str | None,
    specs: tuple[str, ...],
    files: tuple[Path, ...],
    device: str,
    dtype: str,
    batch_size: int | None,
    strict: bool,
    as_json: bool,
    progress: bool,
) -> None:
    """Measure a probe's accuracy on labelled images, beside that of the linear probe fitted with it."""
    from head2toe import Head2ToeClassifier
    from head2toe.data import read_data
    from head2toe.estimators import evaluate as measure

    options = moved(specs, files) | running(device, dtype, batch_size)
    classifier = Head2ToeClassifier.load(probe, verbose=progress, **options)
    images = read_data(data, split=split, label=label, takes=classifier.takes).with_labels()
    found = measure(classifier, images, strict=strict)
    warn_skipped(found.skipped, len(images))
    numbers = {
        "accuracy": found.accuracy,
        "balanced_accuracy": found.balanced_accuracy,
        "linear_accuracy": found.linear_accuracy,
        "n": found.n,
    }
    lines = [(name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in numbers.items()]
    lines.append(("skipped", len(found.skipped)))
    if found.unknown:
        lines.append(("no class of the probe", ", ".join(found.unknown)))
    result = {**numbers, "skipped": skipped_dicts(found.skipped), "unknown_labels": found.unknown}
    emit(result, table(lines), as_json=as_json)
