"""Five images a class: nearest class means beside what the search chooses, on training images that were not drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.bench_few_images import drawn
from benchmarks.codes import class_means
from benchmarks.kernels import selector_of

PER_CLASS, SEEDS = 5, (0, 1, 2)
WAYS = ("equal", "learned")


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """A row a draw and a way: accuracy on the training images that were not drawn.

    Class means have their view and layer weights by cross-validation on the drawn images.
    """
    from head2toe import FeatureProbe

    found = []
    for seed in SEEDS:
        rows = drawn(y, PER_CLASS, seed)
        others = np.setdiff1d(np.arange(len(y)), rows)
        probe = FeatureProbe(columns=columns).fit(X[rows], y[rows])
        accuracies = {
            "as the search chooses": probe.score(X[others], y[others]),
            "linear probe": probe.linear_score(X[others], y[others]),
            "nearest class mean": nearest_mean(X, y, columns, rows, others),
        }
        found += [{"way": way, "seed": seed, "accuracy": float(value)} for way, value in accuracies.items()]
    return found


def nearest_mean(X: np.ndarray, y: np.ndarray, columns: Any, rows: np.ndarray, others: np.ndarray) -> float:
    """Accuracy on the rows `others` of the means of the rows `rows`, in the best view by cross-validation on those."""
    from head2toe.probes.folds import Fold, stratified_folds

    selector = selector_of(X, y, columns, np.isin(np.arange(len(y)), rows).astype(np.float64))
    views = [("linear", "equal"), *((view, way) for view in columns.candidate_views() for way in WAYS)]
    folds = stratified_folds(y[rows], 5, repeats=1, random_state=0)
    inner = [Fold(rows[fold.train], rows[fold.held_out]) for fold in folds]
    best = max(views, key=lambda one: sum(_accuracy(selector, y, one, fold) for fold in inner))
    return _accuracy(selector, y, best, Fold(rows, others))


def _accuracy(selector: Any, y: np.ndarray, way: tuple[str, str], fold: Any) -> float:
    from head2toe.probes.kernels import centre

    view, weights = way
    if view == "linear":
        gram = selector.bank.view(view)
    else:
        gram = selector.gram(view, selector.rank(view, weights, fold.train), 1.0)
    kernel = centre(gram, fold.train, fold.held_out, torch.ones(len(fold.train), dtype=torch.float64))
    says = class_means(kernel, selector.labels.targets[fold.train])
    return float((says.argmax(dim=1).numpy() == y[fold.held_out]).mean())
