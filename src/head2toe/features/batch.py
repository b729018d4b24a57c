"""How many images go through the network at once."""

from __future__ import annotations

from typing import Any

import psutil
import torch
from torch import nn

from head2toe.backbones.running import on_one_or_two, run
from head2toe.checks import is_whole, require
from head2toe.features.candidates import is_leaf
from head2toe.features.hooks import watch
from head2toe.features.outputs import first_tensor
from head2toe.features.prepared import Prepared

# On a CPU larger batches bring nothing; on a GPU they fill it.
# On a CPU the outputs of 16 images often still lie in its cache, those of 32 no longer.
_LARGEST = {"cpu": 16, "mps": 64, "cuda": 256}
# Share of the free memory a batch may take, and how many of its largest tensors are alive at once (input, output,
# residual, workspace of a convolution).
_SHARE = 0.25
_ALIVE = 6


def choose_batch_size(requested: int | str, prepared: Prepared, image: torch.Tensor, columns: int) -> int:
    """Return the batch size.

    "auto" runs one image (two, where the network takes none alone), takes the largest tensor met, and keeps what a
    batch needs under a quarter of the free memory; 16 images at most on a CPU, 256 on a GPU.

    Parameters
    ----------
    requested
        A number or "auto".
    prepared
        The network.
    image
        (1, channels, H, W) as `prepared.batch` made it.
    columns
        Numbers of a row.

    Raises
    ------
    ParameterError
        A number below 1, or another word.
    """
    if requested == "auto":
        per_image = _ALIVE * _largest_tensor(prepared, image) + 3 * 4 * columns
        return max(1, min(_LARGEST.get(prepared.device.type, 64), int(_SHARE * _free(prepared.device) / per_image)))
    fits = is_whole(requested) and int(requested) >= 1
    require(fits, "batch_size", requested, "'auto' or a whole number of at least 1")
    return int(requested)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether a batch was too large for the memory."""
    told = ("not enough memory", "can't allocate memory")  # on a CPU: of Windows, of Linux
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in told)


def _largest_tensor(prepared: Prepared, image: torch.Tensor) -> int:
    return on_one_or_two(lambda count: _largest_of(prepared, torch.cat([image] * count)) // count)


def _largest_of(prepared: Prepared, images: torch.Tensor) -> int:
    largest = images.nbytes

    def see(_name: str, _where: str, _call: int, value: Any) -> None:
        nonlocal largest
        tensor = first_tensor(value)
        if tensor is not None:
            largest = max(largest, 4 * tensor.numel())

    with prepared.context(), watch(prepared.module, _leaves(prepared.module), see):
        run(prepared.module, images)
    return largest


def _leaves(module: nn.Module) -> list[tuple[str, str]]:
    return [(name, "output") for name, child in module.named_modules() if is_leaf(child)]


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
