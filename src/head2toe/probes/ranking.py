"""Relevance: a group-lasso score for every feature, and the order it gives."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.kernels import centre
from head2toe.probes.least_squares import KernelRidge, ridge_path
from head2toe.probes.standardised import Standardised

ROUNDS = 4
SHRINK = 0.25  # share of the live features that stays live in the next round
LIVE = 4  # never fewer live features than this many times the rows: fewer could not carry the fit


def group_lasso_scores(
    rows: Standardised,
    indices: np.ndarray,
    train: np.ndarray,
    targets: torch.Tensor,
    weight: torch.Tensor,
    strengths: tuple[float, ...],
    gram: torch.Tensor,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Scores ``||W_i||`` of the group lasso on the training rows, by reweighted ridge regression.

    ``lambda sum_i ||W_i|| = min over eta of lambda / 2 sum_i (||W_i||^2 / eta_i + eta_i)``, with the minimum at
    ``eta_i = ||W_i||`` (Bach et al. 2012, section 5). Each round solves one ridge problem with the kernel
    ``sum_i eta_i z_i z_i'`` and strength lambda, and sets ``eta_i = eta_i ||z_i' alpha||``. Features whose eta vanishes
    leave the kernel but keep a score, so that all of them are ranked.

    The first round has equal eta and the strength with the smallest exact leave-one-out error; read at the mean eta it
    leaves, that strength is lambda. It is not chosen again: once features are selected on the same rows, leaving one
    out no longer warns of overfitting.

    Parameters
    ----------
    rows : Standardised (n, d)
    indices : int64 array (K,), ascending
        The columns to score.
    train : int64 array (m,)
    targets : Tensor (m, c) float64
    weight : Tensor (m,) float64
    strengths : tuple of float
        Candidate ridge strengths, relative to a kernel of mean diagonal one.
    gram : Tensor (n, n)
        Gram matrix of the columns with equal importance (the first round's kernel).
    groups : int64 array (m,), optional
        Training rows of one number belong together: they are left out together.

    Returns
    -------
    array (K,) float64
        Non-negative; larger is more relevant.
    """
    importance, penalty, kernel = np.ones(len(indices)), None, gram
    for turn in range(ROUNDS):
        dual, strength = _ridge(kernel, train, targets, weight, strengths, penalty, len(indices), groups)
        importance = importance * rows.project(indices, dual).norm(dim=1).double().numpy()
        if penalty is None:
            penalty = strength * float(importance.mean())
        if turn == ROUNDS - 1 or not importance.any():
            break
        count = max(LIVE * len(train), int(len(indices) * SHRINK ** (turn + 1)))
        live = largest(importance, count)
        kernel = rows.gram(indices[live], importance[live])
    return importance


def _ridge(
    gram: torch.Tensor,
    train: np.ndarray,
    targets: torch.Tensor,
    weight: torch.Tensor,
    strengths: tuple[float, ...],
    penalty: float | None,
    rank: int,
    groups: np.ndarray | None,
) -> tuple[torch.Tensor, float]:
    """Dual coefficients on all n rows and the strength used, both in the units of the kernel.

    The strength is `penalty`, or where that is None the best of `strengths` by leave-one-out.
    """
    kernel = centre(gram, train, train[:0], weight, rank)
    if penalty is None:
        ridge = KernelRidge(kernel.train, targets, weight, rank, groups)
        strength = ridge.best_strength(strengths)
        solution = ridge.solve(strength)
    else:
        strength = penalty / kernel.unit
        solution = ridge_path(kernel.train, targets, weight, (strength,))[0]
    return uncentred(solution.alpha, train, weight, len(gram)) / kernel.unit, strength * kernel.unit


def uncentred(alpha: torch.Tensor, train: np.ndarray, weight: torch.Tensor, n: int) -> torch.Tensor:
    """Dual coefficients (m, c) as those of uncentred rows, float64 (n, c): zero outside `train`, their sum zero.

    ``sum_i alpha_i (z_i - m)`` with ``m = sum_i p_i z_i`` equals ``sum_i (alpha_i - p_i sum_k alpha_k) z_i``.
    """
    p = (weight / weight.sum())[:, None]
    out = torch.zeros(n, alpha.shape[1], dtype=torch.float64)
    out[torch.from_numpy(train)] = alpha - p * alpha.sum(dim=0)
    return out


def top(scores: np.ndarray, fraction: float) -> np.ndarray:
    """Positions of the ``ceil(fraction * d)`` largest scores, ascending; ties go to the earlier column."""
    return largest(scores, number_of(fraction, len(scores)))


def number_of(fraction: float, width: int) -> int:
    """How many of so many features a fraction keeps."""
    return max(1, int(np.ceil(fraction * width)))


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` largest scores, ascending; ties go to the earlier."""
    if count >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > threshold)
    ties = np.flatnonzero(scores == threshold)[: count - len(above)]
    return np.sort(np.concatenate([above, ties]))
