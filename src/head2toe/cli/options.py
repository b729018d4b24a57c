"""Options that several commands share."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from head2toe.errors import ParameterError

Command = Callable[..., Any]

DEFAULT_BACKBONE = "embedded"
_SPECIFICATIONS = (
    "embedded, timm/NAME, timm/hf-hub:ORG/REPO, timm/local-dir:FOLDER, hf/ORG/REPO, torchvision/NAME; "
    "hf-text/ORG/REPO for text, hf-audio/ORG/REPO for recordings."
)


class UserPath(click.Path):
    """A path; a leading ~ is the home folder, which the shell does not replace after `--out=`."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, with the home folder in it."""
        if not value:  # a variable of the shell that is not set; Path would take it as the folder one is in
            self.fail("an empty path.", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 - Path's raises where there is none


def unlabelled_data_options(command: Command) -> Command:
    """DATA, and which part of it to read."""
    return _with(
        command,
        click.argument("data", type=UserPath()),
        click.option("--split", metavar="NAME", help="Which split of DATA, where it has several."),
    )


def data_options(command: Command) -> Command:
    """DATA, and how to read it and its labels."""
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


def moved_backbone_option(command: Command) -> Command:
    """Where the networks of a probe are now."""
    return _with(
        command,
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


def moved(specs: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, Any]:
    """The options of `moved_backbone_option` in the words of the library."""
    return {"backbone": alone_or_all(specs)} | ({"weights": alone_or_all(files)} if files else {})


def alone_or_all(specs: tuple[Any, ...]) -> Any:
    """One specification, or a list of several, in the words of the library."""
    return list(specs) if len(specs) > 1 else next(iter(specs), None)


def layer_options(command: Command) -> Command:
    """Weights, input, layers and columns."""
    return _with(
        command,
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
            help="What to take of each channel besides, with commas between; none: nothing.",
        ),
        click.option(
            "--cls-token",
            type=click.Choice(["with", "alone", "beside"]),
            default="with",
            show_default=True,
            help="Of a transformer's grids: the class token pooled with the rest, alone, or beside the pooled rest.",
        ),
    )


def running_options(command: Command) -> Command:
    """How the network runs."""
    return _with(
        command,
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps, ..."),
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


def output_options(command: Command) -> Command:
    """What is printed."""
    return _with(
        command,
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output."),
        click.option(
            "--progress/--no-progress",
            default=None,
            callback=_progress,
            help="Progress and notes on standard error; by default on a terminal.",
        ),
    )


def running(device: str, dtype: str, batch_size: int | None) -> dict[str, Any]:
    """The options of `running_options` in the words of the library."""
    return {"device": device, "dtype": dtype, "batch_size": batch_size or "auto"}


def _statistics(_: click.Context, __: click.Parameter, listed: str) -> tuple[str, ...]:
    names = [name.strip() for name in listed.split(",")]
    return () if names == ["none"] else tuple(names)


def _progress(_: click.Context, __: click.Parameter, wanted: bool | None) -> bool:
    shown = sys.stderr.isatty() if wanted is None else wanted
    logging.getLogger("head2toe").setLevel(logging.INFO if shown else logging.WARNING)
    logging.getLogger("head2toe.estimators").setLevel(logging.ERROR)  # the commands list skipped images themselves
    return shown


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
