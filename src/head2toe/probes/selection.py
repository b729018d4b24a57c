"""Ranked features: which columns a fraction keeps, and the Gram matrices they give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.bank import GramBank
from head2toe.probes.layer_weights import learn_layer_weights
from head2toe.probes.ranking import group_lasso_scores, top
from head2toe.probes.settings import EQUAL, RIDGE
from head2toe.probes.standardised import Standardised


@dataclass(frozen=True)
class Ranking:
    """All features of a view in order of relevance.

    Attributes
    ----------
    scores : float64 array (K,)
        Relevance of the view's columns, in the order of `Columns.indices`.
    importance : float64 array (K,) or None
        Prior variance of each column's coefficient; None: all alike.
    blocks : Tensor (blocks,) or None
        The same by block.
    """

    scores: np.ndarray
    importance: np.ndarray | None = None
    blocks: torch.Tensor | None = None


class Selector:
    """Ranks the features of a view on some rows, and makes kernels of the best.

    Parameters
    ----------
    rows : Standardised (n, d)
    bank : GramBank
    targets : float64 Tensor (n, c)
    weight : float64 Tensor (n,)
    groups : int64 array (n,), optional
        Which rows belong together.
    """

    def __init__(
        self,
        rows: Standardised,
        bank: GramBank,
        targets: torch.Tensor,
        weight: torch.Tensor,
        groups: np.ndarray | None = None,
    ) -> None:
        self.rows, self.bank, self.targets, self.weight, self.groups = rows, bank, targets, weight, groups

    def rank(self, view: str, layer_weights: str, train: np.ndarray) -> Ranking:
        """Rank a view's features on the training rows alone."""
        indices = self.bank.columns.indices(view)
        if layer_weights == EQUAL:
            targets, weight, gram = self.targets[train], self.weight[train], self.bank.view(view)
            weight = weight / weight.mean()  # the unit of ridge strengths
            groups = None if self.groups is None else self.groups[train]
            return Ranking(group_lasso_scores(self.rows, indices, train, targets, weight, RIDGE, gram, groups))
        places = np.flatnonzero(np.isin(self.bank.anchors, train))
        anchors = self.bank.anchors[places]
        learned = learn_layer_weights(self.bank.of(view), places, self.targets[anchors], self.weight[anchors])
        importance = learned.importance.numpy()[self.bank.columns.block_of(view)]
        dual = torch.zeros(self.rows.n, self.targets.shape[1], dtype=torch.float64)
        dual[torch.from_numpy(self.bank.anchors)] = learned.alpha
        scores = importance * self.rows.project(indices, dual).norm(dim=1).double().numpy()
        return Ranking(scores, importance, learned.importance)

    def gram(self, view: str, ranking: Ranking, fraction: float) -> torch.Tensor:
        """Gram matrix of the features a fraction keeps, float32 (n, n)."""
        if fraction == 1:
            return self.bank.view(view, ranking.blocks)
        return self._sum(view, ranking, top(ranking.scores, fraction))

    def grams(self, view: str, ranking: Ranking, fractions: tuple[float, ...]) -> Iterator[tuple[float, torch.Tensor]]:
        """`gram` for ascending fractions below one, each the one before plus what is new in it."""
        total, before = torch.zeros(self.rows.n, self.rows.n), np.zeros(len(ranking.scores), bool)
        for fraction in fractions:
            kept = top(ranking.scores, fraction)
            new = kept[~before[kept]]
            if len(new):
                total = total + self._sum(view, ranking, new)
            before[kept] = True
            yield fraction, total

    def _sum(self, view: str, ranking: Ranking, places: np.ndarray) -> torch.Tensor:
        importance = None if ranking.importance is None else ranking.importance[places]
        return self.rows.gram(self.bank.columns.indices(view)[places], importance)
