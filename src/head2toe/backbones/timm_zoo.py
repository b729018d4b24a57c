"""Backbones of timm: its model names, hub repositories and local folders."""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from head2toe.backbones.backbone import LOCAL, Backbone, freeze
from head2toe.backbones.hub import cached_commit, local_first
from head2toe.backbones.preprocessing import Preprocessing
from head2toe.backbones.weights_file import NOT_READ, load_strictly, reason_of
from head2toe.errors import HubUnreachableError, UnknownBackboneError, WeightsMismatchError, one_line
from head2toe.paths import path_of

HUB = "hf-hub:"
_NO_ARCHITECTURE = (
    'has no "architecture", the name of a model of timm: what transformers wrote goes with hf/ in place of timm/'
)


def load_timm(name: str, *, weights: str | Path | None = None, resize: str = "whole") -> Backbone:
    """Load what timm calls `name`: a model, ``hf-hub:ORG/REPO`` or ``local-dir:FOLDER``.

    Parameters
    ----------
    name : str
        Without the leading "timm/".
    weights : path of a .safetensors, .pth, .pt or .bin file, optional
        Loaded strictly instead of the pretrained weights.
    resize : "whole" or "crop"

    Raises
    ------
    UnknownBackboneError, WeightsMismatchError, HubUnreachableError
    """
    name = name.replace("hf_hub:", HUB, 1) if name.startswith("hf_hub:") else name  # timm's older spelling
    if name.startswith(LOCAL):
        name = f"{LOCAL}{path_of(name.removeprefix(LOCAL))}"
    _check_name(name)
    module = _create(name, pretrained=weights is None)
    if weights is not None:
        load_strictly(module, Path(weights))
    revision = _revision(name, module) if weights is None else None
    return replace(of_timm(module, f"timm/{name}", resize), revision=revision)


def is_timm(module: torch.nn.Module) -> bool:
    """Whether timm made a module: it then says what images it takes."""
    return type(module).__module__.startswith("timm.models.") and bool(getattr(module, "pretrained_cfg", None))


def of_timm(module: torch.nn.Module, spec: str, resize: str) -> Backbone:
    """The backbone that a module made by timm is, with the preprocessing that timm gives it."""
    from timm.data.config import resolve_data_config

    config = _as_made(module, resolve_data_config({}, model=module, use_test_size=False))
    return Backbone(spec, freeze(module), Preprocessing.from_timm(config, resize), classifier_of(module))


def _as_made(module: torch.nn.Module, config: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint's configuration, for the size and the grey images that `create_model` may have been told of."""
    channels, *size = config["input_size"]
    told = getattr(getattr(module, "patch_embed", None), "img_size", None)
    size = told if isinstance(told, tuple) and len(told) == len(size) else size
    if getattr(module, "in_chans", channels) != 1 or channels == 1:
        return {**config, "input_size": (channels, *size)}
    grey = {name: [sum(config[name]) / len(config[name])] for name in ("mean", "std")}
    return {**config, **grey, "input_size": (1, *size)}


def _check_name(name: str) -> None:
    import timm

    if name.startswith(LOCAL):
        folder = Path(name.removeprefix(LOCAL))
        if not (folder / "config.json").is_file():
            raise UnknownBackboneError(f"no config.json in {folder}: local-dir: wants a folder in timm's hub layout")
        _check_description(folder / "config.json")
    elif name.startswith(HUB):
        _check_repository(name.removeprefix(HUB))
    elif not timm.is_model(name) or not _is_tag(name):
        if name and Path(name).is_dir():
            raise UnknownBackboneError(f"timm has no model {name!r}: say timm/{LOCAL}{name} for that folder")
        known = [*timm.list_models(), *timm.list_pretrained()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise UnknownBackboneError(
            f"timm has no model {name!r}: did you mean {', '.join(near) or 'one of timm.list_models()'}?"
        )


def _check_description(path: Path) -> None:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnknownBackboneError(f"{path} cannot be read as JSON: {one_line(error)}") from error
    if not isinstance(description, dict) or not isinstance(description.get("architecture"), str):
        raise UnknownBackboneError(f"{path} {_NO_ARCHITECTURE}")


def _check_repository(repository: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository.partition("@")[0])
    except HFValidationError as error:
        raise UnknownBackboneError(
            f"{repository!r} is no name of a hub repository: use timm/hf-hub:ORG/REPO, or timm/local-dir:FOLDER"
        ) from error


def _is_tag(name: str) -> bool:
    """Whether timm knows the checkpoint's tag ("a1_in1k" of "resnet50.a1_in1k"), or none is named."""
    from timm.models import get_pretrained_cfg

    try:
        return "." not in name or get_pretrained_cfg(name) is not None
    except RuntimeError:
        return False


def _create(name: str, *, pretrained: bool) -> torch.nn.Module:
    import timm
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    cure = "a local folder, or 'embedded', which needs no hub"
    if not name.startswith((LOCAL, HUB)):  # of those the description is on the hub too: weights alone do not help
        cure = "a local folder, --weights FILE.safetensors, or 'embedded', which needs no hub"
    try:
        return local_first(lambda: timm.create_model(name, pretrained=pretrained), f"timm/{name}", cure)
    except HubUnreachableError as error:
        if isinstance(error.__cause__, RepositoryNotFoundError | RevisionNotFoundError):
            raise UnknownBackboneError(f"the hub has no {name}, or does not show it without a login") from error
        raise
    except NOT_READ as error:
        if isinstance(error, KeyError) and error.args == ("architecture",):  # in a repository of the hub
            raise UnknownBackboneError(f"the config.json of timm/{name} {_NO_ARCHITECTURE}") from error
        if not pretrained or name.startswith((LOCAL, HUB)) or "state_dict" in str(error):
            raise WeightsMismatchError(f"timm/{name} cannot be loaded: {reason_of(error)}") from error
        raise UnknownBackboneError(f"timm/{name} has no pretrained weights: {one_line(error)}") from error


def classifier_of(module: torch.nn.Module) -> str | None:
    """Name of the module that makes the logits, if it is one: the last `Linear` of what timm calls the classifier.

    Of a pair for distillation the first, of several stages or branches the last.
    """
    head = getattr(module, "get_classifier", lambda: None)()
    if isinstance(head, tuple | list):
        head = next(iter(head), None)
    if isinstance(head, torch.nn.ModuleList):
        head = head[-1]
    if not isinstance(head, torch.nn.Module) or isinstance(head, torch.nn.Identity):
        return None
    linear = [part for part in head.modules() if isinstance(part, torch.nn.Linear)]
    last = linear[-1] if linear else head
    return next((name for name, child in module.named_modules() if child is last), None)


def _revision(name: str, module: torch.nn.Module) -> str | None:
    """The commit of a hub repository, or the tag of one of timm's own checkpoints."""
    if name.startswith(HUB):
        repository, _, revision = name.removeprefix(HUB).partition("@")
        return cached_commit(repository, revision or None) or revision or None
    config: dict[str, Any] = getattr(module, "pretrained_cfg", None) or {}
    return config.get("tag") or None
