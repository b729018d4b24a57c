"""A file of weights into a network, strictly: every tensor, no other, in the right shape."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file

from head2toe.errors import WeightsMismatchError, one_line

_TORCH = (".pth", ".pt")


def load_strictly(module: torch.nn.Module, path: Path) -> None:
    """Load a .safetensors file, or a .pth file that holds tensors and nothing else.

    Raises
    ------
    WeightsMismatchError
        No such file, none that can be read safely, or its tensors are not the network's.
    """
    state = _read(path)
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    for what, keys in (("misses", missing), ("has unknown", unexpected), ("has wrong shapes for", shapes)):
        if keys:
            raise WeightsMismatchError(
                f"{path.name} {what} {len(keys)} keys: {', '.join(keys[:3])}{', ...' * (len(keys) > 3)}"
            )
    # Versions of layers are not in the file; without them some layers would take it for one of years ago.
    complete = OrderedDict(state)
    complete._metadata = getattr(own, "_metadata", None)  # type: ignore[attr-defined]  # noqa: SLF001
    module.load_state_dict(complete)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsMismatchError(f"no weights file at {path}")
    kind = "state dict of tensors" if path.suffix in _TORCH else "safetensors file"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True) if path.suffix in _TORCH else load_file(path)
    except Exception as error:
        reason = one_line(error)
        raise WeightsMismatchError(f"{path} is not a {kind}: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsMismatchError(f"{path} is not a {kind}: save model.state_dict() alone")
    return dict(state)
