"""Whether a network is still what it was: its modules, its tensors and what is written in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

import torch
from torch import Tensor

from head2toe.backbones import Backbone
from head2toe.backbones.backbone import contents
from head2toe.features.hooks import version

_WATCHED = 16  # numbers of each tensor


@dataclass(frozen=True, eq=False)
class NetworkState:
    """Which modules and tensors networks hold, how often each tensor was written to, and some numbers.

    The objects themselves, for another one may get the place in memory, and so the id, of one that is gone.
    """

    held: tuple[Any, ...]
    versions: tuple[int, ...]
    numbers: bytes

    @classmethod
    def of(cls, parts: Sequence[Backbone]) -> NetworkState:
        """As they are now. Of modules of the user's own with numbers: writes through `tensor.data` are not counted."""
        modules = [module for one in parts for module in one.module.modules()]
        tensors = [tensor for one in parts for tensor in _tensors(one)]
        owned = [tensor for one in parts if one.spec.startswith("module/") for tensor in _tensors(one)]
        numbers = b"".join(contents(_few(tensor)) for tensor in owned)
        return cls((*modules, *tensors), tuple(version(tensor) for tensor in tensors), numbers)

    def is_still(self, other: NetworkState) -> bool:
        """Whether nothing was replaced or written to."""
        same = len(self.held) == len(other.held) and all(map(is_, self.held, other.held))
        return same and (self.versions, self.numbers) == (other.versions, other.numbers)


def _tensors(backbone: Backbone) -> Iterator[Tensor]:
    yield from backbone.module.parameters()
    yield from backbone.module.buffers()


def _few(tensor: Tensor) -> Tensor:
    """Up to sixteen numbers, from the first on, evenly spaced."""
    dense = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    flat = dense.reshape(-1)
    return flat[:: max(1, len(flat) // _WATCHED)][:_WATCHED]
