"""What a probe folder says: a JSON description and a few small tensors, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from head2toe.backbones import parts_of
from head2toe.errors import DataFormatError, ProbeFormatError
from head2toe.features.plan import Plan
from head2toe.features.pooling import operation
from head2toe.probes import LinearHead, SearchResult

FORMAT = "head2toe probe"
SCHEMA = 5  # 2: heads in bfloat16 and int8; 3: in four bits where classes are many; 4: smaller, in three; 5: deviations
_HEADS = ("head", "linear_head")
_FIELDS = {
    "choice": dict,
    "search_table": list,
    "cv_accuracy": float,
    "linear_cv_accuracy": float,
    "dtype": str,
    "backbone": dict,
    "parameters": dict,
}
_NETWORK = {"spec": str, "weights_sha256": str, "preprocessing": dict}  # what the description of a network must have


@dataclass(frozen=True)
class SavedProbe:
    """All that is needed to predict, and how it was chosen.

    Attributes
    ----------
    classes : array (c,)
        Labels: strings, whole numbers, floats or booleans.
    backbone : dict
        `Backbone.to_dict()`: specification, revision, hash of the weights, preprocessing.
    plan : Plan
        The kept layers and their blocks. Column i of the plan is number ``i - start`` of the block with
        ``start <= i < stop``, which names its layer and operation.
    head, linear_head : LinearHead
        Their `indices` are columns of `plan`.
    dtype : str
        The number format the backbone ran in when the training rows were made.
    choice : dict
    search_table : list of dict
    cv_accuracy, linear_cv_accuracy : float
    parameters : dict
        The estimator's constructor parameters, as far as they are JSON.
    costs : dict
        FLOPs of an image's forward pass ("flops") and what predictions save of them ("flops_saved").
    version : str
        The head2toe version that wrote the folder.
    """

    classes: np.ndarray
    backbone: dict[str, Any]
    plan: Plan
    head: LinearHead
    linear_head: LinearHead
    dtype: str
    choice: dict[str, Any]
    search_table: list[dict[str, Any]]
    cv_accuracy: float
    linear_cv_accuracy: float
    parameters: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def result(self) -> SearchResult:
        """What the search gave, as far as it is written down."""
        return SearchResult(
            head=self.head,
            linear=self.linear_head,
            choice=self.choice,
            table=self.search_table,
            cv_accuracy=self.cv_accuracy,
            linear_cv_accuracy=self.linear_cv_accuracy,
        )

    def description(self) -> dict[str, Any]:
        """The JSON half.

        Raises
        ------
        DataFormatError
            Labels of a type that JSON cannot hold.
        """
        labels = [label.item() if isinstance(label, np.generic) else label for label in self.classes.tolist()]
        if not all(isinstance(label, str | int | float) for label in labels):
            raise DataFormatError("labels must be strings, numbers or booleans for a probe to be saved")
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "version": self.version,
            "classes": {"dtype": self.classes.dtype.str, "labels": labels},
            **{name: getattr(self, name) for name in _FIELDS},
            "costs": self.costs,
            "plan": self.plan.to_dict(),
        }

    def tensors(self) -> dict[str, torch.Tensor]:
        """The other half: what `LinearHead.tensors` keeps of either head."""
        heads: dict[str, LinearHead] = {name: getattr(self, name) for name in _HEADS}
        # A copy: the two are one where the linear probe won, and safetensors refuses shared memory.
        return {
            f"{name}.{part}": value.clone(memory_format=torch.contiguous_format)
            for name, head in heads.items()
            for part, value in head.tensors().items()
        }

    @staticmethod
    def of(description: dict[str, Any], tensors: dict[str, torch.Tensor]) -> SavedProbe:
        """Put the halves together.

        Raises
        ------
        ProbeFormatError
            They are not a probe, come from a newer head2toe, or do not fit each other. (Where a part is missing
            altogether: KeyError, TypeError or ValueError, which `load_probe` turns into this one.)
        """
        _check_schema(description)
        plan = Plan.from_dict(description["plan"])
        _check_plan(plan)
        classes = _classes(description["classes"]["dtype"], description["classes"]["labels"])
        heads = {name: _head(tensors, name, len(classes), plan.d) for name in _HEADS}
        if len(np.unique(classes)) < len(classes):
            raise ProbeFormatError("two of its classes are the same")
        fields = _checked(description, _FIELDS)
        for network in parts_of(fields["backbone"]):
            _checked(network, _NETWORK)
        costs = _checked({"costs": {}, **description}, {"costs": dict})["costs"]  # older probes have none
        return SavedProbe(classes=classes, plan=plan, costs=costs, version=description["version"], **heads, **fields)


def _classes(dtype: str, labels: list[Any]) -> np.ndarray:
    kind = np.dtype(dtype)
    # Whoever renames a class in the file may give it a longer name.
    classes = np.array(labels, np.promote_types(kind, np.array(labels).dtype) if kind.kind == "U" else kind)
    if classes.ndim != 1 or classes.tolist() != labels:
        raise ProbeFormatError(f"its classes are not labels of the dtype {dtype}")
    return classes


def _check_schema(description: Any) -> None:
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ProbeFormatError("its probe.json does not describe a head2toe probe")
    schema = description.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise ProbeFormatError(f"its schema version is {schema!r}, not a number")
    if schema > SCHEMA:
        raise ProbeFormatError(
            f"it was written by a newer head2toe ({description.get('version')}, schema {schema}; "
            f"this one reads {SCHEMA}): upgrade head2toe"
        )


def _checked(description: dict[str, Any], kinds: dict[str, type]) -> dict[str, Any]:
    """Some of its fields, each of the type it must have; a whole number is a float too."""
    for name, kind in kinds.items():
        value = description[name]
        if not isinstance(value, (int, float) if kind is float else kind):
            raise ProbeFormatError(f"its {name} is {type(value).__name__} where {kind.__name__} is expected")
    return {name: description[name] for name in kinds}


def _check_plan(plan: Plan) -> None:
    """The blocks must be what their operations make of their layers, one after the other."""
    stop = 0
    for block in plan.blocks:
        width = operation(block.operation).size(plan.by_name[block.layer].shape)
        if (block.start, block.stop) != (stop, stop + width):
            raise ProbeFormatError(f"its columns of layer {block.layer!r} do not fit the layer's shape")
        stop = block.stop


def _head(tensors: dict[str, torch.Tensor], name: str, classes: int, d: int) -> LinearHead:
    mine = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
    try:
        return LinearHead.checked(mine, classes, d)
    except ValueError as error:
        raise ProbeFormatError(f"its {name}.{error}") from error
