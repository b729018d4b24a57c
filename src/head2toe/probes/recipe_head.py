"""The linear head of the published recipe."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from head2toe.probes.recipe_taps import Span, unit_norm


@dataclass(frozen=True)
class RecipeHead:
    """A linear head on kept features, of which each tap is divided by its own L2 norm, image by image.

    Attributes
    ----------
    indices : int64 Tensor (K,), ascending
        Columns of the full feature matrix.
    spans : tuple of (start, stop)
        The kept features of each tap, in positions among the K.
    coef : float32 Tensor (c, K)
    intercept : float32 Tensor (c,)
    """

    indices: torch.Tensor
    spans: tuple[Span, ...]
    coef: torch.Tensor
    intercept: torch.Tensor

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (n, c) float32 of rows already restricted to `indices`, (n, K)."""
        return unit_norm(kept.float().clone(), self.spans) @ self.coef.T + self.intercept
