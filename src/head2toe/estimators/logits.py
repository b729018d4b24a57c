"""Predictions from logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from torch import Tensor


class FromLogits:
    """The predictions of a classifier over rows, whose `_logits` makes logits of them."""

    classes_: np.ndarray

    def decision_function(self, X: ArrayLike | Tensor) -> np.ndarray:
        """Logits, float64 (n, c); of two their difference (n,), above 0 for `classes_[1]`. Raises as `predict`."""
        return decision(self._logits(X))

    def predict_proba(self, X: ArrayLike | Tensor) -> np.ndarray:
        """Softmax of the logits, float64 (n, c). Raises as `predict`."""
        return probabilities(self._logits(X))

    def predict(self, X: ArrayLike | Tensor) -> np.ndarray:
        """The class of the largest logit, (n,).

        Raises
        ------
        ValueError
            Other columns than `fit` saw.
        NotFiniteError
            NaN or infinity in X.
        """
        numbers = self._logits(X).argmax(axis=1)  # first: it raises where nothing is fitted
        return self.classes_[numbers]

    def _logits(self, X: ArrayLike | Tensor) -> np.ndarray:
        """Logits (n, c) of n rows."""
        raise NotImplementedError


def decision(logits: np.ndarray) -> np.ndarray:
    """What scikit-learn calls the decision function of c logits: one number a row where there are two classes."""
    z = logits.astype(np.float64)
    return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax, float64 (n, c)."""
    return softmax(logits.astype(np.float64), axis=1)
