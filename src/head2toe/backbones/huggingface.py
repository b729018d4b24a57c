"""Vision backbones of Hugging Face: hub repositories and local folders, through `transformers`."""

from __future__ import annotations

from typing import Any

import torch

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.hf_repository import (
    PROCESSORS,
    Repository,
    class_of,
    config_of,
    find_repository,
    load_model,
    quiet,
)
from head2toe.backbones.image_processor import preprocessing_of
from head2toe.backbones.preprocessing import AnyPreprocessing
from head2toe.errors import UnknownBackboneError

PREFIX = "hf/"
PIXELS = "pixel_values"  # what a vision model calls its input


def load_huggingface(name: str, *, resize: str = "whole", preprocessing: AnyPreprocessing | None = None) -> Backbone:
    """Load a vision model of `transformers`.

    A checkpoint with a classifier keeps it: its logits are features too, and its input is the linear probe's. Of models
    of images and text the vision tower is taken.

    Parameters
    ----------
    name : str
        Without the leading "hf/": a folder, ORG/REPO, or ORG/REPO@REVISION (a branch, tag or commit).
    resize : "whole" or "crop"
    preprocessing : Preprocessing, optional
        The caller's, in place of the repository's image processor, which is then not looked at.

    Raises
    ------
    UnknownBackboneError
        No such repository or folder, or no vision model.
    PreprocessingError
        The repository's image processor is missing, or does what a `Preprocessing` cannot express.
    WeightsMismatchError
        The checkpoint does not hold all weights of its architecture.
    HubUnreachableError, MissingDependencyError
    """
    found = find_repository(PREFIX, name, PROCESSORS)
    with quiet():
        module = _without_masks(_model(found))
        if preprocessing is None:
            preprocessing = preprocessing_of(found.folder, resize, found.spec)
    return Backbone(
        spec=found.spec,
        module=freeze(module),
        preprocessing=preprocessing,
        classifier=_classifier(module),
        revision=found.revision,
    )


def _model(found: Repository) -> torch.nn.Module:
    config = config_of(found)
    kind = class_of(config, "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING", named=True)
    tower: Any = getattr(config, "vision_config", None)
    if kind is None and tower is not None:
        kind, config = class_of(tower), tower
        if kind is None:
            raise UnknownBackboneError(
                f"{found.spec}: transformers has no class of its own for the vision tower ({config.model_type}): load "
                "the whole model yourself and pass its .vision_model"
            )
    kind = kind or class_of(config)
    if kind is None or getattr(kind, "main_input_name", None) != PIXELS:
        raise UnknownBackboneError(
            f"{found.spec} is a {config.model_type} model, which takes no images: hf/ is for vision models, "
            "hf-text/ for text, hf-audio/ for recordings"
        )
    return load_model(kind, found, config)


def _classifier(module: torch.nn.Module) -> str | None:
    """The head; of two that are averaged (distilled transformers) the one on the class token, or the first."""
    judges = type(module).__name__.endswith("ForImageClassification")
    for name in ("classifier", "cls_classifier", *(("fc", "head") if judges else ())):
        head = getattr(module, name, None)
        if isinstance(head, torch.nn.Module) and _makes_logits(head):
            return name
    return None


def _makes_logits(head: torch.nn.Module) -> bool:
    """A list of layers is none: it may hold the pooling alone."""
    weighs = any(isinstance(part, torch.nn.Linear | torch.nn.Conv2d) for part in head.modules())
    return weighs and not isinstance(head, torch.nn.ModuleList)


def _without_masks(module: torch.nn.Module) -> torch.nn.Module:
    """Masked autoencoders drop three patches in four, at random, when they are not trained too: let them see all."""
    for part in module.modules():
        if callable(getattr(part, "random_masking", None)):
            part.random_masking = _keep_all  # type: ignore[assignment] - a method of the class, replaced in the object
    return module


def _keep_all(sequence: torch.Tensor, noise: Any = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # noqa: ARG001
    """What `random_masking` gives where nothing is masked: the tokens, the mask, and the order to restore."""
    batch, length = sequence.shape[:2]
    order = torch.arange(length, device=sequence.device).expand(batch, length)
    return sequence, torch.zeros(batch, length, device=sequence.device), order
