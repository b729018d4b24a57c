"""Relevance: a group-lasso score for every feature."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.kernels import centre, uncentred
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge, ridge_path
from head2toe.probes.ranking import largest
from head2toe.probes.standardised import Standardised

ROUNDS = 4
SHRINK = 0.25  # share of the live features that stays live in the next round
LIVE = 4  # never fewer live features than this many times the rows: fewer could not carry the fit


def group_lasso_scores(
    rows: Standardised,
    indices: np.ndarray,
    train: np.ndarray,
    labels: Labels,
    strengths: tuple[float, ...],
    gram: torch.Tensor,
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
    labels : Labels
        Of the training rows; those that belong together are left out together.
    strengths : tuple of float
        Candidate ridge strengths, relative to a kernel of mean diagonal one.
    gram : Tensor (n, n)
        Gram matrix of the columns with equal importance (the first round's kernel).

    Returns
    -------
    array (K,) float64
        Non-negative; larger is more relevant.
    """
    importance, penalty, kernel = np.ones(len(indices)), None, gram
    for turn in range(ROUNDS):
        dual, strength = _ridge(kernel, train, labels, strengths, penalty, len(indices))
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
    labels: Labels,
    strengths: tuple[float, ...],
    penalty: float | None,
    rank: int,
) -> tuple[torch.Tensor, float]:
    """Dual coefficients on all n rows and the strength used, both in the units of the kernel.

    The strength is `penalty`, or where that is None the best of `strengths` by leave-one-out.
    """
    kernel = centre(gram, train, train[:0], labels.weight, rank)
    if penalty is None:
        ridge = KernelRidge(kernel.train, labels.targets, labels.weight, rank, labels.groups)
        strength = ridge.best_strength(strengths)
        solution = ridge.solve(strength)
    else:
        strength = penalty / kernel.unit
        solution = ridge_path(kernel.train, labels.targets, labels.weight, (strength,))[0]
    return uncentred(solution.alpha, train, labels.weight, len(gram)) / kernel.unit, strength * kernel.unit
