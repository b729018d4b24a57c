"""Ridge-penalised logistic heads on fixed sets of features: linear, last4, all-l2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from head2toe.baselines import RidgeLogistic, ridge_logistic
from head2toe.benchmark.costs import counted
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.methods.heads import of_rows, tensors
from head2toe.benchmark.rows import LAST_BLOCKS
from head2toe.benchmark.trial import Trial
from head2toe.probes import LINEAR_VIEW


def linear(trial: Trial) -> Fitted:
    """The penultimate features."""
    return _chosen(trial, (LINEAR_VIEW,))


def last4(trial: Trial) -> Fitted:
    """The outputs of the last four blocks (DINOv2's habit): class tokens, or means over the map."""
    return _chosen(trial, (LAST_BLOCKS,))


def all_l2(trial: Trial) -> Fitted:
    """All features of the better of the paper's views."""
    return _chosen(trial, trial.rows.paper_views)


def _chosen(trial: Trial, views: tuple[str, ...]) -> Fitted:
    found: dict[str, RidgeLogistic] = {}
    with counted() as spent:
        for view in views:
            indices, rows = trial.rows.standardised(view)
            fit = ridge_logistic(rows, np.arange(len(indices)), trial.y, trial.folds)
            found[view] = replace(fit, head=replace(fit.head, indices=torch.from_numpy(indices)))
    view = max(found, key=lambda name: (round(found[name].choice["cv_accuracy"], 9), -len(found[name].head.indices)))
    best = found[view]
    return Fitted(
        flops=spent.total,
        stored=tensors(best.head),
        choice={"view": view, **best.choice, "features": len(best.head.indices), "validation": trial.folds_name},
        cv_accuracy=best.choice["cv_accuracy"],
        of_rows=of_rows(best.head),
    )
