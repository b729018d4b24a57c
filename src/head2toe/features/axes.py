"""Which axis of a layer's output is what."""

from __future__ import annotations

import math

from torch import Tensor

from head2toe.features.layer import Layer

Shape = tuple[int, ...]
Key = tuple[str, str, int]


def described(
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
    name, where, call = key
    shape = Shape(tensor.shape[1:])
    label = (name or "output") + (":input" if where == "input" else "") + (f"#{call}" if call else "")
    if math.prod(shape) == 0 or len(shape) > 4:
        return None
    if longer is not None and shape != longer:
        axes = _changed(shape, longer)
        if len(shape) != 2 or len(longer) != 2 or len(axes) != 1:
            return None
        length, channels = shape[axes[0]], shape[1 - axes[0]]
        return Layer(label, name, where, call, "sequence", (length, channels), channels_last=axes[0] == 0)
    if math.prod(shape) == max(shape):
        return Layer(label, name, where, call, "vector", (math.prod(shape),))
    if len(shape) == 2 and longer is not None:  # padded inside, to whole windows: more windows for a long text
        return Layer(label, name, where, call, "sequence", shape, channels_last=True)
    if len(shape) == 2 and wider is not None and len(wider) == 2 and _changed(shape, wider) == [1]:
        return Layer(label, name, where, call, "map", (shape[0], 1, shape[1]))  # (B, C, T), as 1-d convolutions make it
    if len(shape) == 2:
        return Layer(label, name, where, call, "tokens", shape)
    if len(shape) == 4:  # of a volume: its slices are taken as one map, each below the one before
        last = _is_plane(shape[1:3], size) and not _is_plane(shape[2:], size)
        if not last and not _is_plane(shape[2:], size):
            return None
        channels, depth, rows, columns = (shape[3], *shape[:3]) if last else shape
        return Layer(label, name, where, call, "map", (channels, depth * rows, columns), channels_last=last)
    last = _is_channels_last(tensor, size, wider)
    chw = (*shape[2:], *shape[:2]) if last else shape
    return Layer(label, name, where, call, "map", chw, channels_last=last)


def is_open(tensor: Tensor, size: tuple[int, int]) -> bool:
    """Whether a tensor's proportions do not tell its channels: both readings fit (C = H = W), or neither."""
    return tensor.ndim == 4 and min(tensor.shape) > 0 and _by_proportions(Shape(tensor.shape[1:]), size) is None


def _is_plane(places: Shape, size: tuple[int, int]) -> bool:
    """Whether two axes are rows and columns of the input, scaled alike."""
    return math.prod(places) > 1 and _distortion(places, size)[1]


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
    (first, fits_first), (last, fits_last) = (_distortion(shape[start : start + 2], size) for start in (1, 0))
    if (fits_first or fits_last) and not math.isclose(first, last, abs_tol=1e-9):
        return last < first
    return None


def _changed(shape: Shape, other: Shape) -> list[int]:
    return [i for i, (a, b) in enumerate(zip(shape, other, strict=False)) if a != b]


def _distortion(places: Shape, size: tuple[int, int]) -> tuple[float, bool]:
    """How far height and width are from the input's proportions, and whether a place more or less explains it."""
    rows, columns = places
    distortion = abs(math.log((size[0] / rows) / (size[1] / columns)))
    return distortion, distortion <= 1 / rows + 1 / columns
