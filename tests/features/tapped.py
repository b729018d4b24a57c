"""A layer as pooling knows it, wherever it may be tapped."""

from __future__ import annotations

from typing import Any

from head2toe.features.layer import Layer


def tapped(kind: str, shape: tuple[int, ...], **marks: Any) -> Layer:
    return Layer("layer", "layer", "output", 0, kind, shape, **marks)
