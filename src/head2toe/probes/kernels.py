"""Small dense algebra on n x n Gram matrices: centring on some rows, and the kernel seen by a fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_ROUNDING = 1e-6  # of a Gram matrix's mean diagonal: its float32 entries are no more exact
LINE = 16  # float32 numbers in a line of the processor's cache


@dataclass(frozen=True)
class FoldKernel:
    """What a kernel method may see of one fold, scaled to a mean diagonal of one on the training rows.

    All is zero where the training rows are alike but for rounding.

    Attributes
    ----------
    train : Tensor (m, m) float64
        Gram matrix of the training rows, centred in feature space on their (weighted) mean.
    held_out : Tensor (v, m) float64
        Inner products of the held-out rows with the training rows, centred on the same mean.
    unit : float
        The mean diagonal before scaling: kernel in feature units = `unit` x `train`.
    """

    train: torch.Tensor
    held_out: torch.Tensor
    unit: float


def centred(gram: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """The Gram matrix after centring the rows on their mean under p, which sums to one: ``(I - 1 p') G (I - p 1')``."""
    mean = gram @ p
    return gram - mean[:, None] - mean[None, :] + p @ mean


def centre(gram: torch.Tensor, train: np.ndarray, held_out: np.ndarray, weight: torch.Tensor) -> FoldKernel:
    """Centre a Gram matrix on the weighted mean of its training rows.

    With m = sum_i p_i phi_i, p the normalised weights of the training rows:
    ``<phi_a - m, phi_b - m> = G_ab - (G p)_a - (G p)_b + p' G p``.

    Parameters
    ----------
    gram : Tensor (n, n)
    train, held_out : int64 arrays
        Row numbers; `held_out` may be empty.
    weight : Tensor (m,) float64
        Positive weights of the training rows.
    """
    rows = torch.from_numpy(train)
    inner = gram[rows][:, rows].double()
    largest = float(inner.diagonal().mean())
    cross = gram[torch.from_numpy(held_out)][:, rows].double()
    p = weight / weight.sum()
    inner_mean, cross_mean = inner @ p, cross @ p
    cross = cross - cross_mean[:, None] - inner_mean[None, :] + p @ inner_mean
    inner = centred(inner, p)
    unit = float(inner.diagonal().mean())
    if unit <= _ROUNDING * largest:  # the training rows are alike, but for the rounding of their products
        return FoldKernel(torch.zeros_like(inner), torch.zeros_like(cross), 1.0)
    return FoldKernel(inner / unit, cross / unit, unit)


def widened(matrix: torch.Tensor) -> torch.Tensor:
    """With columns of zeros up to a multiple of 16 of them: products by it take half the time (m, c) -> (m, c')."""
    return torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % LINE))
