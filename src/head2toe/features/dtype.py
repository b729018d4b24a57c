"""The number format a network runs in: tried out on a CPU, by capability elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from head2toe.backbones.running import REFUSALS, run
from head2toe.checks import require
from head2toe.errors import ParameterError
from head2toe.features.device import find_device
from head2toe.features.noise import noise_batch
from head2toe.features.prepared import Precision, Prepared, on_accelerator, on_cpu, refusal
from head2toe.features.speed_trial import faster_format

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

DTYPES = ("auto", "float32", "bfloat16", "float16")


def check(device: str, dtype: str) -> None:
    """Refuse a device or a number format that cannot be used here; nothing is run.

    Raises
    ------
    ParameterError
    """
    require(dtype in DTYPES, "dtype", dtype, f"one of {', '.join(DTYPES)}")
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
        return on_accelerator(backbone, where, _for_accelerator(where, dtype))
    if dtype == "auto":
        return on_cpu(backbone, *faster_format(backbone))
    if dtype == "float32":
        return on_cpu(backbone, dtype, "asked for")
    images = noise_batch(backbone, 2)
    try:
        prepared = on_cpu(backbone, dtype, "asked for")
        run(prepared.module, prepared.batch(images))
    except REFUSALS as error:
        raise ParameterError(f"{backbone.spec} {refusal(dtype, error)}: use 'float32' or 'auto'") from error
    return prepared


def _for_accelerator(device: torch.device, dtype: str) -> Precision:
    if dtype == "float32":
        return Precision("float32", autocast=False, reason="asked for")
    if dtype != "auto":
        return Precision(dtype, autocast=True, reason="asked for")
    supported = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    chosen = "bfloat16" if supported and device.type != "mps" else "float16"
    return Precision(chosen, autocast=True, reason=f"what {device.type} computes fastest")
