"""Images to rows: readers, taps, pooling, the one extraction loop, the store."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from head2toe.features.behaviour import answers, other_answer
    from head2toe.features.cache import Cache
    from head2toe.features.data import LabelledImages, read_data
    from head2toe.features.extractor import Extractor, extract
    from head2toe.features.images import Images, as_images
    from head2toe.features.inputs import as_inputs
    from head2toe.features.layer import Layer
    from head2toe.features.plan import LINEAR, Block, Plan
    from head2toe.features.pooling_rules import STATISTICS
    from head2toe.features.reader import Skipped
    from head2toe.features.store import FeatureStore
    from head2toe.features.taps import layers

# Name -> module; loaded on first use, because most of them bring in PyTorch.
_HOMES = {
    "Block": "plan",
    "Cache": "cache",
    "Extractor": "extractor",
    "FeatureStore": "store",
    "Images": "images",
    "LINEAR": "plan",
    "STATISTICS": "pooling_rules",
    "LabelledImages": "data",
    "Layer": "layer",
    "Plan": "plan",
    "Skipped": "reader",
    "answers": "behaviour",
    "as_images": "images",
    "as_inputs": "inputs",
    "extract": "extractor",
    "layers": "taps",
    "other_answer": "behaviour",
    "read_data": "data",
}

__all__ = [
    "LINEAR",
    "STATISTICS",
    "Block",
    "Cache",
    "Extractor",
    "FeatureStore",
    "Images",
    "LabelledImages",
    "Layer",
    "Plan",
    "Skipped",
    "answers",
    "as_images",
    "as_inputs",
    "extract",
    "layers",
    "other_answer",
    "read_data",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
