"""Another input size for a loaded backbone."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.preprocessing import Preprocessing
from head2toe.backbones.running import run
from head2toe.errors import ParameterError, one_line


def resized(backbone: Backbone, size: int | tuple[int, int]) -> Backbone:
    """The backbone for images of another size, tried on one image.

    timm's transformers interpolate their position embeddings (`set_input_size`), in a copy: the network given stays as
    it is. Convolutional networks need nothing.

    Parameters
    ----------
    size : int or (H, W)
        Pixels.

    Raises
    ------
    ParameterError
        No positive whole numbers, or the network does not take images of this size.
    """
    height, width = _checked(size)
    if not isinstance(backbone.preprocessing, Preprocessing):
        raise ParameterError(f"image_size: {backbone.spec} has a transform of your own: resize in it")
    module = copy.deepcopy(backbone.module) if hasattr(backbone.module, "set_input_size") else backbone.module
    made = replace(backbone, module=module, preprocessing=backbone.preprocessing.with_size((height, width)))
    try:
        with warnings.catch_warnings():
            # timm's interpolation warns of indexing; of the rest the real run will warn.
            warnings.simplefilter("ignore")
            _interpolate(made.module, height, width)
            # Two, for a forward may squeeze, or norm over the batch.
            run(made.module, torch.zeros(2, len(backbone.preprocessing.mean), height, width))
    except Exception as error:  # whatever a network says of a shape that it cannot take
        reason = one_line(error)
        raise ParameterError(f"{backbone.spec} takes no images of {height} x {width} pixels: {reason}") from error
    return made


def _interpolate(module: torch.nn.Module, height: int, width: int) -> None:
    if hasattr(module, "set_input_size"):
        module.set_input_size(img_size=(height, width))  # type: ignore[operator]
        freeze(module)  # new embeddings, new gradients


def _checked(size: Any) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, Integral) else size
    if (
        not isinstance(sides, tuple | list | np.ndarray)
        or len(sides) != 2
        or any(isinstance(side, bool) or not isinstance(side, Integral) or side < 1 for side in sides)
    ):
        raise ParameterError(f"image_size is {size!r}: use a number of pixels, or two (height, width)")
    return int(sides[0]), int(sides[1])
