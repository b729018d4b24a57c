"""Where a network runs."""

from __future__ import annotations

import torch

from head2toe.errors import ParameterError, one_line


def find_device(device: str) -> torch.device:
    """Return the device; "auto" takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ParameterError
        PyTorch does not know the device or this machine has none.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ParameterError(f"device {device!r} is not usable here ({one_line(error)}): try 'auto'") from error
    return found


def device_name(device: torch.device) -> str:
    """What a result says of where it was computed: "cpu", "mps", or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
