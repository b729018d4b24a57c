"""Columns that belong to taps, each of which has unit norm in every row: how the published recipe sees features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.columns import Columns
from head2toe.probes.ranking import top

TINY = 1e-12  # a norm is not divided by less

Span = tuple[int, int]


@dataclass(frozen=True)
class RecipeTaps:
    """Some columns of a feature matrix, tap by tap.

    Attributes
    ----------
    indices : int64 array (K,), ascending
        Columns of the full feature matrix.
    spans : tuple of (start, stop)
        Those of each tap, in positions among the K.
    """

    indices: np.ndarray
    spans: tuple[Span, ...]

    @staticmethod
    def of(columns: Columns, view: str) -> RecipeTaps:
        """All columns of a view."""
        return RecipeTaps(columns.indices(view), tap_spans(columns, view))

    def rows(self, X: np.ndarray) -> torch.Tensor:
        """These columns of X (n, d), each tap of unit norm in every row: float32 (n, K)."""
        return unit_norm(gathered(X, self.indices), self.spans)

    def best(self, scores: np.ndarray, fraction: float) -> RecipeTaps:
        """The columns with the largest scores (K,) over all taps; a tap that keeps none is left out."""
        places = top(scores, fraction)
        edges = np.searchsorted(places, np.asarray(self.spans, np.int64).reshape(-1, 2))
        spans = tuple((int(start), int(stop)) for start, stop in edges if stop > start)
        return RecipeTaps(self.indices[places], spans)


def tap_spans(columns: Columns, view: str) -> tuple[Span, ...]:
    """Where layers stand among the columns of a view (`Columns.indices`): one span for blocks that are side by side."""
    blocks = sorted((columns.blocks[b] for b in columns.views[view]), key=lambda block: block.start)
    spans: list[tuple[str, int, int]] = []
    at = 0
    for block in blocks:
        if spans and spans[-1][0] == block.layer:
            spans[-1] = (block.layer, spans[-1][1], at + block.width)
        else:
            spans.append((block.layer, at, at + block.width))
        at += block.width
    return tuple((start, stop) for _, start, stop in spans)


def unit_norm(rows: torch.Tensor, spans: Sequence[Span]) -> torch.Tensor:
    """Divide each row's part in each span by its L2 norm, in place; zero vectors stay zero. Returns `rows`, (n, d)."""
    for start, stop in spans:
        part = rows[:, start:stop]
        part.div_(part.norm(dim=1, keepdim=True).clamp_min(TINY))
    return rows


def gathered(X: np.ndarray, indices: np.ndarray) -> torch.Tensor:
    """Columns at ascending `indices`, an own float32 copy (n, K), contiguous."""
    first, last = int(indices[0]), int(indices[-1]) + 1
    if last - first == len(indices):
        return torch.from_numpy(np.array(X[:, first:last], np.float32, order="C"))
    return torch.from_numpy(np.take(X, indices, axis=1).astype(np.float32, copy=False))
