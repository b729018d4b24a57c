"""A file of weights into a network, strictly: every tensor, no other, in the right shape."""

from __future__ import annotations

import pickle
import re
import struct
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from head2toe.errors import WeightsMismatchError, one_line
from head2toe.paths import path_of

_BROKEN = (pickle.UnpicklingError, struct.error, EOFError)  # of files that are other than torch.save writes them
NOT_READ = (RuntimeError, OSError, ValueError, KeyError, SafetensorError, *_BROKEN)
"""What timm and transformers raise where they cannot read or use a file of weights."""
_TORCH = (".pth", ".pt", ".bin")


def load_strictly(module: torch.nn.Module, path: Path) -> None:
    """Load a .safetensors file, or a file of torch.save (.pth, .pt or .bin) that holds tensors and nothing else.

    Raises
    ------
    WeightsMismatchError
        No such file, none that can be read safely, or its tensors are not the network's.
    """
    state = _read(path_of(path))
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
        raise WeightsMismatchError(f"{path} is not a {kind}: {reason_of(error)}{_other_ending(path)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsMismatchError(f"{path} is not a {kind}: save model.state_dict() alone")
    return dict(state)


def reason_of(error: BaseException) -> str:
    """Why a file of weights was not read, in one line.

    torch's own words on a file with more than tensors tell how to run what is in it, which is not what is wanted.
    """
    said = str(error)
    kind = re.search(r"(?:GLOBAL|Unsupported globals:) ([\w.]+)", said)  # by torch, by timm
    if kind is not None:
        return f"the file holds a whole pickled object ({kind[1]}), which is not run: save model.state_dict() alone"
    if "TorchScript" in said:
        return "the file is a TorchScript archive: save model.state_dict() alone"
    if isinstance(error, _BROKEN):
        return "the file is damaged, or holds more than tensors: save model.state_dict() alone, with torch.save"
    return one_line(error)


def _other_ending(path: Path) -> str:
    known = path.suffix in (*_TORCH, ".safetensors")
    return "" if known else f" (a file of torch.save is told by its ending: {', '.join(_TORCH)})"
