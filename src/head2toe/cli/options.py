"""Options that several commands share."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from head2toe.errors import ParameterError
from head2toe.paths import path_of

if TYPE_CHECKING:
    from head2toe.backbones import Backbone
    from head2toe.data import LabelledImages
    from head2toe.features import Plan

Command = Callable[..., Any]

DEFAULT_BACKBONE = "embedded"
_SPECIFICATIONS = (
    "embedded, timm/NAME, timm/hf-hub:ORG/REPO, timm/local-dir:FOLDER, hf/ORG/REPO, torchvision/NAME; "
    "hf-text/ORG/REPO for text, hf-audio/ORG/REPO for recordings."
)

device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps, ...")
groups_option = click.option(
    "--groups",
    metavar="COLUMN",
    help="A CSV's column, or an npz's array, that says which images belong together (one object, film or patient): no "
    "fold divides them.",
)


class UserPath(click.Path):
    """A path; a leading ~ is the home folder, which the shell does not replace after `--out=`."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, with the home folder in it."""
        if not value:  # a variable of the shell that is not set; Path would take it as the folder one is in
            self.fail("an empty path.", param, ctx)
        return super().convert(path_of(value), param, ctx)


@dataclass(frozen=True)
class DataOptions:
    """DATA, and how to read it."""

    data: Path
    split: str | None
    label: str | None = None

    def read(self, *, takes: str = "images", groups: str | None = None) -> LabelledImages:
        """The images (texts, recordings), with the labels that they bring. Raises as `head2toe.data.read_data`."""
        from head2toe.data import read_data

        return read_data(self.data, split=self.split, label=self.label, takes=takes, groups=groups)


def unlabelled_data_options(command: Command) -> Command:
    """DATA, and which part of it to read: handed over as `source`."""
    return _as_one(
        command,
        "source",
        DataOptions,
        click.argument("data", type=UserPath()),
        click.option("--split", metavar="NAME", help="Which split of DATA, where it has several."),
    )


def data_options(command: Command) -> Command:
    """DATA, and how to read it and its labels: handed over as `source`."""
    return unlabelled_data_options(
        _with(
            command,
            click.option("--label", metavar="NAME", help="The label column of a CSV, or one of an npz's labels."),
        )
    )


def one_backbone_option(command: Command) -> Command:
    """The network."""
    return _with(
        command,
        click.option("--backbone", metavar="SPEC", default=DEFAULT_BACKBONE, show_default=True, help=_SPECIFICATIONS),
    )


def images_alone(spec: str) -> None:
    """Refuse a backbone of texts or recordings where a command compares by images.

    Raises
    ------
    ParameterError
    """
    from head2toe import backbones

    if backbones.takes(spec) != "images":
        raise ParameterError(f"{spec} takes {backbones.takes(spec)}: this command is for backbones of images")


def several_backbones_option(command: Command) -> Command:
    """One network, or several under one probe."""
    return _with(
        command,
        click.option(
            "--backbone",
            "specs",
            metavar="SPEC",
            multiple=True,
            default=(DEFAULT_BACKBONE,),
            show_default=True,
            help=f"{_SPECIFICATIONS} May be repeated: one probe over the layers of all.",
        ),
    )


@dataclass(frozen=True)
class MovedOptions:
    """Where the networks of a probe are now."""

    specs: tuple[str, ...]
    files: tuple[Path, ...]

    def parameters(self) -> dict[str, Any]:
        """The same in the words of `Head2ToeClassifier.load`."""
        files = {"weights": alone_or_all(self.files)} if self.files else {}
        return {"backbone": alone_or_all(self.specs), **files}


def moved_backbone_option(command: Command) -> Command:
    """Where the networks of a probe are now: handed over as `moved`."""
    return _as_one(
        command,
        "moved",
        MovedOptions,
        click.option(
            "--backbone",
            "specs",
            metavar="SPEC",
            multiple=True,
            help="Where the probe's backbone is now, if it has moved; of several, each in its order.",
        ),
        click.option(
            "--weights",
            "files",
            type=UserPath(),
            metavar="FILE",
            multiple=True,
            help="Where the file is now that fit got by --weights; of several, each in its order.",
        ),
    )


def alone_or_all(specs: tuple[Any, ...]) -> Any:
    """One specification, or a list of several, in the words of the library."""
    return list(specs) if len(specs) > 1 else next(iter(specs), None)


@dataclass(frozen=True)
class LayerOptions:
    """Weights, input, layers and columns."""

    weights: Path | None
    resize: str
    image_size: int | None
    patterns: tuple[str, ...]
    target_sizes: tuple[int, ...]
    statistics: tuple[str, ...]
    cls_token: str

    def load(self, spec: str) -> Backbone:
        """The network. Raises as `head2toe.backbones.load`."""
        from head2toe import backbones

        return backbones.load(spec, weights=self.weights, resize=self.resize, image_size=self.image_size)

    def plan(self, network: Backbone) -> Plan:
        """The columns of a row. Raises as `head2toe.features.layers` and `head2toe.features.Plan.build`."""
        from head2toe import features

        tapped = features.layers(network, list(self.patterns) or None)
        return features.Plan.build(tapped, self.target_sizes, self.cls_token, self.statistics)

    def parameters(self) -> dict[str, Any]:
        """The same in the words of `Head2ToeClassifier`."""
        given = dict(vars(self))
        patterns = given.pop("patterns")
        return {"layers": list(patterns) or None, **given}


