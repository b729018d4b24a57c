"""A network ready to run: on its device, in its number format, with images as they lie in memory."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from head2toe.backbones.running import runs
from head2toe.errors import one_line
from head2toe.features.noise import noise_batch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

# Whether a network runs on images with the channels last, by device and number format.
_layouts: WeakKeyDictionary[nn.Module, dict[tuple[str, Precision], bool]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Precision:
    """The number format of a run, and why.

    Attributes
    ----------
    dtype
        "float32", "bfloat16" or "float16".
    autocast
        The weights stay float32 and `torch.autocast` chooses per operation (on a GPU).
    reason
        One sentence for the log.
    """

    dtype: str
    autocast: bool
    reason: str


@dataclass(frozen=True)
class Prepared:
    """A network ready to run on a device.

    Attributes
    ----------
    module, device, precision
    channels_last
        Images lie in memory with the channels last, which is faster.
    """

    module: nn.Module
    device: torch.device
    precision: Precision
    channels_last: bool = True

    def batch(self, images: Tensor) -> Tensor:
        """Bring float32 (B, channels, H, W) to the device, the dtype and layout; token numbers to the device."""
        dtype = torch.float32 if self.precision.autocast else getattr(torch, self.precision.dtype)
        layout = torch.channels_last if self.channels_last and images.ndim == 4 else torch.preserve_format
        return images.to(self.device, dtype if images.is_floating_point() else images.dtype, memory_format=layout)

    def context(self) -> AbstractContextManager[Any]:
        """What surrounds a forward pass."""
        if self.precision.autocast:
            return torch.autocast(self.device.type, getattr(torch, self.precision.dtype))
        if self.device.type == "cuda" and self.precision.dtype == "float32":
            # Convolutions in TF32, PyTorch's default there, keep 11 bits: not what was asked for.
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()


def on_cpu(backbone: Backbone, dtype: str, reason: str) -> Prepared:
    """The network itself in float32, or a copy in bfloat16, on the CPU."""
    module = backbone.module if dtype == "float32" else _in_bfloat16(backbone.module)
    precision = Precision(dtype, autocast=False, reason=reason)
    return _with_layout(backbone, Prepared(module, torch.device("cpu"), precision))


def on_accelerator(backbone: Backbone, device: torch.device, precision: Precision) -> Prepared:
    """A copy of the network on a device."""
    return _with_layout(backbone, Prepared(copy.deepcopy(backbone.module).to(device), device, precision))


def refusal(dtype: str, error: Exception) -> str:
    """Why a network does not run in a format, as the end of a sentence."""
    return f"does not run in {dtype} ({type(error).__name__}: {one_line(error)})"


def _with_layout(backbone: Backbone, prepared: Prepared) -> Prepared:
    """With the channels of images last where the network runs on such: `x.view(len(x), -1)` of a map does not."""
    known = _layouts.setdefault(backbone.module, {})
    key = str(prepared.device), replace(prepared.precision, reason="")
    if key not in known:
        images = prepared.batch(noise_batch(backbone, 2))  # of one image more views are allowed
        with prepared.context():
            known[key] = runs(prepared.module, images)
    if known[key]:
        return prepared
    own = prepared.module is not backbone.module  # whose weights are left as they are
    module = prepared.module.to(memory_format=torch.contiguous_format) if own else prepared.module  # type: ignore[call-overload]
    return replace(prepared, module=module, channels_last=False)


def _in_bfloat16(module: nn.Module) -> nn.Module:
    made = copy.deepcopy(module)
    made._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)  # noqa: SLF001 - `to` would cut off imaginary parts
    for part in made.modules():
        if isinstance(getattr(part, "attention_bias_cache", None), dict):  # LeViT keeps tensors of an earlier run there
            part.attention_bias_cache = {}  # type: ignore[assignment]
    flat = all(tensor.ndim < 5 for tensor in (*made.parameters(), *made.buffers()))
    return made.to(memory_format=torch.channels_last) if flat else made  # type: ignore[call-overload]
