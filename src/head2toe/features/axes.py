"""Which axis of a layer's output is what."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor

from head2toe.features.layer import Layer

Shape = tuple[int, ...]
Key = tuple[str, str, int]


def layer_of(
    key: Key, tensor: Tensor, size: tuple[int, int], longer: Shape | None, wider: Shape | None
) -> Layer | None:
    """Tell the axes of an output apart; None for what is none of the kinds.

    Parameters
    ----------
    key
        Name, where and call, as in `Layer`.
    tensor
        (B, ...), made from noise.
    size
        Height and width of the input.
    longer, wider
        The shape without B that it has for a text or recording of another length, and for wider images; None where that
        is not known.
    """
    shape = Shape(tensor.shape[1:])
    if math.prod(shape) == 0 or len(shape) > 4:
        return None
    layer = partial(Layer, _name(key), *key)
    if longer is not None and shape != longer:
        axes = _changed(shape, longer)
        if len(shape) != 2 or len(longer) != 2 or len(axes) != 1:
            return None
        length, channels = shape[axes[0]], shape[1 - axes[0]]
        return layer("sequence", (length, channels), channels_last=axes[0] == 0)
    if math.prod(shape) == max(shape):
        return layer("vector", (math.prod(shape),))
    if len(shape) == 2:
        return _of_two_axes(layer, shape, longer, wider)
    if len(shape) == 4:  # of a volume: its slices are taken as one map, each below the one before
        last = _is_plane(shape[1:3], size) and not _is_plane(shape[2:], size)
        if not last and not _is_plane(shape[2:], size):
            return None
        channels, depth, rows, columns = (shape[3], *shape[:3]) if last else shape
        return layer("map", (channels, depth * rows, columns), channels_last=last)
    last = _is_channels_last(tensor, size, wider)
    return layer("map", (*shape[2:], *shape[:2]) if last else shape, channels_last=last)


def in_proportion(places: Shape, size: Shape) -> bool:
    """Whether rows and columns may be those of a size, scaled alike: to within one place more or less."""
    rows, columns = places
    return _distortion(places, size) <= 1 / rows + 1 / columns


def is_open(tensor: Tensor, size: tuple[int, int]) -> bool:
    """Whether a tensor's proportions do not tell its channels: both readings fit (C = H = W), or neither."""
    return tensor.ndim == 4 and min(tensor.shape) > 0 and _by_proportions(Shape(tensor.shape[1:]), size) is None


def _name(key: Key) -> str:
    name, where, call = key
    return (name or "output") + (":input" if where == "input" else "") + (f"#{call}" if call else "")


def _of_two_axes(layer: Callable[..., Layer], shape: Shape, longer: Shape | None, wider: Shape | None) -> Layer:
    if longer is not None:  # padded inside, to whole windows: more windows for a long text
        return layer("sequence", shape, channels_last=True)
    if wider is not None and len(wider) == 2 and _changed(shape, wider) == [1]:
        return layer("map", (shape[0], 1, shape[1]))  # (B, C, T), as 1-d convolutions make it
    return layer("tokens", shape)


def _is_plane(places: Shape, size: tuple[int, int]) -> bool:
    """Whether two axes are rows and columns of the input, scaled alike."""
    return math.prod(places) > 1 and in_proportion(places, size)


def _is_channels_last(tensor: Tensor, size: tuple[int, int], wider: Shape | None) -> bool:
    """Tell (B, H, W, C) from (B, C, H, W), where need be by the axis that wider images make longer.

    Where that is not known the values decide: noise looks the same at every place, so means over all else differ most
    along the channels.
    """
    shape = Shape(tensor.shape[1:])
    told = _by_proportions(shape, size)
    if told is not None:
        return told
    axes = _changed(shape, wider) if wider is not None and len(wider) == 3 else []
    if len(axes) == 1:
        return axes[0] < 2
    values = tensor.float()
    last, first = (values.mean(others).var(correction=0) for others in ((0, 1, 2), (0, 2, 3)))
    return bool(last > first)


def _by_proportions(shape: Shape, size: tuple[int, int]) -> bool | None:
    """Whether the channels are last by the axes that are scaled alike from the input's height and width.

    None where both readings fit, or neither to within one place (windows by tokens, as in NesT).
    """
    readings = shape[1:], shape[:2]  # rows and columns where the channels are first, and last
    first, last = (_distortion(places, size) for places in readings)
    if any(in_proportion(places, size) for places in readings) and not math.isclose(first, last, abs_tol=1e-9):
        return last < first
    return None


def _changed(shape: Shape, other: Shape) -> list[int]:
    return [i for i, (a, b) in enumerate(zip(shape, other, strict=False)) if a != b]


def _distortion(places: Shape, size: Shape) -> float:
    """How far rows and columns are from the proportions of a size."""
    rows, columns = places
    return abs(math.log((size[0] / rows) / (size[1] / columns)))
