"""The logits of a set of images, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head2toe.estimators.logits import decision, probabilities
from head2toe.features import Skipped


@dataclass(frozen=True)
class Outputs:
    """Logits of the m readable images out of n.

    Attributes
    ----------
    classes : array (c,)
    logits : float32 array (m, c)
    linear_logits : float32 array (m, c) or None
        Those of the linear probe, where asked for.
    kept : int64 array (m,)
        Positions of the readable images among the n.
    skipped : tuple of Skipped
        The others: index, name, reason.
    """

    classes: np.ndarray
    logits: np.ndarray
    linear_logits: np.ndarray | None
    kept: np.ndarray
    skipped: tuple[Skipped, ...]

    @property
    def labels(self) -> np.ndarray:
        """The most probable class of each image, (m,)."""
        return self.classes[self.logits.argmax(axis=1)]

    @property
    def linear_labels(self) -> np.ndarray | None:
        """The same by the linear probe."""
        return None if self.linear_logits is None else self.classes[self.linear_logits.argmax(axis=1)]

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 (m, c)."""
        return probabilities(self.logits)

    @property
    def decision(self) -> np.ndarray:
        """scikit-learn's decision function: (m, c), or (m,) of two classes."""
        return decision(self.logits)
