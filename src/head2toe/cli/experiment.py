"""`head2toe experiment`: one of the paper's experiments on the user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from head2toe.benchmark.experiments import NAMES, TRAINING
from head2toe.benchmark.experiments.settings import Settings
from head2toe.cli.options import (
    DEFAULT_BACKBONE,
    OutputOptions,
    RunningOptions,
    UserPath,
    images_alone,
    output_options,
    running_options,
)
from head2toe.cli.output import emit, resuming, table, warn_skipped
from head2toe.errors import OutputExistsError, ParameterError
from head2toe.progress import silent

_KEPT = "it reads the rows of images from the cache as far as they were made, and measures anew"


@click.command()
@click.argument("name", metavar="NAME", type=click.Choice(NAMES))
@click.option(
    "--data",
    "paths",
    type=UserPath(),
    metavar="DATA",
    multiple=True,
    required=True,
    help="A task, with a training and a test split; may be repeated.",
)
@click.option("--label", metavar="NAME", help="The label column of a CSV, or one of an npz's labels.")
@click.option("--split", metavar="NAME", default="train", show_default=True, help="The split to learn from.")
@click.option("--test-split", metavar="NAME", default="test", show_default=True, help="The split to be judged on.")
@click.option(
    "--backbone",
    "specs",
    metavar="SPEC",
    multiple=True,
    default=(DEFAULT_BACKBONE,),
    show_default=True,
    help="As for fit, of images; may be repeated: `fraction` and `backbones` use all, the others the first.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Side of the network's input (not of affine, affinity).",
)
@click.option(
    "--target-size",
    "target_sizes",
    metavar="N",
    type=click.IntRange(min=1),
    multiple=True,
    default=Settings.target_sizes,
    show_default=True,
    help="Numbers wanted of each layer; may be repeated: experiments on other things use the first.",
)
@click.option(
    "--cv", type=click.IntRange(min=2), default=Settings.folds, show_default=True, help="Folds of cross-validation."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=Settings.seed,
    show_default=True,
    help="Of folds, draws, networks.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=Settings.steps,
    show_default=True,
    help="Gradient steps of a network that is trained as a whole (affine, affinity).",
)
@click.option(
    "--side",
    type=click.IntRange(min=1),
    default=Settings.side,
    show_default=True,
    metavar="PIXELS",
    help="Side of the images that such a network sees, and what it is compared with.",
)
@click.option("--out", type=UserPath(), required=True, metavar="DIR", help="The folder for CSV, JSON, SVG, PNG.")
@click.option("--overwrite", is_flag=True, help="Replace files of the same experiment.")
@running_options
@output_options
def experiment(
    name: str,
    paths: tuple[Path, ...],
    label: str | None,
    split: str,
    test_split: str,
    specs: tuple[str, ...],
    image_size: int | None,
    target_sizes: tuple[int, ...],
    cv: int,
    seed: int,
    steps: int,
    side: int,
    out: Path,
    overwrite: bool,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Run an experiment of the Head2Toe paper, and write NAME.csv, NAME.json, NAME.svg and NAME.png into DIR.

    NAME is one-layer (one extra layer beside the last), affine (fine-tuning as an affine map), affinity (to the
    domain, against gain), offset (groups at growing offset in the order of relevance), scorers (of relevance),
    whole-layers (against single features), fraction (that is kept), target-size, several-sizes (at once), other-task
    (that features are selected on), kept-layers (features kept of each), stability, shots (fewer training images),
    backbones (several), hidden-layer (in the head) or normalisation.

    Accuracies, their standard errors, agreement, affinity and gain are in per cent; strength is the penalty that
    cross-validation chose. Images that cannot be read are skipped, but not by affine and affinity, which need all.
    """
    from head2toe.benchmark.experiments.laboratory import Laboratory
    from head2toe.benchmark.experiments.running import run_experiment
    from head2toe.features import Cache

    _check(out, name, split, test_split, overwrite=overwrite)
    _check_size(name, image_size)
    for spec in specs:
        images_alone(spec)
    laboratory = Laboratory(
        _tasks(paths, label, split, test_split),
        _labelled(specs),
        Cache(),
        Settings(target_sizes=tuple(dict.fromkeys(target_sizes)), folds=cv, seed=seed, steps=steps, side=side),
        progress=_show if output.progress else silent,
        backbone_options={"image_size": image_size} if image_size else {},
        run_options={**running.parameters(), "strict": running.strict, "progress": output.progress},
    )
    with resuming(possible=name not in TRAINING, so=_KEPT):
        result = run_experiment(name, laboratory, out)
    for (task, part), skipped in laboratory.skipped.items():
        images = next(getattr(one, part) for one in laboratory.tasks if one.name == task)
        warn_skipped(skipped, len(images))
    emit(result, _text(result), as_json=output.as_json)


def _check(out: Path, name: str, split: str, test_split: str, *, overwrite: bool) -> None:
    from head2toe.artifacts import check_writable
    from head2toe.benchmark.experiments import style
    from head2toe.benchmark.experiments.running import files_of

    style.load()
    if split == test_split:
        raise ParameterError(f"--split and --test-split are both {split!r}: training and test images would be the same")
    there = [path for path in files_of(name, out) if path.exists()]
    for path in there:
        if not path.is_file():
            raise OutputExistsError(f"{path} is no file, so it is not replaced: choose another folder, or move it")
    if there and not overwrite:
        raise OutputExistsError(f"{there[0]} is there already: choose another folder, or --overwrite it")
    check_writable(out)


def _check_size(name: str, image_size: int | None) -> None:
    if name in TRAINING and image_size:
        raise ParameterError(f"{name} shows the frozen network what the trained one sees: use --side, not --image-size")


def _tasks(paths: tuple[Path, ...], label: str | None, split: str, test_split: str) -> list[Any]:
    from head2toe.benchmark.tasks import Task, names_of
    from head2toe.data import read_data

    names = names_of(paths)
    parts = ([read_data(path, split=s, label=label).with_labels() for s in (split, test_split)] for path in paths)
    return [Task(name, "", train, test) for name, (train, test) in zip(names, parts, strict=True)]


def _labelled(specs: tuple[str, ...]) -> dict[str, str]:
    """Backbones under the last part of their names, or under whole ones where those would be the same."""
    short = [spec.rstrip("/").rpartition("/")[2] for spec in specs]
    return dict(zip(short if len(set(short)) == len(short) else specs, specs, strict=True))


def _text(result: dict[str, Any]) -> str:
    files = [("file", path) for path in result["files"]]
    return "\n".join([*result["findings"], table([*files, ("seconds", f"{result['seconds']:.1f}")])])


def _show(text: str) -> None:
    click.echo(text, err=True)
