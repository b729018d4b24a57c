"""Held-out predictions of one candidate over all folds, and the figures they give."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

# From 1e-7 to 200: a discriminant of few images that are far apart may be sure by thousands of nats.
TEMPERATURES = tuple(0.5 * 400 ** (np.arange(-100, 40) / 39))
STRIDE = 14  # of the factors, where the best is looked for first
MOST = 16.0  # nats that one row may lose: one outlying image, off by thousands, says nothing of the others


@dataclass
class Evidence:
    """Held-out logits of one configuration, gathered fold by fold.

    Attributes
    ----------
    rows : list of int64 arrays
        Held-out row numbers of each fold.
    logits : list of Tensor (v, c) float32
        There are hundreds of configurations; what is computed from them is computed in float64.
    """

    rows: list[np.ndarray] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)

    def add(self, held_out: np.ndarray, logits: torch.Tensor) -> None:
        """Append one fold."""
        self.rows.append(held_out)
        self.logits.append(logits.float())

    def hits(self, y: torch.Tensor) -> np.ndarray:
        """Which held-out rows have the largest logit at the right class, fold after fold, bool (held-out rows,)."""
        rows, logits = self._stacked()
        return (logits.argmax(dim=1) == y[rows]).numpy()

    def accuracy(self, y: torch.Tensor, weight: torch.Tensor) -> float:
        """Weighted share of held-out rows whose largest logit is the right class, in [0, 1]."""
        return float(np.average(self.hits(y), weights=weight[self._held_out].numpy()))

    def log_loss(self, y: torch.Tensor, weight: torch.Tensor, scale: float = 1.0) -> float:
        """Weighted mean cross-entropy of ``softmax(scale * logits)``, in nats."""
        return float(self.losses(y, scale) @ self._shares(weight))

    def losses(self, y: torch.Tensor, scale: float = 1.0) -> np.ndarray:
        """Cross-entropy of ``softmax(scale * logits)`` of each held-out row, fold after fold, nats; `MOST` at most."""
        rows, logits = self._stacked()
        return cross_entropies(scale * logits, y[rows]).numpy()

    def calibration(self, y: torch.Tensor, weight: torch.Tensor) -> float:
        """The factor on the logits with the smallest held-out log loss (temperature scaling, Guo et al. 2017).

        Targets are smoothed by 2 / (images + 2), for two classes as Platt (1999) does: few images that are all right
        are no proof that there are no errors, and would call for an infinite factor.
        """
        rows, logits = self._stacked()
        shares, smoothing = torch.from_numpy(self._shares(weight)), 2 / (len(rows.unique()) + 2)

        def loss(i: int) -> float:
            return float(shares @ cross_entropies(TEMPERATURES[i] * logits, y[rows], smoothing))

        best = min(range(0, len(TEMPERATURES), STRIDE), key=loss)
        low, high = max(0, best - STRIDE), min(best + STRIDE, len(TEMPERATURES) - 1)
        while low < high:  # but for the bound the loss is convex in the factor
            middle = (low + high) // 2
            low, high = (low, middle) if loss(middle) <= loss(middle + 1) else (middle + 1, high)
        return float(TEMPERATURES[low])

    def _shares(self, weight: torch.Tensor) -> np.ndarray:
        """Weights of the held-out rows that sum to one; all alike where none counts."""
        found = weight[self._held_out].numpy()
        total = found.sum()
        return found / total if total > 0 else np.full(len(found), 1 / len(found))

    def _stacked(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._held_out, torch.cat(self.logits).double()

    @property
    def _held_out(self) -> torch.Tensor:
        """The row numbers, fold after fold."""
        return torch.from_numpy(np.concatenate(self.rows))


def cross_entropies(logits: torch.Tensor, y: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy (n,) of rows of logits (n, c), nats, at most `MOST`, as where probabilities are float32."""
    each = torch.nn.functional.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)
    return each.clamp_max(MOST)


def weights_of_several(y: torch.Tensor, weight: torch.Tensor, groups: np.ndarray | None = None) -> torch.Tensor:
    """Weights of rows in log losses: none for a class of one image or group, which no fold both learns and holds out.

    Such rows count in accuracy, as errors, but would flatten the probabilities of all others.
    """
    classes = y if groups is None else torch.stack([y, torch.from_numpy(groups)]).unique(dim=1)[0]
    several = torch.bincount(classes)[y] > 1
    return weight * several if bool(several.any()) else weight
