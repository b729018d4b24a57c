"""Backbones of timm: its model names, hub repositories and local folders."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.hub import local_first
from head2toe.backbones.preprocessing import Preprocessing
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import HubUnreachableError, UnknownBackboneError, WeightsMismatchError

LOCAL, HUB = "local-dir:", "hf-hub:"


def load_timm(name: str, *, weights: str | Path | None = None, resize: str = "whole") -> Backbone:
    """Load what timm calls `name`: a model, ``hf-hub:ORG/REPO`` or ``local-dir:FOLDER``.

    Parameters
    ----------
    name : str
        Without the leading "timm/".
    weights : path of a .safetensors file, optional
        Loaded strictly instead of the pretrained weights.
    resize : "whole" or "crop"

    Raises
    ------
    UnknownBackboneError, WeightsMismatchError, HubUnreachableError
    """
    declare_missing_operators()
    import timm
    from timm.data.config import resolve_data_config

    _check_name(name)
    module = _create(name, pretrained=weights is None)
    if weights is not None:
        _load_strictly(module, Path(weights))
    config = resolve_data_config({}, model=module, use_test_size=False)
    return Backbone(
        spec=f"timm/{name}",
        module=freeze(module),
        preprocessing=Preprocessing.from_timm(config, resize),
        classifier=_classifier(module),
        revision=_revision(module),
    )


def _check_name(name: str) -> None:
    import timm

    if name.startswith(LOCAL):
        folder = Path(name.removeprefix(LOCAL))
        if not (folder / "config.json").is_file():
            raise UnknownBackboneError(f"no config.json in {folder}: local-dir: wants a folder in timm's hub layout")
    elif not name.startswith((HUB, "hf_hub:")) and not timm.is_model(name):
        known = [*timm.list_models(), *timm.list_pretrained()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise UnknownBackboneError(f"timm has no model {name!r}: did you mean {', '.join(near) or 'one of timm.list_models()'}?")


def _create(name: str, *, pretrained: bool) -> torch.nn.Module:
    import timm

    try:
        return local_first(lambda: timm.create_model(name, pretrained=pretrained), f"timm/{name}")
    except HubUnreachableError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        if not pretrained or name.startswith((LOCAL, HUB)) or "state_dict" in str(error):
            raise WeightsMismatchError(f"timm/{name} cannot be loaded: {_one_line(error)}") from error
        raise UnknownBackboneError(f"timm/{name} has no pretrained weights: {_one_line(error)}") from error


def _load_strictly(module: torch.nn.Module, path: Path) -> None:
    if not path.is_file():
        raise WeightsMismatchError(f"no weights file at {path}")
    try:
        state = load_file(path)
    except Exception as error:
        raise WeightsMismatchError(f"{path} is not a safetensors file: {_one_line(error)}") from error
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    for what, keys in (("misses", missing), ("has unknown", unexpected), ("has wrong shapes for", shapes)):
        if keys:
            raise WeightsMismatchError(f"{path.name} {what} {len(keys)} keys: {', '.join(keys[:3])}{', ...' * (len(keys) > 3)}")
    module.load_state_dict(state)


def _classifier(module: torch.nn.Module) -> str | None:
    """Name of the module that makes the logits, if it is one."""
    head = getattr(module, "get_classifier", lambda: None)()
    if not isinstance(head, torch.nn.Module) or isinstance(head, torch.nn.Identity):
        return None
    return next((name for name, child in module.named_modules() if child is head), None)


def _revision(module: torch.nn.Module) -> str | None:
    config: dict[str, Any] = getattr(module, "pretrained_cfg", None) or {}
    return config.get("hf_hub_revision") or config.get("tag") or None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
