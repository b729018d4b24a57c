"""All of some columns under one ridge-penalised logistic head, whose strength is chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.baselines.patience import without_progress
from head2toe.probes.evidence import Evidence
from head2toe.probes.folds import Fold
from head2toe.probes.heads import LinearHead, head_from_dual
from head2toe.probes.kernels import centre
from head2toe.probes.logistic import KernelLogistic
from head2toe.probes.standardised import Standardised

STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)  # of the ridge, relative to a kernel of mean diagonal one
PATIENCE = 2


@dataclass(frozen=True)
class RidgeLogistic:
    """The head, and the table of strengths: dicts of strength, cv_accuracy and cv_log_loss, strongest first."""

    head: LinearHead
    choice: dict
    table: list[dict]


def ridge_logistic(
    rows: Standardised,
    indices: np.ndarray,
    y: np.ndarray,
    folds: Sequence[Fold],
) -> RidgeLogistic:
    """Fit a logistic head on standardised columns; the strength has the best cross-validated accuracy, then loss.

    The path ends where the last two strengths have brought neither a better accuracy nor a better loss.

    Parameters
    ----------
    rows : Standardised (n, d)
    indices : int64 array (K,), ascending
    y : int64 array (n,)
        Class numbers 0..c-1.
    folds : sequence of Fold
    """
    target, classes = torch.from_numpy(np.asarray(y, np.int64)), int(np.max(y)) + 1
    weight, everything = torch.ones(len(y), dtype=torch.float64), np.arange(len(y))
    gram = rows.gram(indices)
    kernels = [centre(gram, fold.train, fold.held_out, weight[fold.train]) for fold in folds]
    paths = [
        KernelLogistic(kernel.train, target[fold.train], classes, weight[fold.train])
        for kernel, fold in zip(kernels, folds, strict=True)
    ]
    table: list[dict] = []
    for strength in STRENGTHS:  # each starts from the one before
        evidence = Evidence()
        for fold, kernel, path in zip(folds, kernels, paths, strict=True):
            solution = path.solve(strength)
            evidence.add(fold.held_out, kernel.held_out @ solution.alpha + solution.intercept)
        accuracy, loss = evidence.accuracy(target, weight), evidence.log_loss(target, weight, 1.0)
        table.append({"strength": strength, "cv_accuracy": accuracy, "cv_log_loss": loss})
        if without_progress(table, PATIENCE, accuracy="cv_accuracy", loss="cv_log_loss"):
            break
    choice = max(table, key=lambda row: (round(row["cv_accuracy"], 9), -row["cv_log_loss"]))
    kernel = centre(gram, everything, everything[:0], weight)
    path = KernelLogistic(kernel.train, target, classes, weight)
    solution = path.down_to(choice["strength"], tuple(row["strength"] for row in table))
    head = head_from_dual(rows, indices, solution, everything, weight, kernel.unit)
    return RidgeLogistic(head, choice, table)
