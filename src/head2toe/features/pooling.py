"""Pooling: a layer's output becomes a few numbers. Pure functions, named by strings.

The string of an operation (`mean`, `avg:4`, `rest-avg:3,1`) is the identity of what it computes: two target sizes for
which a layer pools alike have the same string and share the column block. To add one, write a frozen dataclass with
`size` and `apply`, or a `Statistic`, and register it.

Tensors here are float32 with the channels last: maps (b, H, W, C), tokens (b, T, C), vectors (b, C). Shapes of layers
follow the field's habit: (C, H, W), (T, C), (C,). Flattened, a map runs over height, width, channel, as in the
reference.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from head2toe.features.reductions import Bins, Maxima, Means, MeanSquares, Reduced, Reduction, Workspace

Shape = tuple[int, ...]


class Operation(Protocol):
    """What a pooled block computes from one layer.

    A block's columns run over places first and over channels last, so that a layer with few of its channels gives a
    few of the columns; but see `mixes_channels`.
    """

    def size(self, shape: Shape) -> int:
        """Return how many numbers an image gets from a layer of this shape."""
        ...

    def apply(self, tensor: Tensor) -> Tensor:
        """Return (b, size) from a float32 tensor with channels last; the result may be a view of it."""
        ...


class Statistic(ABC):
    """An operation made of reductions, which those of one layer have in common."""

    @abstractmethod
    def size(self, shape: Shape) -> int:
        """Return how many numbers an image gets from a layer of this shape."""

    @abstractmethod
    def reductions(self) -> tuple[Reduction, ...]:
        """Return what `finish` needs."""

    @abstractmethod
    def finish(self, reduced: Reduced) -> Tensor:
        """Return (B, size)."""

    def apply(self, tensor: Tensor) -> Tensor:
        """Return (b, size) from a float32 tensor with channels last."""
        reduced = Reduced(self.reductions(), Workspace())
        reduced.add(tensor)
        return self.finish(reduced)


Maker = TypeVar("Maker", bound=Callable[..., Operation])

_LOST = 16 * torch.finfo(torch.float32).eps  # of the squared mean: smaller variances are rounding
_FADED = 4  # times that are variances in full
_FLAT = 2e-6  # of a profile's largest value: smaller differences between its bins may be rounding

_MAKERS: dict[str, Callable[..., Operation]] = {}


def register(name: str) -> Callable[[Maker], Maker]:
    """Give an operation its name; its integer arguments follow a colon, separated by commas."""

    def add(maker: Maker) -> Maker:
        _MAKERS[name] = maker
        return maker

    return add


def operation(text: str) -> Operation:
    """Return the operation a string names.

    Raises
    ------
    ValueError
        The name is not registered or its arguments are no integers.
    """
    name, _, arguments = text.partition(":")
    if name not in _MAKERS:
        raise ValueError(f"unknown pooling operation {text!r}; known are {', '.join(sorted(_MAKERS))}")
    return _MAKERS[name](*(int(argument) for argument in arguments.split(",") if argument))


@register("identity")
@dataclass(frozen=True)
class Identity:
    """Everything, flattened."""

    def size(self, shape: Shape) -> int:
        return math.prod(shape)

    def apply(self, tensor: Tensor) -> Tensor:
        return tensor.flatten(1)


@register("mean")
@dataclass(frozen=True)
class Mean(Statistic):
    """The mean of each channel over all places or all tokens."""

    def size(self, shape: Shape) -> int:
        return channels(shape)

    def reductions(self) -> tuple[Reduction, ...]:
        return (Means(),)

    def finish(self, reduced: Reduced) -> Tensor:
        return reduced.mean()


@register("avg")
@dataclass(frozen=True)
class GridAverage:
    """Averages over windows of k x k, stride k, no padding; places beyond the last whole window are left out."""

    k: int

    def _window(self, height: int, width: int) -> tuple[int, int]:
        return min(self.k, height), min(self.k, width)

    def size(self, shape: Shape) -> int:
        channels, height, width = shape
        rows, columns = self._window(height, width)
        return channels * (height // rows) * (width // columns)

    def apply(self, tensor: Tensor) -> Tensor:
        window = self._window(tensor.shape[1], tensor.shape[2])
        pooled = F.avg_pool2d(tensor.permute(0, 3, 1, 2), window)
        return pooled.permute(0, 2, 3, 1).flatten(1)


@register("tokens-avg")
@dataclass(frozen=True)
class TokenAverage:
    """Averages over k consecutive tokens, stride k; tokens beyond the last whole window are left out."""

    k: int

    def size(self, shape: Shape) -> int:
        tokens, channels = shape
        return channels * (tokens // self.k)

    def apply(self, tensor: Tensor) -> Tensor:
        windows = tensor.shape[1] // self.k
        return tensor[:, : windows * self.k].unflatten(1, (windows, self.k)).mean(2).flatten(1)


@register("parts")
@dataclass(frozen=True)
class Parts:
    """Averages over equal parts of a sequence, of any length; neighbours share a token where they must."""

    count: int

    def size(self, shape: Shape) -> int:
        return self.count * shape[1]

    def apply(self, tensor: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(tensor.transpose(1, 2), self.count).transpose(1, 2).flatten(1)


@register("cls")
@dataclass(frozen=True)
class ClassToken:
    """The first token."""

    def size(self, shape: Shape) -> int:
        return shape[1]

    def apply(self, tensor: Tensor) -> Tensor:
        return tensor[:, 0]


@register("rest-mean")
@dataclass(frozen=True)
class RestMean(Statistic):
    """The mean over the tokens after the prefix (class and register tokens)."""

    prefix: int

    def size(self, shape: Shape) -> int:
        return shape[1]

    def reductions(self) -> tuple[Reduction, ...]:
        return (Means(self.prefix),)

    def finish(self, reduced: Reduced) -> Tensor:
        return reduced.mean(self.prefix)


@register("rest-avg")
@dataclass(frozen=True)
class RestAverage:
    """Averages over k consecutive tokens, counted after the prefix."""

    k: int
    prefix: int

    def size(self, shape: Shape) -> int:
        return TokenAverage(self.k).size((shape[0] - self.prefix, shape[1]))

    def apply(self, tensor: Tensor) -> Tensor:
        return TokenAverage(self.k).apply(tensor[:, self.prefix :])


@register("std")
@dataclass(frozen=True)
class Deviation(Statistic):
    """The standard deviation of each channel over all places, or over the tokens after the prefix."""

    prefix: int = 0

    def size(self, shape: Shape) -> int:
        return channels(shape)

    def reductions(self) -> tuple[Reduction, ...]:
        return Means(self.prefix), MeanSquares(self.prefix)

    def finish(self, reduced: Reduced) -> Tensor:
        # One pass over squares is ten times as fast as `var`; what it leaves of a constant channel is rounding.
        mean = reduced.mean(self.prefix)
        variance = reduced[MeanSquares(self.prefix)].addcmul(mean, mean, value=-1)
        # Faded out, not cut off: a row must not depend on the rounding of its neighbours in a batch.
        lost = (_LOST * mean.square()).clamp_min(torch.finfo(variance.dtype).tiny)
        seen = ((variance / lost - 1) / (_FADED - 1)).clamp(0, 1)
        variance = variance * seen.detach()  # of a mean near 0 the quotient's gradient overflows
        return variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()  # not 0, where the root has no gradient


@register("max")
@dataclass(frozen=True)
class Maximum(Statistic):
    """The largest value of each channel over all places, or over the tokens after the prefix."""

    prefix: int = 0

    def size(self, shape: Shape) -> int:
        return channels(shape)

    def reductions(self) -> tuple[Reduction, ...]:
        return (Maxima(self.prefix),)

    def finish(self, reduced: Reduced) -> Tensor:
        return reduced[Maxima(self.prefix)]


@register("centre")
@dataclass(frozen=True)
class CentreOfMass(Statistic):
    """Where each channel is active: centre of mass along the height and along the width, each in [-1, 1].

    A channel's mass along an axis is its profile (the mean over the other axis, in 7 bins or fewer) minus the smallest
    bin: what is above the channel's background. A flat profile has its centre at 0, and so has one that is flat but for
    rounding (by 2e-6 of its largest value or less, a bin), whose centre would be chance.

    `rows`, `columns` and `prefix` are those of `reductions.Bins`.
    """

    rows: int = 0
    columns: int = 0
    prefix: int = 0

    def size(self, shape: Shape) -> int:
        return 2 * channels(shape)

    def reductions(self) -> tuple[Reduction, ...]:
        return (Bins(self.rows, self.columns, self.prefix),)

    def finish(self, reduced: Reduced) -> Tensor:
        height, width = reduced.profiles(Bins(self.rows, self.columns, self.prefix))
        if height.shape == width.shape:
            return _centre(torch.stack([height, width], dim=1)).flatten(1)  # half as many small operations
        return torch.cat([_centre(height), _centre(width)], dim=1)


@register("moments")
@dataclass(frozen=True)
class SecondMoments:
    """Second moments by a fixed random projection: as many covariances over the places as there are channels.

    ``cov(u_k' x, v_k' x)``, where u_k and v_k have random signs and length one: inner products of such numbers estimate
    those of the channels' covariance matrices (Kar and Karnick 2012; compact bilinear pooling, Gao et al. 2016). Over
    all places, or over the tokens after the prefix.
    """

    prefix: int = 0

    def size(self, shape: Shape) -> int:
        return channels(shape)

    def apply(self, tensor: Tensor) -> Tensor:
        places = tensor.flatten(1, -2)[:, self.prefix :]
        places = places - places.mean(1, keepdim=True)
        first, second = _signs(places.shape[-1]).to(places) / math.sqrt(places.shape[-1])
        with torch.autocast(places.device.type, enabled=False):  # 16 bits do not bear squares
            return (places @ first * (places @ second)).mean(1)


@lru_cache(maxsize=16)
def _signs(count: int) -> Tensor:
    """Two random matrices (count, count) of ones and minus ones, int8.

    Probes that are kept depend on them, and so on bits that stay the same in every version of every library: a
    generator's raw words.
    """
    words = np.random.PCG64(count).random_raw(math.ceil(2 * count * count / 64)).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8), count=2 * count * count).reshape(2, count, count)
    with torch.inference_mode(mode=False):  # gradients may be asked for later
        return 2 * torch.from_numpy(bits.astype(np.int8)) - 1


def _centre(profile: Tensor) -> Tensor:
    """Centre of mass (..., C) in [-1, 1] of profiles (..., bins, C)."""
    mass = profile - profile.amin(-2, keepdim=True)
    position = torch.linspace(-1, 1, mass.shape[-2], device=mass.device)[:, None]
    total, least = mass.sum(-2), _FLAT * mass.shape[-2] * profile.abs().amax(-2)
    power = total.square() + least.square()
    return (mass * position).sum(-2) * total / (power + (power == 0))  # 0 where all is 0, and finite gradients


def mixes_channels(name: str) -> bool:
    """Whether the operation of that name needs all channels of a layer for any of its columns."""
    return isinstance(operation(name), SecondMoments)


def channels(shape: Shape) -> int:
    """How many channels a layer has: (C, H, W), (T, C) or (C,)."""
    return shape[0] if len(shape) == 3 else shape[-1]
