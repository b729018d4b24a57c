"""The number format a network runs in: tried out on a CPU, by capability elsewhere. And how images lie in memory."""

from __future__ import annotations

import copy
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from head2toe.errors import ParameterError, one_line
from head2toe.features.device import find_device
from head2toe.features.hooks import REFUSALS, run, runs
from head2toe.features.noise import noise_batch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

DTYPES = ("auto", "float32", "bfloat16", "float16")

# bfloat16 has to pay for its fewer digits.
_WORTH_IT = 1.1
_TRIAL_IMAGES = 8
_TRIAL_SECONDS = 1.0
# A CPU without bfloat16 may take minutes for so many: this many times as slow on few images, it is not tried further.
_HOPELESS = 3
_FEW_IMAGES = 2

# Verdicts of this process: the same network on the same device is tried once.
_verdicts: dict[tuple[str, str, int], tuple[str, str]] = {}
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


def check(device: str, dtype: str) -> None:
    """Refuse a device or a number format that cannot be used here; nothing is run.

    Raises
    ------
    ParameterError
    """
    if dtype not in DTYPES:
        raise ParameterError(f"dtype is {dtype!r}: use one of {', '.join(DTYPES)}")
    if find_device(device).type == "cpu" and dtype == "float16":
        raise ParameterError("dtype 'float16' is slow and unsafe on a CPU: use 'bfloat16', 'float32' or 'auto'")


def prepare(backbone: Backbone, device: str = "auto", dtype: str = "auto") -> Prepared:
    """Copy the network into the number format and onto the device it is to run on; the backbone stays as it is.

    Parameters
    ----------
    backbone
        In float32 on the CPU.
    device
        "auto", "cpu", "cuda", "mps", ...
    dtype
        "float32", "bfloat16", "float16" (not on a CPU), or "auto": on a CPU a trial of about a second decides between
        bfloat16 and float32; on a GPU autocast in bfloat16 where it is supported, else float16.

    Raises
    ------
    ParameterError
        Unknown dtype or device, float16 on a CPU, or a format that the network does not run in.
    """
    check(device, dtype)
    where = find_device(device)
    if where.type != "cpu":
        precision = _for_accelerator(where, dtype)
        return _settled(backbone, Prepared(copy.deepcopy(backbone.module).to(where), where, precision))
    if dtype == "auto":
        return _on_cpu(backbone, *_trial(backbone))
    if dtype == "float32":
        return _on_cpu(backbone, dtype, "asked for")
    images = noise_batch(backbone, 2)
    try:
        prepared = _on_cpu(backbone, dtype, "asked for")
        run(prepared.module, prepared.batch(images))
    except REFUSALS as error:
        raise ParameterError(f"{backbone.spec} {_cannot(dtype, error)}: use 'float32' or 'auto'") from error
    return prepared


def _cannot(dtype: str, error: Exception) -> str:
    return f"does not run in {dtype} ({type(error).__name__}: {one_line(error)})"


def _on_cpu(backbone: Backbone, dtype: str, reason: str) -> Prepared:
    module = backbone.module if dtype == "float32" else _in_bfloat16(backbone.module)
    return _settled(backbone, Prepared(module, torch.device("cpu"), Precision(dtype, autocast=False, reason=reason)))


def _settled(backbone: Backbone, prepared: Prepared) -> Prepared:
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


def _for_accelerator(device: torch.device, dtype: str) -> Precision:
    if dtype == "float32":
        return Precision("float32", autocast=False, reason="asked for")
    if dtype != "auto":
        return Precision(dtype, autocast=True, reason="asked for")
    supported = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    chosen = "bfloat16" if supported and device.type != "mps" else "float16"
    return Precision(chosen, autocast=True, reason=f"what {device.type} computes fastest")


def _in_bfloat16(module: nn.Module) -> nn.Module:
    made = copy.deepcopy(module)
    made._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)  # noqa: SLF001 - `to` would cut off imaginary parts
    for part in made.modules():
        if isinstance(getattr(part, "attention_bias_cache", None), dict):  # LeViT keeps tensors of an earlier run there
            part.attention_bias_cache = {}  # type: ignore[assignment]
    flat = all(tensor.ndim < 5 for tensor in (*made.parameters(), *made.buffers()))
    return made.to(memory_format=torch.channels_last) if flat else made  # type: ignore[call-overload]


def _trial(backbone: Backbone) -> tuple[str, str]:
    """What is faster in this process, and why; each network is tried once."""
    key = (backbone.weights_sha256, str(backbone.preprocessing.to_dict()), torch.get_num_threads())
    if key not in _verdicts:
        _verdicts[key] = _race(backbone)
    return _verdicts[key]


def _race(backbone: Backbone) -> tuple[str, str]:
    """Run both formats in turn for about a second, compare the best times."""
    few = noise_batch(backbone, _FEW_IMAGES)
    runners = {"float32": _on_cpu(backbone, "float32", "tried")}
    try:
        half = _on_cpu(backbone, "bfloat16", "tried")
        run(half.module, half.batch(few))  # the first time is slower
    except REFUSALS as error:
        return "float32", _cannot("bfloat16", error)
    runners["bfloat16"] = half
    speeds = _speeds(runners, few, 0.0)
    if _HOPELESS * speeds["bfloat16"] > speeds["float32"]:
        speeds = _speeds(runners, noise_batch(backbone, _TRIAL_IMAGES), _TRIAL_SECONDS)
    chosen = "bfloat16" if speeds["bfloat16"] > _WORTH_IT * speeds["float32"] else "float32"
    return chosen, "trial: " + ", ".join(f"{name} {speed:.0f} images/s" for name, speed in speeds.items())


def _speeds(runners: dict[str, Prepared], images: Tensor, seconds: float) -> dict[str, float]:
    """Images a second of each in its best turn; turns go on for so many seconds, and there is one at least."""
    best = dict.fromkeys(runners, float("inf"))
    start = time.perf_counter()
    while True:
        for name, runner in runners.items():
            batch = runner.batch(images)
            begin = time.perf_counter()
            run(runner.module, batch)
            best[name] = min(best[name], time.perf_counter() - begin)
        if time.perf_counter() - start >= seconds:
            return {name: len(images) / value for name, value in best.items()}
