"""Stratified folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fold:
    """Row numbers (int64, ascending) of one fold: fitted on `train`, judged on `held_out`."""

    train: np.ndarray
    held_out: np.ndarray


def stratified_folds(y: np.ndarray, k: int, *, repeats: int = 1, random_state: int = 0) -> tuple[Fold, ...]:
    """Split n rows into k folds, `repeats` times over, each class spread as evenly as its count allows.

    Rows are shuffled, sorted by class (stably) and dealt out in turn, so that fold sizes differ by at most one and the
    counts of a class in two folds differ by at most one.

    Parameters
    ----------
    y : int64 array of shape (n,)
    k : int
        2 <= k <= n.

    Raises
    ------
    ValueError
        Another k.
    """
    if not 2 <= k <= len(y):
        raise ValueError(f"{len(y)} images cannot be split into {k} folds: use between 2 and {len(y)} folds")
    rng = np.random.default_rng(random_state)
    folds = []
    for _ in range(repeats):
        shuffled = rng.permutation(len(y))
        dealt = np.empty(len(y), np.int64)
        dealt[shuffled[np.argsort(y[shuffled], kind="stable")]] = np.arange(len(y)) % k
        folds += [Fold(np.flatnonzero(dealt != i), np.flatnonzero(dealt == i)) for i in range(k)]
    return tuple(folds)
