"""`head2toe compare`: several methods on the same images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from head2toe.benchmark.defaults import STEPS
from head2toe.cli.options import (
    DEFAULT_BACKBONE,
    DataOptions,
    OutputOptions,
    UserPath,
    data_options,
    device_option,
    groups_option,
    images_alone,
    listed,
    listed_seeds,
    output_options,
    seeds_option,
)
from head2toe.cli.output import check_file, emit, table, tell
from head2toe.errors import DataFormatError, InterruptedComparisonError, ParameterError, UnfinishedComparisonError
from head2toe.paths import real_path
from head2toe.whole_files import write_text

if TYPE_CHECKING:
    from head2toe.benchmark.outcome import Outcome
    from head2toe.data import LabelledImages

DEFAULT_METHODS = "linear,knn,last4,all-l2,head2toe-equal,head2toe"


@click.command()
@data_options
@click.option("--test", type=UserPath(), metavar="DATA", help="The test images; by default in DATA.")
@click.option("--test-split", metavar="NAME", help="Which split holds the test images.")
@groups_option
@click.option("--backbone", metavar="SPEC", default=DEFAULT_BACKBONE, show_default=True, help="As for fit, of images.")
@click.option(
    "--methods",
    metavar="A,B,...",
    default=DEFAULT_METHODS,
    show_default=True,
    help="linear, knn, last4, all-l2, all-l1, all-gl, head2toe, head2toe-equal, head2toe-reference; and, which train "
    "the network: head2toe-ft, head2toe-ft+, lora, finetune, finetune-official, scratch; finetune-cost for its "
    "cost alone.",
)
@seeds_option((0,))
@click.option("--image-size", type=click.IntRange(min=1), metavar="PIXELS", help="Side of the network's input.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=STEPS,
    show_default=True,
    help="Gradient steps of training a network.",
)
@click.option("--augment", is_flag=True, help="Train networks on random crops and mirror images.")
@device_option
@click.option("--out", type=UserPath(), metavar="FILE", help="Also write all figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@output_options
def compare(
    source: DataOptions,
    test: Path | None,
    test_split: str | None,
    groups: str | None,
    backbone: str,
    methods: str,
    seeds: str,
    image_size: int | None,
    steps: int,
    augment: bool,
    device: str,
    out: Path | None,
    overwrite: bool,
    output: OutputOptions,
) -> None:
    """Train several methods on the same images, and judge each once on the test images.

    The test images are another DATA (--test), another split of it (--test-split), or both. Hyper-parameters are chosen
    on training images alone.
    """
    from head2toe.benchmark import compare as run
    from head2toe.benchmark.before_training import check_shared_images
    from head2toe.benchmark.methods import methods as named
    from head2toe.benchmark.tasks import Task, names_of

    judged_on = DataOptions(test or source.data, test_split, source.label)
    _check_parts(source, test, test_split)
    images_alone(backbone)
    names, numbers = listed(methods), listed_seeds(seeds)
    named(names)  # refused before any image is read
    if out is not None:
        check_file(out, overwrite=overwrite)
    task = Task(
        names_of([source.data])[0],
        "",
        source.read(groups=groups).with_labels(),
        _test_images(judged_on, groups).with_labels(),
    )
    check_shared_images(task)
    options = {"image_size": image_size, "steps": steps, "augment": augment, "device": device}
    unfinished = None
    try:
        outcomes = run(task, backbone, names, seed=numbers, progress=tell if output.progress else None, **options)
    except (UnfinishedComparisonError, InterruptedComparisonError) as error:  # what the others came to is not lost
        outcomes, unfinished = error.outcomes, error
    result = {"outcomes": [outcome.to_dict() for outcome in outcomes]}
    try:  # neither a full disk nor a standard output that is gone loses them
        if out is not None:
            write_text(out, json.dumps(result, indent=2, allow_nan=False) + "\n")
    finally:
        emit(result, _text(outcomes), as_json=output.as_json)
    if unfinished is not None:
        raise unfinished


def _test_images(test: DataOptions, groups: str | None) -> LabelledImages:
    """The test images, with their groups where they have some: no fold needs these."""
    try:
        return test.read(groups=groups)
    except DataFormatError:  # other data may have no such column
        return test.read()


def _check_parts(source: DataOptions, test: Path | None, test_split: str | None) -> None:
    if test is None and test_split is None:
        raise ParameterError("there are no test images: name them with --test DATA or --test-split NAME")
    same = test is None or real_path(test) == real_path(source.data)
    if (test is None and source.split is None) or (same and source.split == test_split):
        raise ParameterError("training and test images would be the same: name --split and another --test-split")


def _text(outcomes: list[Outcome]) -> str:
    header = ("method", "seed", "top-1 %", "balanced %", "CV %", "seconds", "TFLOPs", "stored kB")
    rows = [
        (
            one.method + (" (estimated)" if one.estimated else ""),
            one.seed,
            _percent(one.accuracy),
            _percent(one.balanced_accuracy),
            _percent(one.cv_accuracy),
            f"{one.seconds:,.1f}",
            f"{one.train_flops / 1e12:,.3f}",
            f"{one.stored_bytes / 1000:,.0f}",
        )
        for one in outcomes
    ]
    return table([header, *rows], right=range(1, len(header)))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
