"""Ways to score the relevance of features: the group lasso, and what the paper compares it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.kernels import centre, uncentred
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge
from head2toe.probes.scores import group_lasso_scores
from head2toe.probes.settings import RIDGE_STRENGTHS
from head2toe.probes.standardised import Standardised


@dataclass(frozen=True)
class Question:
    """Which features matter, and to which rows.

    Attributes
    ----------
    rows : Standardised (n, d)
    indices : int64 array (K,), ascending
        The columns to score.
    blocks : int64 array (K,)
        The block (layer and pooling) of each of them.
    train : int64 array (m,)
        The rows that a scorer may look at.
    targets : Tensor (m, c) float64
        Class indicators of the training rows.
    gram : Tensor (n, n)
        Gram matrix of the columns.
    seed : int
        Of scorers that draw random numbers.
    """

    rows: Standardised
    indices: np.ndarray
    blocks: np.ndarray
    train: np.ndarray
    targets: torch.Tensor
    gram: torch.Tensor
    seed: int = 0

    @property
    def weight(self) -> torch.Tensor:
        """Weights of the training rows, all one, float64 (m,)."""
        return torch.ones(len(self.train), dtype=torch.float64)


Scorer = Callable[[Question], np.ndarray]
"""Gives a float64 array (K,): larger is more relevant."""


def group_lasso(question: Question) -> np.ndarray:
    """Score features by the norms ``||W_i||`` of the group lasso: see `scores.group_lasso_scores`."""
    known = Labels(question.targets.argmax(dim=1), question.targets, question.weight)
    return group_lasso_scores(question.rows, question.indices, question.train, known, RIDGE_STRENGTHS, question.gram)


def l1(question: Question) -> np.ndarray:
    """Score a feature by the l1 norm over the classes of its row in a ridge head on all features."""
    return _ridge_weights(question).abs().sum(dim=1).double().numpy()


def l2(question: Question) -> np.ndarray:
    """Score a feature by the l2 norm over the classes of its row in a ridge head on all features."""
    return _ridge_weights(question).norm(dim=1).double().numpy()


def linf(question: Question) -> np.ndarray:
    """Score a feature by the largest magnitude over the classes of its row in a ridge head on all features."""
    return _ridge_weights(question).abs().amax(dim=1).double().numpy()


def random(question: Question) -> np.ndarray:
    """Score features at random."""
    return np.random.default_rng(question.seed).random(len(question.indices))


def variance(question: Question) -> np.ndarray:
    """Score a feature by its variance over the training rows, each block of each row divided by its own l2 norm.

    Without that norm the loudest layer would take every place (the official code too scores normalised features).
    """
    scores = np.empty(len(question.indices))
    for block in np.unique(question.blocks):
        places = np.flatnonzero(question.blocks == block)
        columns = question.indices[places]
        values = np.asarray(question.rows.X[:, columns[0] : columns[-1] + 1][question.train], np.float64)
        norm = np.linalg.norm(values, axis=1, keepdims=True)
        unit = np.divide(values, norm, out=np.zeros_like(values), where=norm > 0)
        scores[places] = unit.var(axis=0)[columns - columns[0]]
    return scores


def interpolated(scores: np.ndarray, blocks: np.ndarray, towards_layer: float) -> np.ndarray:
    """``(1 - a) s_i + a mean(s of its block)``: a = 0 selects single features, a = 1 whole layers.

    Parameters
    ----------
    scores : array (K,)
    blocks : int64 array (K,), the block of each feature
    towards_layer : float in [0, 1], the a above
    """
    if towards_layer == 0:
        return scores
    _, place = np.unique(blocks, return_inverse=True)
    mean = np.bincount(place, weights=scores) / np.bincount(place)
    return (1 - towards_layer) * scores + towards_layer * mean[place]


def _ridge_weights(question: Question) -> torch.Tensor:
    """Rows of a ridge head on all columns, float32 (K, c); its strength is the best by leave-one-out."""
    kernel = centre(question.gram, question.train, question.train[:0], question.weight)
    ridge = KernelRidge(kernel.train, question.targets, question.weight)
    solution = ridge.solve(ridge.best_strength(RIDGE_STRENGTHS))
    dual = uncentred(solution.alpha, question.train, question.weight, question.rows.n)
    return question.rows.project(question.indices, dual / kernel.unit)


SCORERS: dict[str, Scorer] = {
    "group lasso": group_lasso,
    "l1": l1,
    "l2": l2,
    "linf": linf,
    "random": random,
    "variance": variance,
}
