"""Other ways to teach a head its classes: ordered codes, class means, and smoothed labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.kernels import STRENGTHS, Tried, cross_validated, held_out_logits

FRACTIONS = (0.03, 1.0)
SOFTENED = (1e-3, 1e-4, 1e-5)  # ridge strengths of logistic heads
SMOOTHINGS = (0.0, 0.05, 0.1, 0.2)


def table(X: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Cross-validated accuracy on features ranked with learned layer weights: a row a head, view, fraction, strength.

    Codes take the classes in the order of their labels. Logistic heads are fitted on the whole view of statistics.
    """

    def tried(selector: Any, view: str, fold: Any) -> Iterator[Tried]:
        ranking = selector.rank(view, "learned", fold.train)
        for fraction in FRACTIONS:
            gram = selector.gram(view, ranking, fraction).double()
            smooth = view == "statistics" and fraction == 1
            for head, strength, logits in heads(gram, fold, selector.labels, smooth=smooth):
                right = (logits.argmax(dim=1) == selector.labels.y[fold.held_out]).double().mean()
                yield head, fraction, strength, float(right)

    return cross_validated(X, y, columns, "head", tried)


def heads(gram: torch.Tensor, fold: Any, labels: Any, *, smooth: bool) -> Iterator[tuple[str, float, torch.Tensor]]:
    """Name, strength and held-out logits (v, c) of every head; all are linear in the features."""
    from head2toe.probes.kernels import centre
    from head2toe.probes.least_squares import KernelRidge

    y, targets = labels.y, labels.targets
    for strength, logits in held_out_logits(gram, fold.train, fold.held_out, labels).items():
        yield "discriminant", strength, logits
    one = torch.ones(len(fold.train), dtype=torch.float64)
    kernel = centre(gram, fold.train, fold.held_out, one)
    codes = codewords(targets.shape[1])
    for name, code in {"least squares": None, **codes}.items():
        known = targets[fold.train] if code is None else code[y[fold.train]]
        ridge = KernelRidge(kernel.train, known, one)
        for strength in STRENGTHS:
            solution = ridge.solve(strength)
            says = kernel.held_out @ solution.alpha + solution.intercept
            yield name, strength, says if code is None else nearest(says, code)
    yield "class means", 0.0, class_means(kernel, targets[fold.train])
    if smooth:
        for smoothing in SMOOTHINGS:
            name = f"logistic, labels smoothed by {smoothing:g}" if smoothing else "logistic"
            for strength, logits in logistic(kernel, y[fold.train], targets.shape[1], smoothing):
                yield name, strength, logits


def codewords(classes: int) -> dict[str, torch.Tensor]:
    """Codes (c, bits) in which neighbours in the order of the classes are near.

    A discriminant on the ordinal code is the discriminant on indicators: each is a linear map of the other.
    """
    number = torch.arange(classes, dtype=torch.float64)[:, None]
    return {
        "least squares, ordinal code": (number > torch.arange(classes - 1)).double(),
        "least squares, the class as a number": number,
    }


def nearest(outputs: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """Logits (v, c) that are largest at the nearest codeword; linear in the outputs (v, bits)."""
    return outputs @ code.T - code.square().sum(dim=1) / 2


def class_means(kernel: Any, targets: torch.Tensor) -> torch.Tensor:
    """Logits (v, c) that are largest at the nearest class mean ("prototypes"): ``<z, m> - ||m||^2 / 2``.

    A class without a training row is never the nearest.
    """
    count = targets.sum(dim=0)
    share = targets / count.clamp_min(1)
    logits = kernel.held_out @ share - (share * (kernel.train @ share)).sum(dim=0) / 2
    return logits.masked_fill(count == 0, -torch.inf)


def logistic(kernel: Any, y: torch.Tensor, classes: int, smoothing: float) -> Iterator[tuple[float, torch.Tensor]]:
    """Strength and held-out logits of softmax regression with smoothed labels, each started from the one before."""
    values, vectors = torch.linalg.eigh(kernel.train)
    kept = values > 1e-10 * values[-1]
    roots = values[kept].sqrt()
    scores, held_out = vectors[:, kept] * roots, kernel.held_out @ (vectors[:, kept] / roots)
    coef = torch.zeros(len(roots), classes, dtype=torch.float64, requires_grad=True)
    intercept = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    for strength in SOFTENED:
        solver = torch.optim.LBFGS([coef, intercept], max_iter=100, line_search_fn="strong_wolfe")

        def loss(strength: float = strength, solver: torch.optim.LBFGS = solver) -> torch.Tensor:
            solver.zero_grad()
            logits = scores @ coef + intercept
            value = torch.nn.functional.cross_entropy(logits, y, label_smoothing=smoothing)
            value = value + strength / 2 * coef.square().sum()
            value.backward()
            return value

        solver.step(loss)  # type: ignore[arg-type]
        yield strength, (held_out @ coef + intercept).detach()
