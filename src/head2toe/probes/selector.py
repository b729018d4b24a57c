"""Features ranked on some rows, and the Gram matrices of those that a fraction keeps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from head2toe.probes.gram_bank import GramBank
from head2toe.probes.labels import Labels
from head2toe.probes.layer_weights import learn_layer_weights
from head2toe.probes.ranking import Ranking, top
from head2toe.probes.scores import group_lasso_scores
from head2toe.probes.settings import EQUAL, RIDGE_STRENGTHS
from head2toe.probes.standardised import Standardised


class Selector:
    """Ranks the features of a view on some rows, and makes kernels of the best.

    Parameters
    ----------
    rows : Standardised (n, d)
    bank : GramBank
    labels : Labels
        Of all n rows.
    """

    def __init__(self, rows: Standardised, bank: GramBank, labels: Labels) -> None:
        self.rows, self.bank, self.labels = rows, bank, labels

    def rank(self, view: str, layer_weights: str, train: np.ndarray) -> Ranking:
        """Rank a view's features on the training rows alone."""
        indices = self.bank.columns.indices(view)
        if layer_weights == EQUAL:
            known, gram = self.labels.subset(train), self.bank.view(view)
            return Ranking(group_lasso_scores(self.rows, indices, train, known, RIDGE_STRENGTHS, gram))
        places = np.flatnonzero(np.isin(self.bank.anchors, train))
        anchors, labels = self.bank.anchors[places], self.labels
        grams = self.bank.grams_of_view(view)
        learned = learn_layer_weights(grams, places, labels.targets[anchors], labels.weight[anchors])
        importance = learned.importance.numpy()[self.bank.columns.block_of(view)]
        dual = torch.zeros(self.rows.n, labels.targets.shape[1], dtype=torch.float64)
        dual[torch.from_numpy(self.bank.anchors)] = learned.alpha
        scores = importance * self.rows.project(indices, dual).norm(dim=1).double().numpy()
        return Ranking(scores, importance, learned.importance)

    def gram(self, view: str, ranking: Ranking, fraction: float) -> torch.Tensor:
        """Gram matrix of the features a fraction keeps, float32 (n, n)."""
        if fraction == 1:
            return self.bank.view(view, ranking.block_importance)
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
