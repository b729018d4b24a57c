"""Reductions: the passes over a layer's output from which its statistics are made.

They are the expensive part of pooling, so each is made once, piece by piece, while a piece lies in the processor's
cache; what is made of them is small. Tensors are float32 with the channels last: maps (b, H, W, C), tokens (b, T, C).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

_BINS = 7  # places along each axis that a centre of mass is taken over


class Workspace:
    """Working memory that is used again: fresh pages cost more than the arithmetic."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def like(self, tensor: Tensor) -> Tensor:
        """Uninitialised float32 memory of a tensor's shape, valid until the next call."""
        if self._buffer.device != tensor.device or self._buffer.numel() < tensor.numel():
            self._buffer = torch.empty(tensor.numel(), device=tensor.device)
        return self._buffer[: tensor.numel()].view(tensor.shape)


class Reduction(Protocol):
    """One pass over a tensor."""

    def reduce(self, tensor: Tensor, workspace: Workspace, /) -> Tensor:
        """Return (b, ..., C), in memory of its own, from a tensor (b, ..., C) with more places."""
        ...


@dataclass(frozen=True)
class Means:
    """The mean of each channel over all places, or over the tokens after the prefix."""

    prefix: int = 0

    def reduce(self, tensor: Tensor, _: Workspace, /) -> Tensor:
        return _places(tensor, self.prefix).mean(1)


@dataclass(frozen=True)
class MeanSquares:
    """The mean of each channel's squares."""

    prefix: int = 0

    def reduce(self, tensor: Tensor, workspace: Workspace, /) -> Tensor:
        places = _places(tensor, self.prefix)
        if places.requires_grad or places.dtype != torch.float32:
            return places.square().mean(1)
        return torch.square(places, out=workspace.like(places)).mean(1)


@dataclass(frozen=True)
class Maxima:
    """The largest value of each channel."""

    prefix: int = 0

    def reduce(self, tensor: Tensor, _: Workspace, /) -> Tensor:
        return _places(tensor, self.prefix).amax(1)


@dataclass(frozen=True)
class Bins:
    """Averages (b, rows, columns, C) over 7 x 7 bins, or as many as there are places along an axis.

    Parameters
    ----------
    rows, columns, prefix
        For tokens: the grid that the tokens after the prefix form.
    """

    rows: int = 0
    columns: int = 0
    prefix: int = 0

    def reduce(self, tensor: Tensor, _: Workspace, /) -> Tensor:
        if tensor.ndim == 3:
            tensor = tensor[:, self.prefix :].unflatten(1, (self.rows, self.columns))
        bins = min(_BINS, tensor.shape[1]), min(_BINS, tensor.shape[2])
        if bins == tensor.shape[1:3]:
            return tensor.clone()  # the caller uses the memory again
        return F.adaptive_avg_pool2d(tensor.permute(0, 3, 1, 2), bins).permute(0, 2, 3, 1)


def economical(reductions: Iterable[Reduction], shape: tuple[int, ...]) -> tuple[Reduction, ...]:
    """Leave out repeats, and the means of a map (C, H, W) whose bins are made anyway and fill it without overlap."""
    wanted = tuple(dict.fromkeys(reductions))
    even = len(shape) == 3 and all(side % min(_BINS, side) == 0 for side in shape[1:])
    return tuple(one for one in wanted if one != Means()) if even and Bins() in wanted else wanted


class Reduced:
    """What some reductions made of one layer's output.

    Parameters
    ----------
    reductions
        Without repeats.
    workspace
        Shared by all that is made one after the other.
    """

    def __init__(self, reductions: Iterable[Reduction], workspace: Workspace) -> None:
        self._pieces: dict[Reduction, list[Tensor]] = {reduction: [] for reduction in reductions}
        self._workspace = workspace
        self._whole: dict[Reduction, Tensor] = {}
        self._means: dict[int, Tensor] = {}
        self._profiles: dict[Bins, tuple[Tensor, Tensor]] = {}

    def add(self, piece: Tensor) -> None:
        """Reduce the next images of the batch."""
        for reduction, made in self._pieces.items():
            made.append(reduction.reduce(piece, self._workspace))

    def __getitem__(self, reduction: Reduction) -> Tensor:
        """What it made of all images (B, ..., C)."""
        if reduction not in self._whole:
            made = self._pieces[reduction]
            self._whole[reduction] = made[0] if len(made) == 1 else torch.cat(made)
        return self._whole[reduction]

    def mean(self, prefix: int = 0) -> Tensor:
        """The mean (B, C), of the bins where `economical` left out the means."""
        if prefix not in self._means:
            direct = Means(prefix) in self._pieces
            self._means[prefix] = self[Means(prefix)] if direct else self.profiles(Bins())[0].mean(1)
        return self._means[prefix]

    def profiles(self, bins: Bins) -> tuple[Tensor, Tensor]:
        """The bins averaged over the width (B, rows, C), and over the height (B, columns, C)."""
        if bins not in self._profiles:
            self._profiles[bins] = self[bins].mean(2), self[bins].mean(1)
        return self._profiles[bins]


def _places(tensor: Tensor, prefix: int) -> Tensor:
    """(b, places, C) without the prefix."""
    return tensor.flatten(1, -2)[:, prefix:]
