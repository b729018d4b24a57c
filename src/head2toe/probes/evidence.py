"""Held-out predictions of one candidate over all folds, and the figures they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar

# Between these factors the held-out log loss is searched for its minimum.
LEAST_FACTOR, MOST_FACTOR = 0.01, 300.0


@dataclass
class Evidence:
    """Held-out logits of one configuration, gathered fold by fold.

    Attributes
    ----------
    rows : list of int64 arrays
        Held-out row numbers of each fold.
    logits : list of Tensor (v, c) float64
    """

    rows: list[np.ndarray] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)

    def add(self, held_out: np.ndarray, logits: torch.Tensor) -> None:
        """Append one fold."""
        self.rows.append(held_out)
        self.logits.append(logits)

    def hits(self, y: torch.Tensor) -> np.ndarray:
        """Which held-out rows have the largest logit at the right class, fold after fold, bool (held-out rows,)."""
        rows, logits = self._stacked()
        return (logits.argmax(dim=1) == y[rows]).numpy()

    def accuracy(self, y: torch.Tensor, weight: torch.Tensor) -> float:
        """Weighted share of held-out rows whose largest logit is the right class, in [0, 1]."""
        shares = weight[torch.from_numpy(np.concatenate(self.rows))].numpy()
        return float(np.average(self.hits(y), weights=shares))

    def log_loss(self, y: torch.Tensor, weight: torch.Tensor, scale: float = 1.0) -> float:
        """Weighted mean cross-entropy of ``softmax(scale * logits)``, in nats."""
        shares = weight[torch.from_numpy(np.concatenate(self.rows))].numpy()
        return float(np.average(self.losses(y, scale), weights=shares))

    def losses(self, y: torch.Tensor, scale: float = 1.0) -> np.ndarray:
        """Cross-entropy of ``softmax(scale * logits)`` of each held-out row, fold after fold, nats."""
        rows, logits = self._stacked()
        return cross_entropy(scale * logits, y[rows]).numpy()

    def calibration(self, y: torch.Tensor, weight: torch.Tensor) -> float:
        """The factor on the logits with the smallest held-out log loss (temperature scaling, Guo et al. 2017).

        One row in n + 2 counts as one of another class (the rule of succession, as in Platt 1999): n rows that are
        all right don't show that the next can't be wrong, so probabilities stay below 1.
        """
        rows, logits = self._stacked()
        shares = weight[rows] / weight[rows].sum()
        classes = logits.shape[1]
        smoothing = classes / (classes - 1) / (len(y) + 2)

        def loss(log_factor: float) -> float:
            return float(shares @ cross_entropy(np.exp(log_factor) * logits, y[rows], smoothing))

        # The loss is convex in the factor, so it has one minimum in its logarithm as well.
        bounds = np.log((LEAST_FACTOR, MOST_FACTOR))
        best: Any = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3})
        return float(np.exp(best.x))

    def _stacked(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(np.concatenate(self.rows)), torch.cat(self.logits)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy of each row, nats; `smoothing` is the share of its target that is spread over all classes."""
    return torch.nn.functional.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
