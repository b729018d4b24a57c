"""A module of the user's own: what it must be before its layers can be looked at."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from head2toe.backbones.backbone import OWN_PREFIX, Backbone, freeze
from head2toe.backbones.preprocessing import AnyPreprocessing
from head2toe.backbones.timm_zoo import is_timm, of_timm
from head2toe.errors import ParameterError, PreprocessingError, one_line


def load_module(module: nn.Module, resize: str, preprocessing: AnyPreprocessing | None) -> Backbone:
    """Freeze a module, float32 and on the CPU; one that timm made may bring its preprocessing.

    Of what `torch.compile` and `DataParallel` wrap, the module inside is taken: its layers can be watched.

    Raises
    ------
    ParameterError
        The module cannot be watched, run or stored as it is; the message says what to pass instead.
    PreprocessingError
        There is no preprocessing.
    """
    module = _unwrapped(module)
    spec = f"{OWN_PREFIX}{type(module).__name__}"
    fault = _fault(module)
    if fault is not None:
        raise ParameterError(f"{spec} {fault}")
    if is_timm(module):
        return of_timm(module, spec, resize)
    if preprocessing is None:
        raise PreprocessingError(
            f"{spec} has no preprocessing of its own: pass preprocessing=, a callable from a PIL image to a tensor"
        )
    return Backbone(spec, freeze(module), preprocessing)


def _unwrapped(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return _unwrapped(module.module)
    inside = getattr(module, "_orig_mod", None)  # of torch.compile
    return _unwrapped(inside) if isinstance(inside, nn.Module) else module


def _fault(module: nn.Module) -> str | None:
    """What is wrong with a module and what to do, or None."""
    try:
        parts = list(module.named_modules())
    except TypeError as error:  # PyTorch itself cannot walk through a module with an equality and no hash
        return f"has a part that cannot be hashed ({one_line(error)}): take away its __eq__, or set its __hash__"
    for name, part in parts:
        what = f"has a part {name} that" if name else "is a module that"
        if isinstance(part, torch.jit.ScriptModule):
            return f"{what} is TorchScript, which hides its layers: pass the module it was made from"
        if isinstance(getattr(part, "_orig_mod", None), nn.Module):
            return f"{what} is compiled, which hides its layers: put its _orig_mod in its place"
    if not _has_modes(module):
        return "is an exported program, which hides its layers: pass the module it was made from"
    tensors = [*module.parameters(), *module.buffers()]
    if any(is_lazy(tensor) for tensor in tensors):
        return "has parameters without a shape yet: run it on a batch first"
    if not all(isinstance(value, torch.Tensor) for value in module.state_dict().values()):
        return "keeps more than tensors in its state, as quantised modules do: pass it as it was before"
    if any(tensor.is_meta for tensor in tensors):
        return "is on meta: pass module.cpu() with weights, for it has none: load_state_dict(weights, assign=True)"
    away = next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), None)
    if away is not None:
        return f"is on {away}: pass module.cpu(); device= says where it is to run"
    formats = {weight.dtype for weight in module.parameters() if weight.is_floating_point()} - {torch.float32}
    if formats:
        name = str(formats.pop()).removeprefix("torch.")
        return f"has weights in {name}: pass module.float(); dtype= says how it is to run"
    return None


def _has_modes(module: nn.Module) -> bool:
    try:
        module.train(module.training)
    except NotImplementedError:
        return False
    return True
