"""Layer weights by the gradient of the leave-one-out error: the rival of those by marginal likelihood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.kernels import Tried, accuracies, cross_validated

FRACTIONS = (0.03, 1.0)
STEPS, RATE = 25, 0.2  # of Adam, on the logarithms of the weights and of the strength
NOISE = 0.1  # the first strength, of a kernel with a mean diagonal of one


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant: a row a way to weigh layers, view, fraction and strength.

    Weights are learned on the training rows of a fold alone.
    """

    def tried(selector: Any, view: str, fold: Any) -> Iterator[Tried]:
        for name, ranking in rankings(selector, view, fold.train).items():
            for fraction in FRACTIONS:
                gram = selector.gram(view, ranking, fraction).double()
                for strength, accuracy in accuracies(gram, fold, selector.labels).items():
                    yield name, fraction, strength, accuracy

    return cross_validated(X, y, columns, "weights", tried)


def rankings(selector: Any, view: str, train: np.ndarray) -> dict[str, Any]:
    """A view's features as the search ranks them, with learned and equal weights, and by the rival."""
    return {
        "marginal likelihood": selector.rank(view, "learned", train),
        "leave-one-out gradient": by_leave_one_out(selector, view, train),
        "equal": selector.rank(view, "equal", train),
    }


def by_leave_one_out(selector: Any, view: str, train: np.ndarray) -> Any:
    """A view's features ranked with weights of the least leave-one-out error."""
    from head2toe.probes.ranking import Ranking

    grams, columns = selector.bank.grams_of_view(view), selector.bank.columns
    weights, alpha = learn(grams, train, selector.labels.targets)
    dual = torch.zeros(selector.rows.n, alpha.shape[1], dtype=torch.float64)
    dual[torch.from_numpy(train)] = alpha
    importance = weights.numpy()[columns.block_of(view)]
    norms = selector.rows.project(columns.indices(view), dual).norm(dim=1).double().numpy()
    return Ranking(importance * norms, importance, weights)


def learn(grams: Any, train: np.ndarray, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (blocks,) and dual coefficients (m, c) after some steps of Adam on the leave-one-out error."""
    rows = torch.from_numpy(train)
    y = targets[rows] - targets[rows].mean(dim=0)
    diagonal = grams.diagonals()[:, rows].double().mean(dim=1)
    live = diagonal > 0
    start = torch.where(live, 1 / (live.sum() * diagonal.clamp_min(1e-300)), 1e-300).log()
    logs = torch.cat([start, torch.tensor([NOISE], dtype=torch.float64).log()]).requires_grad_()
    adam = torch.optim.Adam([logs], lr=RATE)
    for _ in range(STEPS):
        logs.grad = gradient(grams, rows, y, logs.detach())
        adam.step()
    weights, strength = logs.detach()[:-1].exp() * live, logs.detach()[-1].exp()
    inverse = _inverse(grams, rows, weights, strength)
    return weights / (weights @ diagonal), (inverse @ y - (inverse @ y).mean(dim=0))


def error(grams: Any, rows: torch.Tensor, y: torch.Tensor, logs: torch.Tensor) -> float:
    """``mean_i ||y_i - f_{-i}(z_i)||^2`` of kernel ridge regression, at logarithms of weights and strength."""
    inverse = _inverse(grams, rows, logs[:-1].exp(), logs[-1].exp())
    return float((inverse @ y / inverse.diagonal()[:, None]).square().sum(dim=1).mean())


def gradient(grams: Any, rows: torch.Tensor, y: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
    """Of `error`, by the logarithms, (blocks + 1,).

    With ``C = K + s I``, ``A = C^-1 y``, ``q = diag(C^-1)`` and the errors ``e = A / q``, the derivative by C is
    ``2 / m (C^-1 diag(sum_c e^2 / q) C^-1 - C^-1 (e / q) A')``, of which the symmetric part counts.
    """
    weights, strength = logs[:-1].exp(), logs[-1].exp()
    inverse = _inverse(grams, rows, weights, strength)
    alpha, free = inverse @ y, inverse.diagonal()[:, None]
    left_out = alpha / free
    by_matrix = (inverse * (left_out.square() / free).sum(dim=1)) @ inverse - inverse @ (left_out / free) @ alpha.T
    by_matrix = (by_matrix + by_matrix.T) / len(y)
    by_strength = by_matrix.diagonal().sum()
    # The inner product with the centred Gram is that of the matrix, centred, with the Gram itself.
    by_matrix = by_matrix - by_matrix.mean(dim=0) - by_matrix.mean(dim=1, keepdim=True) + by_matrix.mean()
    full = torch.zeros(grams.n, grams.n)
    full[rows[:, None], rows[None, :]] = by_matrix.float()
    return torch.cat([weights * grams.inner(full[None])[0], (strength * by_strength)[None]])


def _inverse(grams: Any, rows: torch.Tensor, weights: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """``(K + s I)^-1`` of the training rows' weighted and centred kernel."""
    from head2toe.probes.kernels import centred

    kernel = grams.weighted(weights)[rows][:, rows].double()
    share = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
    shifted = centred(kernel, share) + strength * torch.eye(len(rows), dtype=torch.float64)
    return torch.cholesky_inverse(torch.linalg.cholesky(shifted))
