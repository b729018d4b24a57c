"""Let torchvision, and so timm, be imported where its compiled operators do not fit this torch.

A torch wheel built for the CPU beside a torchvision wheel built for CUDA fails at ``import torchvision`` with "operator
torchvision::nms does not exist". A frozen backbone needs none of those operators; torchvision only needs their schemas
to register its Python wrappers. Declaring the two schemas before the first import is enough.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declared: list[torch.library.Library] = []  # kept alive: the schemas vanish with their library


def declare_missing_operators() -> bool:
    """Declare torchvision's detection operators if its compiled library cannot be loaded.

    Returns
    -------
    bool
        True if the schemas were declared by this call.
    """
    if _declared or "torchvision" in sys.modules or _compiled_operators_load():
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in OPERATORS:
        library.define(name + SCHEMA)
    _declared.append(library)
    return True


def _compiled_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # nothing to mend: the import will say that torchvision is missing
    folder = Path(spec.origin).parent
    compiled = next((file for ending in ("so", "pyd") for file in folder.glob(f"_C*.{ending}")), None)
    if compiled is None:
        return False
    try:
        torch.ops.load_library(str(compiled))
    except OSError:
        return False
    return _has_operator()


def _has_operator() -> bool:
    try:
        torch.ops.torchvision.nms  # noqa: B018  (the look-up itself is the test)
    except (AttributeError, RuntimeError):
        return False
    return True
