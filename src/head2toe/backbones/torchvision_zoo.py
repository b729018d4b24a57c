"""Backbones of torchvision: its classification models with the weights and transforms of its own enumerations."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.hub import opens
from head2toe.backbones.preprocessing import Preprocessing, crop_share
from head2toe.backbones.weights_file import load_strictly
from head2toe.errors import HubUnreachableError, UnknownBackboneError, WeightsMismatchError, one_line

PREFIX = "torchvision/"
_HEADS = ("fc", "classifier", "head", "heads")
# These two scale their input anew for weights that came from TensorFlow, as all published ones did.
_FROM_TENSORFLOW = {"googlenet", "inception_v3"}


def load_torchvision(name: str, *, weights: str | Path | None = None, resize: str = "whole") -> Backbone:
    """Load one of torchvision's classification models.

    Parameters
    ----------
    name : str
        Without the leading "torchvision/": MODEL, or MODEL@WEIGHTS (``resnet50@IMAGENET1K_V1``); by default
        torchvision's default weights.
    weights : path of a .safetensors, .pth, .pt or .bin file, optional
        Loaded strictly instead; the transforms stay those of the model's (default) weights.
    resize : "whole" or "crop"

    Raises
    ------
    UnknownBackboneError
        torchvision has no such model or weights.
    HubUnreachableError
        The weights are neither in torch hub's cache nor to be had.
    WeightsMismatchError
    """
    model, _, chosen = name.partition("@")
    entry = _entry(model, chosen)
    module = _pretrained(model, entry) if weights is None else _empty(model)
    if weights is not None:
        load_strictly(module, Path(weights))
    return Backbone(
        spec=PREFIX + name,
        module=freeze(module),
        preprocessing=_preprocessing(entry, resize),
        classifier=_classifier(module),
        revision=entry.name if weights is None else None,
    )


def _entry(model: str, chosen: str) -> Any:
    """The member of the model's enumeration of weights."""
    from torchvision import models

    known = models.list_models(module=models)
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3, cutoff=0.4)
        raise UnknownBackboneError(
            f"torchvision has no classification model {model!r}: did you mean "
            f"{', '.join(near) or 'one of torchvision.models.list_models()'}?"
        )
    entries = models.get_model_weights(model)
    if chosen and chosen not in entries.__members__:
        raise UnknownBackboneError(f"{model} has no weights {chosen!r}: it has {', '.join(entries.__members__)}")
    return entries[chosen or "DEFAULT"]


def _pretrained(model: str, entry: Any) -> torch.nn.Module:
    from torchvision import models

    place = urlsplit(entry.url)
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(place.path).name
    if not file.is_file() and not opens(place.hostname or ""):
        raise HubUnreachableError(
            f"{file.name} is not in {file.parent} and {place.hostname} cannot be reached: "
            f"put it there, or pass --weights FILE, or use 'embedded', which needs no download"
        )
    try:
        return models.get_model(model, weights=entry, progress=False)
    except (RuntimeError, OSError, ValueError) as error:
        reason = one_line(error)
        raise WeightsMismatchError(f"torchvision/{model} cannot be loaded from {file}: {reason}") from error


def _empty(model: str) -> torch.nn.Module:
    from torchvision import models

    options = {"transform_input": True, "init_weights": False} if model in _FROM_TENSORFLOW else {}
    return models.get_model(model, weights=None, **options)


def _preprocessing(entry: Any, resize: str) -> Preprocessing:
    transform = entry.transforms()
    crop, edge = transform.crop_size[0], transform.resize_size[0]
    return Preprocessing(
        size=(crop, crop),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        resize=resize,
        crop_pct=crop_share(crop, edge),
    )


def _classifier(module: torch.nn.Module) -> str | None:
    """The last `Linear` of the head, or the whole head where it ends otherwise (SqueezeNet's is a convolution)."""
    head = next((name for name in _HEADS if isinstance(getattr(module, name, None), torch.nn.Module)), None)
    if head is None:
        return None
    parts = getattr(module, head).named_modules(prefix=head)
    linear = [name for name, part in parts if isinstance(part, torch.nn.Linear)]
    return linear[-1] if linear else head
