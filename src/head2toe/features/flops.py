"""Counting FLOPs, 2 a multiply-add: PyTorch's formulas, and those that it lacks for attention on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torch.utils.module_tracker import ModuleTracker

_ATTENTION = "_scaled_dot_product_flash_attention"
# The same products as on a GPU; the operators have names of their own, which `flop_registry` does not know.
_ON_CPU: dict[Any, Callable[..., int]] = {
    getattr(torch.ops.aten, f"{_ATTENTION}_for_cpu{way}"): flop_registry[getattr(torch.ops.aten, f"{_ATTENTION}{way}")]
    for way in ("", "_backward")
}
FORMULAS: dict[Any, Callable[..., int]] = {**flop_registry, **_ON_CPU}


def counter() -> FlopCounterMode:
    """A counter of matrix products, convolutions and attention, on any device."""
    counting = FlopCounterMode(display=False)
    counting.flop_registry.update(_ON_CPU)  # a copy of its own; `custom_mapping` wants formulas of shapes
    counting.mod_tracker = _Untracked()
    return counting


class _Untracked(ModuleTracker):
    """Totals alone are wanted; what tells modules apart breaks a forward that calls `torch.autograd.grad`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
