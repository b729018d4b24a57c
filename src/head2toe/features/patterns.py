"""Patterns of layer names: which of the layers found are wanted."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from head2toe.errors import LayerPatternError
from head2toe.features.layer import Layer


def matching(found: tuple[Layer, ...], pattern: Any) -> tuple[Layer, ...]:
    """The layers that one pattern, or some of several, ask for, and the classifier's input.

    Raises
    ------
    LayerPatternError
        A pattern matches no layer, is no regular expression or no text.
    """
    names = [layer.name for layer in found]
    chosen: set[str] = set()
    for one in _patterns_of(pattern):
        matches = {name for name in names if _matches(one, name)}
        if not matches:
            near = difflib.get_close_matches(one.removeprefix("re:"), names, n=4, cutoff=0.0)
            raise LayerPatternError(
                f"no layer matches {one!r}; the nearest names are {', '.join(near)}; `head2toe layers` lists all"
            )
        chosen |= matches
    kept = (replace(layer, selected=layer.name in chosen) for layer in found)
    return tuple(layer for layer in kept if layer.selected or layer.penultimate)


def _patterns_of(given: Any) -> list[str]:
    patterns = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(one, str) for one in patterns):
        raise LayerPatternError(f"layers is {given!r}: use a pattern of layer names, or a list of them")
    return patterns


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith("re:"):
        return fnmatch.fnmatchcase(name, pattern)
    try:
        return re.search(pattern.removeprefix("re:"), name) is not None
    except re.error as error:
        raise LayerPatternError(f"{pattern!r} is no regular expression: {error}") from error
