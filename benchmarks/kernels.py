"""Kernels on the selected features: what a head that is not linear in them would reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

FRACTIONS = (0.03, 0.1, 1.0)
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
WIDTHS = (0.3, 1.0, 3.0)  # of the RBF kernel: times the mean squared distance, inverted
QUADRATIC = (0.3, 1.0)  # how much of the squared kernel is added to the kernel

Tried = tuple[str, float, float, float]  # name, fraction, strength, held-out accuracy


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant on each kernel: a row a kernel, view, fraction and strength.

    The features are ranked with learned layer weights in each fold, as in the search, and keep their weights in the
    kernel; so the first kernel is that of the probe itself.
    """

    def tried(selector: Any, view: str, fold: Any) -> Iterator[Tried]:
        ranking = selector.rank(view, "learned", fold.train)
        for fraction in FRACTIONS:
            gram = selector.gram(view, ranking, fraction).double()
            for name, kernel in kernels(gram, fold.train).items():
                for strength, accuracy in accuracies(kernel, fold, selector.labels).items():
                    yield name, fraction, strength, accuracy

    return cross_validated(X, y, columns, "kernel", tried)


def cross_validated(
    X: np.ndarray, y: np.ndarray, columns: Any, kind: str, tried: Callable[[Any, str, Any], Iterable[Tried]]
) -> list[dict[str, Any]]:
    """A row a name (under the key `kind`), view, fraction and strength, with its accuracy over five folds.

    `tried` gives what a selector, a view and a fold come to.
    """
    from head2toe.probes.folds import stratified_folds

    selector, found = selector_of(X, y, columns), defaultdict(list)
    for fold in stratified_folds(y, 5, repeats=1, random_state=0):
        for view in columns.candidate_views():
            for name, fraction, strength, accuracy in tried(selector, view, fold):
                found[name, view, fraction, strength].append(accuracy)
    names = (kind, "view", "fraction", "strength")
    return [{**dict(zip(names, key, strict=True)), "cv_accuracy": float(np.mean(a))} for key, a in found.items()]


Made = Callable[[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray], dict[str, torch.Tensor]]


def on_kept(X: np.ndarray, y: np.ndarray, columns: Any, fractions: Iterable[float], made: Made) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant on what is made of the kept features: a row a name and more.

    `made` gives Gram matrices (n, n) by name, from the features (K, n), the roots of their importance (K,), their
    scores (K,) and the training rows. Features are ranked with learned layer weights.
    """
    from head2toe.probes.ranking import top

    def tried(selector: Any, view: str, fold: Any) -> Iterator[Tried]:
        indices, ranking = columns.indices(view), selector.rank(view, "learned", fold.train)
        for fraction in fractions:
            kept = top(ranking.scores, fraction)
            root = torch.from_numpy(np.sqrt(ranking.importance[kept]))
            z = selector.rows.tile(indices[kept]).double()
            for name, gram in made(z, root, ranking.scores[kept], fold.train).items():
                for strength, accuracy in accuracies(gram, fold, selector.labels).items():
                    yield name, fraction, strength, accuracy

    return cross_validated(X, y, columns, "features", tried)


def selector_of(X: np.ndarray, y: np.ndarray, columns: Any, weight: np.ndarray | None = None) -> Any:
    """What ranks the features of all rows, each of weight one; `weight` (n,) is for standardising alone."""
    from head2toe.probes.gram_bank import GramBank
    from head2toe.probes.labels import Labels
    from head2toe.probes.least_squares import indicators
    from head2toe.probes.selector import Selector
    from head2toe.probes.standardised import Standardised

    rows, numbers = Standardised(X, weight, columns.spans()), torch.from_numpy(y)
    labels = Labels(numbers, indicators(numbers, int(y.max()) + 1), torch.ones(len(y), dtype=torch.float64))
    return Selector(rows, GramBank(rows, columns), labels)


def kernels(gram: torch.Tensor, train: np.ndarray) -> dict[str, torch.Tensor]:
    """The linear kernel, and others made of it; (n, n) each. Scales are those of the training rows."""
    from head2toe.probes.kernels import centred

    diagonal = gram.diagonal()
    distance = (diagonal[:, None] + diagonal - 2 * gram).clamp_min(0)
    distance = distance / distance[train][:, train].mean()
    share = torch.zeros(len(gram), dtype=gram.dtype)
    share[train] = 1 / len(train)
    inner = centred(gram, share)
    inner = inner / inner.diagonal()[train].mean()
    return {
        "linear": gram,
        **{f"RBF {width:g}": torch.exp(-width * distance) for width in WIDTHS},
        **{f"quadratic {part:g}": inner + part * inner**2 for part in QUADRATIC},
    }


def accuracies(gram: torch.Tensor, fold: Any, labels: Any) -> dict[float, float]:
    """Of a discriminant, held-out, at each strength."""
    right = labels.y[fold.held_out]
    found = held_out_logits(gram, fold.train, fold.held_out, labels)
    return {strength: float((says.argmax(dim=1) == right).double().mean()) for strength, says in found.items()}


def held_out_logits(
    gram: torch.Tensor, train: np.ndarray, held_out: np.ndarray, labels: Any
) -> dict[float, torch.Tensor]:
    """Logits (v, c) of the search's discriminant fitted on the training rows, at each strength."""
    from head2toe.probes.closed_forms import ClosedForms
    from head2toe.probes.kernels import centre
    from head2toe.probes.settings import DISCRIMINANT

    known = labels.subset(train)
    kernel = centre(gram, train, held_out, known.weight)
    heads = ClosedForms(kernel, known).path(DISCRIMINANT, STRENGTHS)
    return {
        strength: kernel.held_out @ head.alpha + head.intercept for strength, head in zip(STRENGTHS, heads, strict=True)
    }
