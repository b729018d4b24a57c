"""Whole layers left out before features are ranked: whether a few layers are enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.kernels import Tried, accuracies, cross_validated

FRACTIONS = (0.01, 0.03, 0.1)
ALL = "all layers"
SHARES = {ALL: 1.0, "layers of 90 % of the kernel": 0.9, "layers of half of the kernel": 0.5}


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant: a row a choice of layers, view, fraction and strength.

    Weights are learned on the training rows of a fold, and layers left out that have the least part in the weighted
    kernel; the best features of the others are kept, as many as of all layers.
    """

    def tried(selector: Any, view: str, fold: Any) -> Iterator[Tried]:
        indices, ranking = columns.indices(view), selector.rank(view, "learned", fold.train)
        block = columns.block_of(view)
        layers = [columns.blocks[i].layer for i in columns.views[view]]
        size = selector.bank.grams_of_view(view).diagonals().double().mean(dim=1).numpy()
        part = ranking.block_importance.numpy() * size
        for name, share in SHARES.items():
            allowed = np.flatnonzero(strongest(part, layers, share)[block])
            for fraction in FRACTIONS:
                kept = best(ranking.scores, allowed, fraction)
                gram = selector.rows.gram(indices[kept], ranking.importance[kept]).double()
                for strength, accuracy in accuracies(gram, fold, selector.labels).items():
                    yield name, fraction, strength, accuracy

    return cross_validated(X, y, columns, "layers", tried)


def strongest(part: np.ndarray, layers: list[str], share: float) -> np.ndarray:
    """Which blocks belong to the fewest layers that together have a share of the sum of the blocks' parts, bool."""
    names, of = np.unique(layers, return_inverse=True)
    total = np.bincount(of, part, minlength=len(names))
    order = np.argsort(-total, kind="stable")
    before = np.cumsum(total[order]) - total[order]  # of those that are stronger
    chosen = np.zeros(len(names), bool)
    chosen[order[before < share * total.sum()]] = True
    return chosen[of]


def best(scores: np.ndarray, allowed: np.ndarray, fraction: float) -> np.ndarray:
    """Of the allowed positions the best, ascending: as many as the fraction of all, or all that are allowed."""
    from head2toe.probes.ranking import largest, number_of

    return allowed[largest(scores[allowed], number_of(fraction, len(scores)))]
