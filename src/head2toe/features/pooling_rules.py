"""Which operations pool a layer: the reference's rule for a target size, and the statistics of each channel."""

from __future__ import annotations

import math
from collections.abc import Sequence

from head2toe.features.layer import Layer
from head2toe.features.pooling import Shape

CLASS_TOKEN_OPTIONS = ("with", "alone", "beside")
"""Pool the class token with the rest, keep it alone, or keep it beside the pooled rest."""

STATISTICS = ("mean", "std", "max", "centre")
"""What the view of statistics holds of each channel unless told otherwise: see `statistics`."""

ALL_STATISTICS = (*STATISTICS, "moments")
"""What it may hold: second moments cost much and gave little (docs/ablation.md)."""


def map_window(shape: Shape, target: int) -> int | None:
    """Return the window k for a map (C, H, W) and a target size N; None stands for the global average.

    The official code's arithmetic: C >= N gives the global average, else `k = W // int(sqrt(N // C))`. Where that is 0
    (the map has fewer columns than asked for) the map is kept as it is: k = 1.
    """
    channels, _, width = shape
    if channels >= target:
        return None
    return max(1, width // int(math.sqrt(target // channels)))


def token_window(shape: Shape, target: int) -> int | None:
    """Return the window k for tokens (T, C) and a target size N; None stands for the mean over all tokens.

    The official code's arithmetic: C >= N gives the mean, else `k = int(T / (N / C))`; 0 becomes 1.
    """
    tokens, channels = shape
    if channels >= target:
        return None
    return max(1, int(tokens / (target / channels)))


def operations(layer: Layer, target: int, cls_token: str = "with") -> tuple[str, ...]:
    """Return the operations that bring one layer to about N numbers, by the reference's rule.

    Parameters
    ----------
    layer
        Of any kind.
    target
        The target size N, approximated, not met.
    cls_token
        "with": the class token is pooled with the rest; "alone": only the class token; "beside": the class token and,
        beside it, the pooled tokens after the prefix. Layers without a class token are pooled whole.
    """
    shape, prefix = layer.shape, layer.prefix
    if layer.kind == "vector":
        return ("identity",)
    if layer.kind == "map":
        return (_map_operation(shape, target),)
    if layer.kind == "sequence":
        return _sequence_operations(target // shape[1], prefix, cls_token)
    if cls_token == "with" or not prefix or not layer.class_token:
        return (_token_operation(shape, target),)
    if cls_token == "alone":
        return ("cls",)
    rest = (shape[0] - prefix, shape[1])
    window = token_window(rest, target)
    return ("cls", f"rest-mean:{prefix}" if window is None else f"rest-avg:{window},{prefix}")


def statistics(layer: Layer, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the operations that describe each channel of one layer by a few statistics, each a block of its own.

    Parameters
    ----------
    layer
        Of any kind.
    wanted
        Some of `ALL_STATISTICS`. The centre of mass needs a map or a grid of at least 2 x 2 places.

    Notes
    -----
    A class token is kept beside the statistics of the other tokens.
    """
    if layer.kind == "vector":
        return ("identity",)
    prefix, is_map = layer.prefix, layer.kind == "map"
    places = layer.shape[1:] if is_map else layer.grid
    found = ["cls"] if prefix and layer.class_token else []
    for name in wanted:
        if name == "centre":
            if places is not None and min(places) > 1:
                found.append("centre" if is_map else f"centre:{places[0]},{places[1]},{prefix}")
        elif name == "mean":
            found.append(f"rest-mean:{prefix}" if prefix else "mean")
        else:
            found.append(f"{name}:{prefix}" if prefix else name)
    return tuple(found)


def _map_operation(shape: Shape, target: int) -> str:
    window = map_window(shape, target)
    if window is None or window >= max(shape[1:]):
        return "mean"
    return "identity" if window == 1 else f"avg:{window}"


def _sequence_operations(parts: int, prefix: int, cls_token: str) -> tuple[str, ...]:
    """Sequences have no common length: as many equal parts as bring a layer to about N numbers."""
    if cls_token == "alone" and prefix:
        return ("cls",)
    if cls_token == "beside" and prefix:
        return ("cls", f"rest-mean:{prefix}")
    return ("mean",) if parts < 2 else (f"parts:{parts}",)


def _token_operation(shape: Shape, target: int) -> str:
    window = token_window(shape, target)
    if window is None or window >= shape[0]:
        return "mean"
    return "identity" if window == 1 else f"tokens-avg:{window}"
