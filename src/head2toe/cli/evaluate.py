"""`head2toe evaluate`: how good a probe is on labelled images."""

from __future__ import annotations

from pathlib import Path

import click

from head2toe.cli.options import (
    DataOptions,
    MovedOptions,
    OutputOptions,
    RunningOptions,
    UserPath,
    data_options,
    moved_backbone_option,
    output_options,
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
    source: DataOptions,
    moved: MovedOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Measure a probe's accuracy on labelled images, beside that of the linear probe fitted with it."""
    from head2toe import Head2ToeClassifier
    from head2toe.estimators import evaluate as measure

    options = {**moved.parameters(), **running.parameters()}
    classifier = Head2ToeClassifier.load(probe, verbose=output.progress, **options)
    images = source.read(takes=classifier.takes).with_labels()
    found = measure(classifier, images, strict=running.strict)
    warn_skipped(found.skipped, len(images), images.takes)
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
    emit(result, table(lines), as_json=output.as_json)
