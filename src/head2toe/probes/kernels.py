"""Small dense algebra on n x n Gram matrices: centring on some rows, and the kernel seen by a fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_BEYOND = 8  # random products more than the rank, so that none of it is missed
_LOW_RANK = 0.5  # of the rows: above it nothing is saved
ROUNDING = 1e-6  # of a Gram matrix's mean diagonal: its float32 entries are no more exact
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
    rank : int or None
        How many features it is made of, where that is known: no more eigenvalues differ from zero, but for rounding.
    """

    train: torch.Tensor
    held_out: torch.Tensor
    unit: float
    rank: int | None = None


def centred(gram: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """The Gram matrix after centring the rows on their mean under p, which sums to one: ``(I - 1 p') G (I - p 1')``."""
    mean = gram @ p
    return gram - mean[:, None] - mean[None, :] + p @ mean


def centre(
    gram: torch.Tensor, train: np.ndarray, held_out: np.ndarray, weight: torch.Tensor, rank: int | None = None
) -> FoldKernel:
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
    rank : int, optional
        How many features made the Gram matrix.
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
    if unit <= ROUNDING * largest:  # the training rows are alike, but for the rounding of their products
        return FoldKernel(torch.zeros_like(inner), torch.zeros_like(cross), 1.0, rank)
    return FoldKernel(inner / unit, cross / unit, unit, rank)


def uncentred(alpha: torch.Tensor, train: np.ndarray, weight: torch.Tensor, n: int) -> torch.Tensor:
    """Dual coefficients (m, c) as those of uncentred rows, float64 (n, c): zero outside `train`, their sum zero.

    ``sum_i alpha_i (z_i - m)`` with ``m = sum_i p_i z_i`` equals ``sum_i (alpha_i - p_i sum_k alpha_k) z_i``.
    """
    p = (weight / weight.sum())[:, None]
    out = torch.zeros(n, alpha.shape[1], dtype=torch.float64)
    out[torch.from_numpy(train)] = alpha - p * alpha.sum(dim=0)
    return out


def spectrum(kernel: torch.Tensor, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues (r,), none negative, and eigenvectors (m, r) of a kernel (m, m): all, or those of a low rank.

    Of few features the range is found first, by random products with the kernel; for a rank that is exact this loses
    nothing (Halko, Martinsson and Tropp 2011).

    Parameters
    ----------
    kernel : Tensor (m, m) float64
    rank : int, optional
        At most so many eigenvalues differ from zero, but for rounding.
    """
    m = len(kernel)
    if rank is None or rank + _BEYOND > _LOW_RANK * m:
        values, vectors = torch.linalg.eigh(kernel)
        return values.clamp_min(0), vectors
    drawn = torch.randn(m, rank + _BEYOND, generator=torch.Generator().manual_seed(0), dtype=kernel.dtype)
    basis = torch.linalg.qr(kernel @ drawn).Q
    values, turn = torch.linalg.eigh(basis.T @ kernel @ basis)
    return values.clamp_min(0), basis @ turn


def widened(matrix: torch.Tensor) -> torch.Tensor:
    """With columns of zeros up to a multiple of 16 of them: products by it take half the time (m, c) -> (m, c')."""
    return torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % LINE))
