"""Audio backbones of Hugging Face that take samples: wav2vec2, HuBERT and their kin, through `transformers`."""

from __future__ import annotations

from typing import Any

from torch import nn

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
from head2toe.backbones.sequence_encoder import SequenceEncoder, classifier_of
from head2toe.backbones.waveforms import WaveformPreprocessing
from head2toe.errors import PreprocessingError, UnknownBackboneError, one_line

PREFIX = "hf-audio/"
_SAMPLES = "input_values"  # what a model of samples calls its input


def load_audio(name: str) -> Backbone:
    """Load a model of `transformers` that takes samples, with its feature extractor.

    Its output is the mean of the last states over time, which a linear probe reads. A checkpoint with a classifier of
    whole recordings keeps it.

    Parameters
    ----------
    name : str
        Without the leading "hf-audio/": a folder, ORG/REPO, or ORG/REPO@REVISION (a branch, tag or commit).

    Raises
    ------
    UnknownBackboneError
        No such repository or folder, or no model of samples (those of spectrograms are not read).
    PreprocessingError
        The repository has no feature extractor.
    WeightsMismatchError, HubUnreachableError, MissingDependencyError
    """
    found = find_repository(PREFIX, name, PROCESSORS)
    with quiet():
        model, config = _model(found)
        extractor = _extractor(found)
    return Backbone(
        spec=found.spec,
        module=freeze(SequenceEncoder(model)),
        preprocessing=WaveformPreprocessing(extractor, _shortest(config)),
        classifier=classifier_of(model),
        revision=found.revision,
    )


def _model(found: Repository) -> tuple[nn.Module, Any]:
    config = config_of(found)
    kind = class_of(config, "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING", named=True) or class_of(config)
    # Models of spectrograms call their input alike, but have no convolutions over samples.
    if getattr(kind, "main_input_name", None) != _SAMPLES or not hasattr(config, "conv_kernel"):
        raise UnknownBackboneError(
            f"{found.spec} is a {config.model_type} model, which takes no samples: hf-audio/ is for wav2vec2, HuBERT "
            "and the like, hf/ for images, hf-text/ for text"
        )
    return load_model(kind, found, config), config


def _extractor(found: Repository) -> Any:
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(found.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # the last of JSON that is no object
        raise PreprocessingError(
            f"{found.spec} has no feature extractor that can be read ({PROCESSORS[0]}): {one_line(error)}"
        ) from error
    if getattr(extractor, "feature_size", None) != 1 or not getattr(extractor, "sampling_rate", None):
        raise PreprocessingError(f"the feature extractor of {found.spec} makes no samples: hf-audio/ takes those alone")
    return extractor


def _shortest(config: Any) -> int:
    """Samples under one step of all convolutions together."""
    field = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        field = (field - 1) * stride + kernel
    return field
