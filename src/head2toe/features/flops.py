"""Counting FLOPs, 2 a multiply-add: PyTorch's formulas, and those that it lacks for attention and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torch.utils.module_tracker import ModuleTracker

_ATTENTION = "_scaled_dot_product_flash_attention"
# The same products as on a GPU; the operators have names of their own, which `flop_registry` does not know.
_ON_CPU: dict[Any, Callable[..., int]] = {
    getattr(torch.ops.aten, f"{_ATTENTION}_for_cpu{way}"): flop_registry[getattr(torch.ops.aten, f"{_ATTENTION}{way}")]
    for way in ("", "_backward")
}


def _attention(query: Tensor, key: Tensor, value: Tensor, width: int, *_: Any, **__: Any) -> int:
    """What `nn.MultiheadAttention` runs in one piece without gradients, (B, T, E): projections, scores, sums."""
    if query.is_nested:  # what has padding comes in parts of their own lengths
        parts = zip(query.unbind(), key.unbind(), value.unbind(), strict=True)
        return sum(_attention(*part, width) for part in parts)
    inputs = sum(tensor.numel() for tensor in (query, key, value))
    made = query.numel() // query.shape[-1] * width  # also what the last projection takes and gives
    tokens = key.shape[-2]
    return 2 * width * inputs + 2 * made * tokens * 2 + 2 * made * width


def _encoder_layer(src: Tensor, width: int, *others: Any, **_: Any) -> int:
    """What `nn.TransformerEncoderLayer` runs in one piece without gradients."""
    matrices = [one for one in others if isinstance(one, Tensor) and one.ndim == 2][2:4]  # after those of attention
    return _attention(src, src, src, width) + 2 * src.numel() // width * sum(one.numel() for one in matrices)


def _recurrent_layer(steps: Tensor, *weights: Any, **_: Any) -> int:
    """A layer of an LSTM in one direction on a CPU: each step through two matrices, its input's and its state's."""
    return 2 * steps.numel() // steps.shape[-1] * sum(one.numel() for one in weights[:2])


_IN_ONE_PIECE: dict[Any, Callable[..., int]] = {
    torch.ops.aten._native_multi_head_attention: _attention,  # noqa: SLF001
    torch.ops.aten._transformer_encoder_layer_fwd: _encoder_layer,  # noqa: SLF001
    torch.ops.aten.mkldnn_rnn_layer: _recurrent_layer,
}
_ADDED = {**_ON_CPU, **_IN_ONE_PIECE}
FORMULAS: dict[Any, Callable[..., int]] = {**flop_registry, **_ADDED}


def counter() -> FlopCounterMode:
    """A counter of matrix products, convolutions and attention, on any device."""
    counting = FlopCounterMode(display=False)
    counting.flop_registry.update(_ADDED)  # a copy of its own; `custom_mapping` wants formulas of shapes
    counting.mod_tracker = _Untracked()
    return counting


class _Untracked(ModuleTracker):
    """Totals alone are wanted; what tells modules apart breaks a forward that calls `torch.autograd.grad`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
