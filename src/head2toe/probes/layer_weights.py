"""How loud each block speaks: variances of a Gaussian process prior, learned by maximum marginal likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.grams import Grams
from head2toe.probes.kernels import ROUNDING, centred, uncentred

ROUNDS = 5
BOLD = 3  # rounds that take the whole step, not its root: quicker, and still uphill far from the optimum
NOISE = 0.1  # first guess of the noise variance, of targets with variance one


@dataclass(frozen=True)
class LayerWeights:
    """The learned prior.

    Attributes
    ----------
    importance : Tensor (blocks,) float64
        Prior variance of one standardised feature's coefficient, by block, up to a common factor: the kernel
        ``sum_b importance_b G_b`` has a mean diagonal of one on the training rows.
    alpha : Tensor (n, c) float64
        Dual coefficients of the posterior mean under it: zero outside the training rows, each column summing to zero.
    """

    importance: torch.Tensor
    alpha: torch.Tensor


def learn_layer_weights(
    grams: Grams,
    train: np.ndarray,
    targets: torch.Tensor,
    weight: torch.Tensor,
    rounds: int = ROUNDS,
) -> LayerWeights:
    """Maximise the marginal likelihood of ``Y ~ N(0, sum_b w_b K_b + s V^-1)`` over w and s.

    Each round is the minorise-maximise step of Zhou et al. (2019, "MM algorithms for variance components models"),
    ``w_b <- w_b sqrt( tr(A' K_b A) / (c tr(C^-1 K_b)) )`` with ``C = sum_b w_b K_b + s V^-1`` and ``A = C^-1 Y``; the
    likelihood never falls. The first `BOLD` rounds leave out the root (MacKay's fixed point). V holds the sample
    weights. There is no hyper-parameter.

    Parameters
    ----------
    grams : Grams (blocks, n, n)
        Gram matrices over all n rows; only entries between training rows are used, centred on their weighted mean.
    train : int64 array (m,)
    targets : float64 Tensor (m, c)
        Indicators of the classes.
    weight : float64 Tensor (m,), positive

    Returns
    -------
    LayerWeights
    """
    n = grams.n
    rows = torch.from_numpy(train)
    p = weight / weight.sum()
    y = targets - p @ targets
    y = y / y.square().mean().sqrt().clamp_min(1e-12)
    noise_shape = weight.mean() / weight
    own = grams.diagonals()[:, rows]
    diagonal = own.double().mean(dim=1)
    # Rows that are alike but for rounding, as where a block's outlier is held out, would let its weight run away.
    apart = (own + own[:, :1] - 2 * grams.row(int(train[0]))[:, rows]).double().mean(dim=1)
    live = apart > ROUNDING * diagonal
    w = torch.where(live, 1 / diagonal.clamp_min(1e-300) / live.sum().clamp_min(1), 0.0)
    s = torch.tensor(NOISE, dtype=torch.float64)
    alpha = y
    for turn in range(rounds + 1):
        largest = w.max().clamp_min(1e-300)  # float32 sums of weights that may have shrunk far below one
        kernel = largest * grams.weighted(w / largest)[rows][:, rows].double()
        inverse = _inverse(centred(kernel, p) + torch.diag(s * noise_shape))
        alpha = inverse @ y
        if turn == rounds:
            break
        outer = _scatter(_projected(alpha @ alpha.T / y.shape[1], p), rows, n)
        spread = _scatter(_projected(inverse, p), rows, n)
        explained, expected = grams.inner(torch.stack([outer, spread]))
        ratio = explained.clamp_min(0) / expected.clamp_min(1e-30)
        w = w * (ratio if turn < BOLD else ratio.sqrt())
        noise = (noise_shape @ alpha.square().mean(dim=1)) / (noise_shape @ inverse.diagonal())
        s = (s * noise.sqrt()).clamp_min(1e-6)
    return LayerWeights(w / (w @ diagonal).clamp_min(1e-300), uncentred(alpha, train, weight, n))


def _inverse(matrix: torch.Tensor) -> torch.Tensor:
    """Of a sum of float32 kernels, whose errors may outweigh the noise where the labels are fitted almost exactly."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    error = len(matrix) * torch.finfo(torch.float32).eps * matrix.diagonal().mean()
    if int(failed):
        factor, failed = torch.linalg.cholesky_ex(matrix + error * torch.eye(len(matrix), dtype=matrix.dtype))
    if int(failed):  # centring may have left nothing but such errors
        values, vectors = torch.linalg.eigh(matrix)
        return (vectors / values.clamp_min(float(error))) @ vectors.T
    return torch.cholesky_inverse(factor)


def _projected(matrix: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """``(I - p 1') M (I - 1 p')``: its trace with K is the trace of M with the centred K."""
    column = matrix.sum(dim=0)
    return matrix - p[:, None] * column[None, :] - column[:, None] * p[None, :] + column.sum() * p[:, None] * p[None, :]


def _scatter(matrix: torch.Tensor, rows: torch.Tensor, n: int) -> torch.Tensor:
    """Float32 (n, n) with `matrix` at the given rows and columns, zero elsewhere."""
    out = torch.zeros(n, n)
    out[rows[:, None], rows[None, :]] = matrix.float()
    return out
