"""Which tensor a module's output stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from head2toe.features.axes import in_proportion

# What a dict-like output (Hugging Face's ModelOutput) is asked for, in this order.
_OUTPUT_KEYS = ("logits", "out", "pooler_output", "image_embeds", "text_embeds", "last_hidden_state")


def first_tensor(value: Any, count: int | None = None) -> Tensor | None:
    """Return the tensor a module's output stands for.

    A tensor is itself; a tuple or list its first that stands for one, of maps from fine to coarse its last; a dict-like
    output or a dataclass its logits, `out`, pooler output, embeddings, last hidden state, the last of maps from fine
    to coarse that has no fewer channels, or the first tensor. Anything else is None.

    Parameters
    ----------
    value
        The output.
    count
        Number of images: among several tensors, one with a row an image goes before one without.
    """
    if isinstance(value, Tensor):
        return value
    if is_dataclass(value) and not isinstance(value, Mapping | type):
        value = {part.name: getattr(value, part.name) for part in fields(value)}
    if isinstance(value, tuple | list) and _are_stages(value, count):
        return value[-1]
    if isinstance(value, Mapping):
        named = [value[key] for key in _OUTPUT_KEYS if isinstance(value.get(key), Tensor)]
        value = [*named, *value.values()]
        if not named and _are_stages(value, count) and _widen(value[0], value[-1]):
            return value[-1]
    if not isinstance(value, tuple | list):
        return None
    rows = (item for item in value if isinstance(item, Tensor) and item.ndim and len(item) == count)
    others = (tensor for item in value if (tensor := first_tensor(item, count)) is not None)
    return next(rows, next(others, None))


def _are_stages(value: Sequence[Any], count: int | None) -> bool:
    """Whether all that is given are maps of one network, from fine to coarse: what it makes last stands for it."""
    if len(value) < 2 or not all(isinstance(item, Tensor) and item.ndim == 4 for item in value):
        return False
    rows = len(value[0]) if count is None else count
    if not all(len(item) == rows and item.is_floating_point() and item.numel() for item in value):
        return False
    shapes = [tuple(item.shape[1:]) for item in value]
    sizes = [shape[1:] for shape in shapes]
    if len(set(sizes)) == 1:  # stages of a plain transformer are alike; a mask beside a map has other channels
        return len(set(shapes)) == 1
    places = [shape[:2] for shape in shapes]  # of (B, H, W, C)
    return _shrink(sizes) or (len(set(places)) > 1 and _shrink(places))


def _widen(first: Tensor, last: Tensor) -> bool:
    """Whether the last of shrinking maps has another shape, and no fewer channels: a second head, or a mask, has."""
    axes = (1, 3)  # of (B, C, H, W) and of (B, H, W, C); the one that is no channel shrinks
    return first.shape != last.shape and any(first.shape[axis] <= last.shape[axis] for axis in axes)


def _shrink(sizes: Sequence[tuple[int, ...]]) -> bool:
    return all(_may_come_from(size, following) for size, following in pairwise(sizes))


def _may_come_from(size: tuple[int, ...], following: tuple[int, ...]) -> bool:
    """Whether a map may have been made of one of another size: no axis longer, and the proportions kept to a place."""
    return following[0] <= size[0] and following[1] <= size[1] and in_proportion(following, size)
