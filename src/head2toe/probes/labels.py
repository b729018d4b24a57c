"""What is known of rows: classes, weights, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Labels:
    """Classes of n rows.

    Attributes
    ----------
    y : Tensor (n,) int64
    targets : Tensor (n, c) float64
        Indicators of y, or class probabilities.
    weight : Tensor (n,) float64
        Mean one.
    groups : int64 array (n,) or None
        Which rows belong together; None: each stands alone.
    """

    y: torch.Tensor
    targets: torch.Tensor
    weight: torch.Tensor
    groups: np.ndarray | None = None

    def subset(self, rows: np.ndarray) -> Labels:
        """Those of some rows, with weights whose mean is one again: the unit of ridge strengths."""
        weight = self.weight[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Labels(self.y[rows], self.targets[rows], weight / weight.mean(), groups)

    def with_soft(self, probabilities: torch.Tensor) -> Labels:
        """Below these rows u others with class probabilities (u, c), each of weight one and alone."""
        groups, weight = self.groups, torch.cat([self.weight, torch.ones(len(probabilities), dtype=torch.float64)])
        if groups is not None:
            groups = np.concatenate([groups, groups.max() + 1 + np.arange(len(probabilities))])
        return Labels(
            torch.cat([self.y, probabilities.argmax(dim=1)]),
            torch.cat([self.targets, probabilities]),
            weight / weight.mean(),
            groups,
        )
