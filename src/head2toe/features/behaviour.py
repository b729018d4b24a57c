"""What tells a user's own network or transform from another one of the same name: what it makes of noise."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from head2toe.backbones.backbone import contents
from head2toe.features.hooks import first_tensor, run, watch
from head2toe.features.noise import noise_batch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

_IMAGES = 2
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

    def see(name: str, _where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, _IMAGES)
        if tensor is not None:
            digest.update(f"{name}:{call}:".encode())
            digest.update(contents(tensor))

    outputs = [(name, "output") for name, _ in backbone.module.named_modules()]
    with watch(backbone.module, outputs, see):
        run(backbone.module, noise_batch(backbone, _IMAGES))
    return digest.hexdigest()


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
