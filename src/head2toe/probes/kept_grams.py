"""Gram matrices of selected features that screening made and the finalists will ask for again."""

from __future__ import annotations

from collections.abc import Collection

import torch

from head2toe.probes.folds import Fold
from head2toe.probes.settings import Features

SHARE = 0.1  # of the feature matrix's bytes


class KeptGrams:
    """Matrices by features and fold, as many as there is room for.

    Parameters
    ----------
    n : int
        Rows of a matrix.
    folds : int
        In which the features that are kept to the end have a matrix each.
    matrix_bytes : int
        Size of the feature matrix, of which `SHARE` may be taken.
    """

    def __init__(self, n: int, folds: int, matrix_bytes: int) -> None:
        self._room = int(SHARE * matrix_bytes) // (4 * n * n)
        self.most = self._room // folds  # features of which every fold's matrix can be kept
        self._grams: dict[tuple[Features, Fold], torch.Tensor] = {}

    def put(self, features: Features, fold: Fold, gram: torch.Tensor) -> None:
        """Keep a matrix, float32 (n, n), which nobody may write to, if there is room."""
        if len(self._grams) < self._room:
            self._grams[features, fold] = gram

    def get(self, features: Features, fold: Fold) -> torch.Tensor | None:
        """The matrix; None if it was not kept."""
        return self._grams.get((features, fold))

    def only(self, wanted: Collection[Features]) -> None:
        """Let all go but those of some features."""
        self._grams = {key: gram for key, gram in self._grams.items() if key[0] in wanted}
