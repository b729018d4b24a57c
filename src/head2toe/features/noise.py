"""Noise as a network takes it: layers, costs, number formats and batch sizes are found with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from head2toe.backbones import Backbone


def noise_batch(backbone: Backbone, count: int, kind: str = "first") -> Tensor:
    """Return `count` images of noise as the network takes them, (count, channels, H, W), always the same.

    Of a backbone of texts or recordings `count` sequences of noise, (count, T).

    Parameters
    ----------
    kind
        For sequences: "first", of a usual length; "second", of another; "longest", of the longest that is met often.
    """
    make = getattr(backbone.preprocessing, "noise", None)
    if make is not None:
        return make(count, kind)
    size = getattr(backbone.preprocessing, "size", (256, 256))
    pixels = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    pictures = [backbone.preprocessing.image(Image.fromarray(array)) for array in pixels]
    return backbone.preprocessing.batch(pictures)


def takes_sequences(backbone: Backbone) -> bool:
    """Tell backbones of texts and recordings, whose inputs differ in length, from those of images."""
    return backbone.preprocessing.takes != "images"
