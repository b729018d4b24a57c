"""Between a fitted classifier and what is written down of it."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import head2toe
from head2toe.artifacts import SavedProbe, load_probe
from head2toe.backbones import Preprocessing, pinned, with_absolute_path
from head2toe.errors import ProbeFormatError
from head2toe.estimators.networks import refuse_another_number
from head2toe.estimators.predictions import ImagePredictions
from head2toe.paths import path_of

# The machine's and the moment's, not the probe's.
_NOT_SAVED = ("backbone", "preprocessing", "cache", "device", "batch_size", "verbose")
Classifier = TypeVar("Classifier", bound=ImagePredictions)


def to_saved(classifier: ImagePredictions) -> SavedProbe:
    """What is needed to predict, and how it was chosen."""
    probe = classifier.probe_
    return SavedProbe(
        classes=classifier.classes_,
        backbone=_with_absolute_paths(classifier.backbone_),
        plan=classifier.plan_,
        head=probe.head_,
        linear_head=probe.linear_head_,
        dtype=classifier.dtype_,
        choice=classifier.choice_,
        search_table=classifier.search_table_,
        cv_accuracy=classifier.cv_accuracy_,
        linear_cv_accuracy=classifier.linear_cv_accuracy_,
        parameters=_parameters(classifier),
        costs={"flops": classifier.flops_, "flops_saved": classifier.flops_saved_},
        version=head2toe.__version__,
    )


def loaded(
    kind: type[Classifier], folder: Path, backbone: Any, preprocessing: Any, options: dict[str, Any]
) -> Classifier:
    """The fitted classifier of a probe folder; no weights are loaded.

    Raises
    ------
    ProbeFormatError
        As `load_probe`; or it has a parameter that this version does not have, or no preprocessing that it can read.
    """
    saved = load_probe(folder)
    try:
        return _from_saved(kind, saved, backbone, preprocessing, options)
    except ProbeFormatError as error:
        raise ProbeFormatError(f"{folder} cannot be read: {error}") from error


def _from_saved(
    kind: Callable[..., Classifier], saved: SavedProbe, backbone: Any, preprocessing: Any, options: dict[str, Any]
) -> Classifier:
    written = {name: _from_plain(name, value) for name, value in saved.parameters.items()}
    strange = sorted(written.keys() - inspect.signature(kind).parameters.keys())
    if strange:
        raise ProbeFormatError(f"it has a parameter {strange[0]} (head2toe {saved.version} wrote it): upgrade head2toe")
    if backbone is not None:
        written.pop("weights", None)  # they belong to the old place
    described = saved.backbone.get("parts")
    if preprocessing is None and described is None:
        preprocessing = _preprocessing(saved.backbone)
    if described is not None and (preprocessing is None or isinstance(preprocessing, list | tuple)):
        given = preprocessing or [None] * len(described)
        refuse_another_number(len(described), len(given))
        # Of those that are not given the probe has its own.
        preprocessing = [_preprocessing(own) if one is None else one for own, one in zip(described, given, strict=True)]
    if backbone is None:
        backbone = pinned(saved.backbone) if described is None else [pinned(one) for one in described]
    refuse_another_number(len(described or [0]), len(backbone) if isinstance(backbone, list | tuple) else 1)
    classifier = kind(backbone, preprocessing=preprocessing, **{**written, **options})
    classifier.skipped_, classifier.skipped_unlabelled_, classifier.cached_ = (), (), False
    classifier.flops_, classifier.flops_saved_ = saved.costs.get("flops"), saved.costs.get("flops_saved")
    return classifier.assume(saved.result(), saved.classes, saved.plan, saved.backbone, saved.dtype)


def _with_absolute_paths(described: dict[str, Any]) -> dict[str, Any]:
    if "parts" in described:
        return {**described, "parts": [with_absolute_path(one) for one in described["parts"]]}
    return with_absolute_path(described)


def _preprocessing(described: dict[str, Any]) -> Preprocessing | None:
    """What was written of it; neither a transform of the user's own nor a tokenizer can be turned back.

    Raises
    ------
    ProbeFormatError
    """
    written = described["preprocessing"]
    if "size" not in written:
        return None
    try:
        return Preprocessing.from_dict(written)
    except (TypeError, ValueError) as error:
        raise ProbeFormatError(f"its preprocessing is not one: {error}") from error


def _parameters(classifier: ImagePredictions) -> dict[str, Any]:
    """The constructor's parameters that JSON can hold."""
    found = {}
    for name, value in classifier.get_params(deep=False).items():
        plain = _absolute(value) if name == "weights" else _plain(value)
        if name not in _NOT_SAVED and _is_json(plain):
            found[name] = plain
    return found


def _absolute(files: Any) -> Any:
    """Paths of files that are found again from another working directory."""
    if isinstance(files, list | tuple):
        return [_absolute(file) for file in files]
    return None if files is None else str(path_of(files).absolute())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):  # of labels, which need not be strings
        return {"pairs": [[_plain(label), _plain(weight)] for label, weight in value.items()]}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _from_plain(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        try:
            return dict(value["pairs"])
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeFormatError(f"the probe's parameter {name} is damaged: save it again") from error
    return tuple(value) if isinstance(value, list) and name != "layers" else value


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
