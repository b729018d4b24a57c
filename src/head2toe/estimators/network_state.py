"""Whether a network is still what it was: its modules, its weights and what is written in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor

from head2toe.backbones import Backbone
from head2toe.backbones.backbone import contents
from head2toe.backbones.running import kept_buffers, lock_of, write_count

_WATCHED = 16  # numbers of each parameter
# Attributes that steer what a module does; tensors and whole numbers are often what the last pass left behind.
_SETTINGS = (bool, float, str, BuiltinFunctionType, FunctionType)


@dataclass(frozen=True, eq=False)
class NetworkState:
    """Which modules and parameters networks hold, how often each parameter was written to, some numbers and settings.

    The objects themselves, for another one may get the place in memory, and so the id, of one that is gone. Of buffers
    only what they hold: a pass may write to them, and they are put back after it.
    """

    held: tuple[Any, ...]
    versions: tuple[int, ...]
    numbers: bytes
    settings: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, parts: Sequence[Backbone]) -> NetworkState:
        """As they are now.

        Of modules of the user's own with some of their numbers, for writes through `tensor.data` are not counted, and
        with plain attributes, such as a factor or an activation that is a function.
        """
        modules = [module for one in parts for module in one.module.modules()]
        weights = [weight for one in parts for weight in one.module.parameters()]
        numbers = b"".join(bytes(number) for one in parts for number in _numbers(one))
        settings = tuple(setting for one in parts for setting in _settings(one))
        return cls((*modules, *weights), tuple(write_count(weight) for weight in weights), numbers, settings)

    def is_still(self, other: NetworkState) -> bool:
        """Whether nothing was replaced or written to."""
        same = len(self.held) == len(other.held) and all(map(is_, self.held, other.held))
        kept = (self.versions, self.numbers, self.settings) == (other.versions, other.numbers, other.settings)
        return same and kept


def _settings(backbone: Backbone) -> list[tuple[str, Any]]:
    if not backbone.is_own:
        return []
    with lock_of(backbone.module):
        everything = [pair for part in backbone.module.modules() for pair in vars(part).items()]
    # Its mode does not count: it runs in that of evaluation.
    settings = [pair for pair in everything if isinstance(pair[1], _SETTINGS) and pair[0] != "training"]
    # NaN equals nothing, and is told by its text.
    return [(name, repr(value) if isinstance(value, float) else value) for name, value in settings]


def _numbers(backbone: Backbone) -> list[memoryview]:
    with lock_of(backbone.module):  # not in the middle of a pass
        found = [contents(buffer.clone()) for _, _, buffer in kept_buffers(backbone.module)]
    owned = backbone.module.parameters() if backbone.is_own else ()
    return found + [contents(_few(weight)) for weight in owned]


def _few(tensor: Tensor) -> Tensor:
    """Up to sixteen numbers, from the first on, evenly spaced."""
    dense = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    flat = dense.reshape(-1)
    return flat[:: max(1, len(flat) // _WATCHED)][:_WATCHED]
