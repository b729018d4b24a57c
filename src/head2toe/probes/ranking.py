"""The order of features by their scores, and which of them a fraction keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Ranking:
    """All features of a view in order of relevance.

    Attributes
    ----------
    scores : float64 array (K,)
        Relevance of the view's columns, in the order of `Columns.indices`.
    importance : float64 array (K,) or None
        Prior variance of each column's coefficient; None: all alike.
    block_importance : Tensor (blocks,) or None
        The same by block of the view.
    """

    scores: np.ndarray
    importance: np.ndarray | None = None
    block_importance: torch.Tensor | None = None


def top(scores: np.ndarray, fraction: float) -> np.ndarray:
    """Positions of the ``ceil(fraction * d)`` largest scores, ascending; ties go to the earlier column."""
    return largest(scores, number_of(fraction, len(scores)))


def number_of(fraction: float, width: int) -> int:
    """How many of so many features a fraction keeps."""
    return max(1, int(np.ceil(fraction * width)))


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` largest scores, ascending; ties go to the earlier."""
    if count >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > threshold)
    ties = np.flatnonzero(scores == threshold)[: count - len(above)]
    return np.sort(np.concatenate([above, ties]))
