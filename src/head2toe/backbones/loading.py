"""From a specification to a backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from head2toe.backbones.backbone import Backbone
from head2toe.backbones.own_module import load_module
from head2toe.backbones.preprocessing import (
    RESIZES,
    AnyPreprocessing,
    Preprocessing,
    TransformPreprocessing,
)
from head2toe.backbones.sizes import resized
from head2toe.checks import require
from head2toe.errors import NotFiniteError, ParameterError, PreprocessingError, UnknownBackboneError
from head2toe.plain_torch import plain_torch

Transform = Callable[[Image.Image], torch.Tensor]


@plain_torch()
def load(
    spec: str | torch.nn.Module,
    *,
    weights: str | Path | None = None,
    preprocessing: AnyPreprocessing | Transform | None = None,
    resize: str = "whole",
    image_size: int | tuple[int, int] | None = None,
) -> Backbone:
    """Load a frozen backbone.

    Parameters
    ----------
    spec : str or torch.nn.Module
        "embedded"; "timm/NAME", "timm/hf-hub:ORG/REPO" or "timm/local-dir:FOLDER"; "hf/ORG/REPO[@REVISION]" or
        "hf/FOLDER" for a vision model of `transformers`, "hf-text/..." and "hf-audio/..." for its models of text and
        of recordings; "torchvision/NAME[@WEIGHTS]"; or a module of your own, which is put into eval mode and whose
        gradients are switched off; one that timm made brings its preprocessing.
    weights : path of a .safetensors, .pth, .pt or .bin file, optional
        Weights for an architecture of timm or torchvision, loaded strictly.
    preprocessing : Preprocessing or callable, optional
        For your own module, which has none: a `Preprocessing`, or a callable from an RGB PIL image to a float tensor
        (channels, H, W). Given with a string, or with a module of timm's, it replaces the checkpoint's.
    resize : "whole" or "crop"
        Resize the whole image (the paper's way, the default), or the checkpoint's resize and centre crop.
    image_size : int or (H, W), optional
        Input size in pixels instead of the checkpoint's. timm's transformers interpolate their position embeddings;
        networks of a fixed size refuse.

    Raises
    ------
    UnknownBackboneError
        Nothing answers to `spec`; the message names what is nearest.
    PreprocessingError
        A module without preprocessing, or preprocessing that is no `Preprocessing` and no callable.
    ParameterError
        Unknown `resize`, `weights` where they do not apply, or an `image_size` that the network does not take.
    NotFiniteError
        A weight is NaN.
    WeightsMismatchError, HubUnreachableError, MissingDependencyError
    """
    require(resize in RESIZES, "resize", resize, "'whole' or 'crop'")
    if weights is not None and isinstance(spec, torch.nn.Module):
        raise ParameterError(
            "weights= goes with timm/NAME and torchvision/NAME: load those of your own module yourself"
        )
    if isinstance(spec, str) and takes(spec) != "images":
        crop = None if resize == "whole" else resize
        _refuse_for_sequences(spec, preprocessing=preprocessing, image_size=image_size, resize=crop)
    given = _as_preprocessing(preprocessing)
    own = isinstance(spec, torch.nn.Module)
    backbone = load_module(spec, resize, given) if own else _from_name(spec, weights, resize, given)
    _check_numbers(backbone)
    backbone = backbone if given is None else replace(backbone, preprocessing=given)
    return backbone if image_size is None else resized(backbone, image_size)


def _check_numbers(backbone: Backbone) -> None:
    for name, weight in backbone.module.named_parameters():
        # A sum tells at once where there is none; infinity, as in a mask, is no fault.
        if not bool(weight.sum().isfinite()) and bool(weight.isnan().any()):
            raise NotFiniteError(f"the weights of {backbone.spec} hold NaN, first in {name}: load a whole checkpoint")


def takes(spec: str | torch.nn.Module) -> str:
    """What a backbone takes: "images", "texts" or "recordings"; nothing is loaded."""
    family = spec.partition("/")[0] if isinstance(spec, str) else ""
    return {"hf-text": "texts", "hf-audio": "recordings"}.get(family, "images")


def _refuse_for_sequences(spec: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ParameterError(f"{name} is for backbones of images: {spec} brings all that it needs, leave it out")


def _from_name(spec: str, weights: str | Path | None, resize: str, preprocessing: AnyPreprocessing | None) -> Backbone:
    from head2toe.backbones.embedded import load_embedded
    from head2toe.backbones.hf_audio import load_audio
    from head2toe.backbones.hf_text import load_text
    from head2toe.backbones.huggingface import load_huggingface
    from head2toe.backbones.timm_zoo import load_timm
    from head2toe.backbones.torchvision_zoo import load_torchvision

    if isinstance(spec, Backbone):
        raise UnknownBackboneError(f"{spec.spec} is loaded already: pass what it was loaded from, its name or module")
    if not isinstance(spec, str):
        raise UnknownBackboneError(f"a {type(spec).__name__} is no backbone: pass a name or a torch.nn.Module")
    family, _, name = spec.partition("/")
    if family == "timm" and name:
        return load_timm(name, weights=weights, resize=resize)
    if family == "torchvision" and name:
        return load_torchvision(name, weights=weights, resize=resize)
    if weights is not None:
        raise ParameterError(f"weights= goes with timm/NAME and torchvision/NAME, not with {spec!r}")
    if family == "hf" and name:
        return load_huggingface(name, resize=resize, preprocessing=preprocessing)
    if family == "hf-text" and name:
        return load_text(name)
    if family == "hf-audio" and name:
        return load_audio(name)
    if spec == "embedded":
        return load_embedded(resize)
    if len(Path(spec).parts) > 1 and Path(spec).is_dir():
        raise UnknownBackboneError(f"backbone {spec!r} is a folder: use 'timm/local-dir:{spec}' or 'hf/{spec}'")
    raise UnknownBackboneError(
        f"unknown backbone {spec!r}: use 'embedded', 'timm/{spec}', 'hf/{spec}', 'torchvision/{spec}', "
        f"'hf-text/{spec}', 'hf-audio/{spec}' or a torch.nn.Module"
    )


def _as_preprocessing(given: AnyPreprocessing | Transform | None) -> AnyPreprocessing | None:
    if given is None or isinstance(given, Preprocessing | TransformPreprocessing):
        return given
    if not callable(given):
        raise PreprocessingError("preprocessing must be a Preprocessing or a callable from a PIL image to a tensor")
    return TransformPreprocessing(given)
