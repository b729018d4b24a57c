"""What tells a user's own network, folder or transform from another one of the same name.

What it makes of noise; and of a folder its description, for that is the same in every process and on every machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from head2toe.backbones.backbone import contents
from head2toe.backbones.running import run
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch
from head2toe.features.outputs import first_tensor

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

_IMAGES = 2
_ALIKE = 0.01  # as a share of mean and deviation: processors add up in other orders
# Crops, resizes and paddings agree on a square picture, and small ones show what large ones do not.
_SIZES = (320, 200), (200, 320), (60, 45), (256, 256)


def behaviour(backbone: Backbone) -> str | None:
    """SHA-256 of what transform and network make of noise; None where their description says it all.

    Of a folder that of its config.json, where nothing else is the user's own.

    Weights and printed forms do not show which activation a module uses, its plain attributes and buffers that are not
    saved, or what a lambda in a transform does. Of a network the output of every module counts: layers are tapped that
    its own output may not depend on.
    """
    described = "transform" not in backbone.preprocessing.to_dict()
    if described and not backbone.is_own:
        return None if backbone.folder is None else _configured(backbone.folder)
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
    """What a user's own network or folder makes of noise, in a few numbers that other machines get too, as JSON data.

    Mean and standard deviation of every module's output, of each image; None of a network that is told by its name.
    Unlike `behaviour` they hold for any transform.
    """
    if not backbone.is_own and backbone.folder is None:
        return None
    noise = _noise(backbone)
    first, second = (_moments(backbone, noise) for _ in range(2))
    constant = {name: value for name, value in first.items() if second.get(name) == value}
    return {"shape": list(noise.shape), "moments": constant}


def other_answer(backbone: Backbone, written: dict[str, Any]) -> str | None:
    """The first module that makes another thing of noise than `answers` once wrote down, or None.

    Of a folder, modules that are not there any more do not count: the library that reads it may have been renewed, and
    dropped one that did nothing. Layers that a probe reads are looked for elsewhere.
    """
    noise = _noise(backbone)
    if list(noise.shape) != written["shape"]:
        return None  # images of another size
    found = _moments(backbone, noise)
    known = {name: pairs for name, pairs in written["moments"].items() if backbone.is_own or name in found}
    return next((name for name, pairs in known.items() if not _alike(found.get(name, []), pairs)), None)


def _configured(folder: Path) -> str:
    path = folder / "config.json"
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()


def _alike(found: list[list[float]], written: list[list[float]]) -> bool:
    if len(found) != len(written):
        return False
    for (a, b), (mean, spread) in zip(found, written, strict=True):
        if max(abs(a - mean), abs(b - spread)) > _ALIKE * (abs(mean) + spread) + 1e-6:
            return False
    return True


def _noise(backbone: Backbone) -> Tensor:
    """What the network is given: of images one from 0 to 1 and one from -3 to 3, whatever a transform would make."""
    made = noise_batch(backbone, _IMAGES)
    if not made.is_floating_point():
        return made
    noise = torch.rand(made.shape, generator=torch.Generator().manual_seed(0))
    noise[1] = 6 * noise[1] - 3
    return noise


def _moments(backbone: Backbone, noise: Tensor) -> dict[str, list[list[float]]]:
    """Pairs of mean and deviation, one for each image where there is a row for each; none that is not finite."""
    found: dict[str, list[list[float]]] = {}

    def see(name: str, tensor: Tensor) -> None:
        values = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).double()
        parts = values if values.ndim and len(values) == _IMAGES else [values]
        pairs = [[float(part.mean()), float(part.std(correction=0))] for part in parts if part.numel()]
        found[name] = [pair for pair in pairs if all(map(math.isfinite, pair))]

    _look(backbone, noise, see)
    return found


def _look(backbone: Backbone, noise: Tensor, see: Callable[[str, Tensor], None]) -> None:
    """Show what every module makes of noise, by its name and the number of the call."""

    def shown(name: str, _where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, _IMAGES)
        if tensor is not None:
            see(f"{name}:{call}", tensor.detach())  # of a forward that turns gradients on

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
