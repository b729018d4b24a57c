"""Nearest neighbours of the penultimate features, by cosine similarity."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.trial import Trial
from head2toe.probes import LINEAR_VIEW

NEIGHBOURS = (1, 3, 5, 10, 20, 50)
TEMPERATURE = 0.07  # of the neighbours' votes, as in DINO's evaluation


def knn(trial: Trial) -> Fitted:
    """Weighted vote of the k nearest training images; k by cross-validation."""
    indices = np.sort(trial.rows.plan.columns(LINEAR_VIEW))
    unit = _unit(np.take(trial.rows.X, indices, axis=1))
    y = torch.from_numpy(trial.y)
    similar = unit @ unit.T
    hits = dict.fromkeys(NEIGHBOURS, 0)
    for fold in trial.folds:
        near = similar[fold.held_out][:, fold.train]
        for k in hits:
            voted = _vote(near, y[fold.train], k, trial.classes)
            hits[k] += int((voted == y[fold.held_out]).sum())
    k = max(hits, key=lambda k: (hits[k], k))
    accuracy, k = hits[k] / len(y), min(k, len(y))

    def predict(rows: np.ndarray) -> np.ndarray:
        return _vote(_unit(np.take(rows, indices, axis=1)) @ unit.T, y, k, trial.classes).numpy()

    return Fitted(
        flops=2 * len(y) ** 2 * len(indices),
        stored={"rows": unit, "labels": y.to(torch.int32)},
        choice={"neighbours": k, "cv_accuracy": accuracy, "features": len(indices), "validation": trial.folds_name},
        cv_accuracy=accuracy,
        of_rows=predict,
    )


def _unit(rows: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(np.asarray(rows, np.float32)), dim=1)


def _vote(similar: torch.Tensor, y: torch.Tensor, k: int, classes: int) -> torch.Tensor:
    """Class numbers (v,) from similarities (v, m) to the training rows."""
    nearest = similar.topk(min(k, similar.shape[1]), dim=1)
    votes = torch.zeros(len(similar), classes)
    votes.scatter_add_(1, y[nearest.indices], (nearest.values / TEMPERATURE).softmax(dim=1))
    return votes.argmax(dim=1)