def layer_options(command: Command) -> Command:
    """Weights, input, layers and columns: handed over as `wanted`."""
    return _as_one(
        command,
        "wanted",
        LayerOptions,
        click.option(
            "--weights",
            type=UserPath(),
            metavar="FILE",
            help="Weights of a timm or torchvision network: .safetensors, .pth, .pt, .bin; with one --backbone alone.",
        ),
        click.option(
            "--resize",
            type=click.Choice(["whole", "crop"]),
            default="whole",
            show_default=True,
            help="The whole image to the input size, or the checkpoint's resize and centre crop.",
        ),
        click.option(
            "--image-size",
            type=click.IntRange(min=1),
            metavar="PIXELS",
            help="Side of the network's input, instead of the checkpoint's.",
        ),
        click.option(
            "--layers",
            "patterns",
            metavar="PATTERN",
            multiple=True,
            help="Use these layers alone: a glob, or re: and a regular expression; may be repeated.",
        ),
        click.option(
            "--target-size",
            "target_sizes",
            metavar="N",
            type=click.IntRange(min=1),
            multiple=True,
            default=(512,),
            show_default=True,
            help="Numbers wanted of each layer, approximately; may be repeated.",
        ),
        click.option(
            "--statistics",
            metavar="LIST",
            default="mean,std,max,centre",
            show_default=True,
            callback=_statistics,
            help="Besides, of each channel: some of mean, std, max, centre and moments, or none.",
        ),
        click.option(
            "--cls-token",
            type=click.Choice(["with", "alone", "beside"]),
            default="with",
            show_default=True,
            help="Of a transformer's grids: the class token pooled with the rest, alone, or beside the pooled rest.",
        ),
    )


@dataclass(frozen=True)
class RunningOptions:
    """How the network runs."""

    device: str
    dtype: str
    batch_size: int | None
    strict: bool

    def parameters(self) -> dict[str, Any]:
        """The same in the words of the library, but for `strict`, which calls take that only predict."""
        return {"device": self.device, "dtype": self.dtype, "batch_size": self.batch_size or "auto"}


def running_options(command: Command) -> Command:
    """How the network runs: handed over as `running`."""
    return _as_one(
        command,
        "running",
        RunningOptions,
        device_option,
        click.option(
            "--dtype",
            type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
            default="auto",
            show_default=True,
            help="auto: on a CPU what a one-second trial finds faster, on a GPU bfloat16 or float16; a probe that is "
            "there already keeps the format of its fit.",
        ),
        click.option(
            "--batch-size", type=click.IntRange(min=1), metavar="N", help="Images at once; by default what fits."
        ),
        click.option("--strict", is_flag=True, help="Stop at an image that cannot be read, instead of skipping it."),
    )


@dataclass(frozen=True)
class OutputOptions:
    """What is printed."""

    as_json: bool
    progress: bool


def output_options(command: Command) -> Command:
    """What is printed: handed over as `output`."""
    return _as_one(
        command,
        "output",
        OutputOptions,
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output."),
        click.option(
            "--progress/--no-progress",
            default=None,
            callback=_progress,
            help="Progress and notes on standard error; by default on a terminal.",
        ),
    )


def seeds_option(default: Iterable[int]) -> Callable[[Command], Command]:
    """The runs of a comparison: handed over as text, for `listed_seeds`."""
    return click.option(
        "--seeds",
        metavar="I,J,...",
        default=",".join(map(str, default)),
        show_default=True,
        help="Of folds and first weights, one by one: 0,1,2 are three runs, and 3 is one, with seed 3.",
    )


def listed(text: str) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def listed_seeds(text: str) -> list[int]:
    """Seeds with commas between them.

    Raises
    ------
    ParameterError
    """
    try:
        found = [int(one) for one in listed(text)]
    except ValueError:
        found = []
    if not found or min(found) < 0:
        raise ParameterError(f"--seeds is {text!r}: give whole numbers with commas between them, none negative")
    return found


def _statistics(_: click.Context, __: click.Parameter, listed: str) -> tuple[str, ...]:
    names = [name.strip() for name in listed.split(",")]
    return () if names == ["none"] else tuple(names)


def _progress(_: click.Context, __: click.Parameter, wanted: bool | None) -> bool:
    shown = sys.stderr.isatty() if wanted is None else wanted
    logging.getLogger("head2toe").setLevel(logging.INFO if shown else logging.WARNING)
    logging.getLogger("head2toe.estimators").setLevel(logging.ERROR)  # the commands list skipped images themselves
    return shown


def _as_one(command: Command, name: str, kind: type[Any], *options: Callable[[Command], Command]) -> Command:
    """Give a command these options, and hand it their values as one object of that kind."""

    @functools.wraps(command)
    def handed(**given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
        return command(**{name: kind(**own)}, **given)

    return _with(handed, *options)


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
