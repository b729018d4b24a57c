"""Stratified folds, which may keep rows together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head2toe.errors import ParameterError


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers (int64, ascending) of one fold: fitted on `train`, judged on `held_out`. Equal to itself alone."""

    train: np.ndarray
    held_out: np.ndarray


def stratified_folds(
    y: np.ndarray, k: int, *, groups: np.ndarray | None = None, repeats: int = 1, random_state: int = 0
) -> tuple[Fold, ...]:
    """Split n rows into k folds, `repeats` times over, each class spread as evenly as its count allows.

    Rows are shuffled, sorted by class (stably) and dealt out in turn, so that fold sizes differ by at most one and the
    counts of a class in two folds differ by at most one. With groups see `_deal_groups`.

    Parameters
    ----------
    y : int64 array of shape (n,)
    k : int
        2 <= k <= n, and at most the number of groups.
    groups : int64 array of shape (n,), optional
        Rows of one number stay together: no fold is judged on a group that it learned from.

    Raises
    ------
    ParameterError
        Another k.
    """
    most = len(y) if groups is None else len(np.unique(groups))
    if not 2 <= k <= most:
        what = "rows" if groups is None else "groups"
        raise ParameterError(f"{most} {what} cannot be split into {k} folds: use between 2 and {most} folds")
    rng = np.random.default_rng(random_state)
    folds = []
    for _ in range(repeats):
        dealt = _deal(y, k, rng) if groups is None else _deal_groups(y, groups, k, rng)
        folds += [Fold(np.flatnonzero(dealt != i), np.flatnonzero(dealt == i)) for i in range(k)]
    return tuple(folds)


def _deal(y: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each row, (n,)."""
    shuffled = rng.permutation(len(y))
    dealt = np.empty(len(y), np.int64)
    dealt[shuffled[np.argsort(y[shuffled], kind="stable")]] = np.arange(len(y)) % k
    return dealt


def _deal_groups(y: np.ndarray, groups: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each row, (n,): groups are shuffled, and from the largest on each goes where it is missed most.

    That is the fold that holds least of the group's classes, ``sum_c held_c group_c / n_c^2``, which keeps the sum of
    the folds' squared shares of the classes low; of several the one with the fewest rows. So no fold stays empty. One
    that would get the whole of a class comes last: it could not be learned from the others.
    """
    _, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((member.max() + 1, y.max() + 1))
    np.add.at(counts, (member, y), 1)
    sizes, shares = counts.sum(axis=1), counts / np.maximum(counts.sum(axis=0), 1)
    shuffled = rng.permutation(len(counts))
    fold_of, held, rows = np.empty(len(counts), np.int64), np.zeros((k, shares.shape[1])), np.zeros(k)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        overlap = np.round(held @ shares[group], 12)
        whole = ((held + shares[group] > 1 - 1e-9) & (shares[group] > 0)).any(axis=1)
        fold_of[group] = np.lexsort((rows, overlap, whole))[0]
        held[fold_of[group]] += shares[group]
        rows[fold_of[group]] += sizes[group]
    return fold_of[member]
