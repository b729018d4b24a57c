"""What tells a user's own network or transform from another one of the same name: what it makes of noise."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from head2toe.backbones.backbone import contents
from head2toe.features.hooks import first_tensor, run, watch
from head2toe.features.noise import noise_batch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

_IMAGES = 2
_ALIKE = 0.01  # as a share of mean and deviation: processors add up in other orders
# Crops, resizes and paddings agree on a square picture, and small ones show what large ones do not.
_SIZES = (320, 200), (200, 320), (60, 45), (256, 256)


def behaviour(backbone: Backbone) -> str | None:
    """SHA-256 of what transform and network make of noise; None where their description says it all.

    Weights and printed forms do not show which activation a module uses, its plain attributes and buffers that are not
    saved, or what a lambda in a transform does. Of a network the output of every module counts: layers are tapped that
    its own output may not depend on.
    """
    described = "transform" not in backbone.preprocessing.to_dict()
    if described and not backbone.spec.startswith("module/"):
        return None
    digest = hashlib.sha256()
    if not described:
        for picture in _pictures():
            digest.update(_transformed(backbone, picture))

    def see(name: str, tensor: Tensor) -> None:
        digest.update(f"{name}:".encode())
        digest.update(contents(tensor))

    _look(backbone, noise_batch(backbone, _IMAGES), see)
    return digest.hexdigest()


def answers(backbone: Backbone) -> dict[str, Any] | None:
    """What a user's own network makes of noise, in a few numbers that other machines get too, as JSON data.

    Mean and standard deviation of every module's output; None of a network that is known by its name. Unlike
    `behaviour` they hold for any transform.
    """
    if not backbone.spec.startswith("module/"):
        return None
    noise = _noise(backbone)
    first, second = (_moments(backbone, noise) for _ in range(2))
    constant = {name: value for name, value in first.items() if second.get(name) == value}
    return {"shape": list(noise.shape), "moments": constant}


def other_answer(backbone: Backbone, written: dict[str, Any]) -> str | None:
    """The first module that makes another thing of noise than `answers` once wrote down, or None."""
    noise = _noise(backbone)
    if list(noise.shape) != written["shape"]:
        return None  # images of another size
    found = _moments(backbone, noise)
    for name, (mean, spread) in written["moments"].items():
        allowed = _ALIKE * (abs(mean) + spread) + 1e-6
        if name not in found or max(abs(found[name][0] - mean), abs(found[name][1] - spread)) > allowed:
            return name
    return None


def _noise(backbone: Backbone) -> Tensor:
    """What the network is given: of images the same whatever a transform makes of pictures."""
    made = noise_batch(backbone, _IMAGES)
    return torch.rand(made.shape, generator=torch.Generator().manual_seed(0)) if made.is_floating_point() else made


def _moments(backbone: Backbone, noise: Tensor) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def see(name: str, tensor: Tensor) -> None:
        values = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).double()
        pair = [float(values.mean()), float(values.std(correction=0))] if values.numel() else [0.0, 0.0]
        if all(map(math.isfinite, pair)):
            found[name] = pair

    _look(backbone, noise, see)
    return found


def _look(backbone: Backbone, noise: Tensor, see: Callable[[str, Tensor], None]) -> None:
    """Show what every module makes of noise, by its name and the number of the call."""

    def shown(name: str, _where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, _IMAGES)
        if tensor is not None:
            see(f"{name}:{call}", tensor)

    outputs = [(name, "output") for name, _ in backbone.module.named_modules()]
    with watch(backbone.module, outputs, shown):
        run(backbone.module, noise.clone())  # a network may write into its input


def _pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(height, width, 3) for width, height in _SIZES]
    return [Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)) for size in sizes]


def _transformed(backbone: Backbone, picture: Image.Image) -> bytes:
    """What the network is given of a picture; of one that the transform refuses, how it does."""
    try:
        return bytes(contents(backbone.preprocessing.batch([backbone.preprocessing.image(picture)])))
    except Exception as error:  # noqa: BLE001 - of images that are there it is told when they are read
        return type(error).__name__.encode()
