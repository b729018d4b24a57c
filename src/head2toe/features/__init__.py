"""Images to rows: taps, pooling, the one extraction loop, the store."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from head2toe.features.behaviour import answers, other_answer
    from head2toe.features.cache import Cache
    from head2toe.features.extractor import Extractor, extract
    from head2toe.features.layer import Layer
    from head2toe.features.plan import LINEAR_VIEW, Block, Plan
    from head2toe.features.pooling_rules import ALL_STATISTICS, STATISTICS
    from head2toe.features.reader import Skipped
    from head2toe.features.store import FeatureStore
    from head2toe.features.taps import layers

# Name -> module; loaded on first use, because most of them bring in PyTorch.
_HOMES = {
    "ALL_STATISTICS": "pooling_rules",
    "Block": "plan",
    "Cache": "cache",
    "Extractor": "extractor",
    "FeatureStore": "store",
    "LINEAR_VIEW": "plan",
    "STATISTICS": "pooling_rules",
    "Layer": "layer",
    "Plan": "plan",
    "Skipped": "reader",
    "answers": "behaviour",
    "extract": "extractor",
    "layers": "taps",
    "other_answer": "behaviour",
}

__all__ = [
    "ALL_STATISTICS",
    "LINEAR_VIEW",
    "STATISTICS",
    "Block",
    "Cache",
    "Extractor",
    "FeatureStore",
    "Layer",
    "Plan",
    "Skipped",
    "answers",
    "extract",
    "layers",
    "other_answer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
