"""A linear head as weights of rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DualSolution:
    """Dual coefficients of a head on centred features: ``logits(z) = sum_i k(z, z_i) alpha_i + intercept``.

    alpha : Tensor (m, c) float64; intercept : Tensor (c,) float64.
    """

    alpha: torch.Tensor
    intercept: torch.Tensor
