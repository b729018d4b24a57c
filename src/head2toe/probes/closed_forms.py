"""Heads in closed form on some rows: all of them from one eigendecomposition of the rows' kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.discriminant import discriminant
from head2toe.probes.kernels import FoldKernel
from head2toe.probes.least_squares import DualSolution, KernelRidge
from head2toe.probes.settings import DISCRIMINANT, DISTILLED, LEAST_SQUARES, RIDGE


@dataclass(frozen=True)
class Labels:
    """Classes of n rows.

    Attributes
    ----------
    y : Tensor (n,) int64
    targets : Tensor (n, c) float64
        Indicators of y, or class probabilities.
    weight : Tensor (n,) float64
        Mean one.
    groups : int64 array (n,) or None
        Which rows belong together; None: each stands alone.
    """

    y: torch.Tensor
    targets: torch.Tensor
    weight: torch.Tensor
    groups: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> Labels:
        """Those of some rows."""
        weight = self.weight[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Labels(self.y[rows], self.targets[rows], weight / weight.mean(), groups)

    def with_soft(self, probabilities: torch.Tensor) -> Labels:
        """Below these rows u others with class probabilities (u, c), each of weight one and alone."""
        groups, weight = self.groups, torch.cat([self.weight, torch.ones(len(probabilities), dtype=torch.float64)])
        if groups is not None:
            groups = np.concatenate([groups, groups.max() + 1 + np.arange(len(probabilities))])
        return Labels(
            torch.cat([self.y, probabilities.argmax(dim=1)]),
            torch.cat([self.targets, probabilities]),
            weight / weight.mean(),
            groups,
        )


class ClosedForms:
    """What the training rows of a kernel say, by each of the heads in closed form.

    Parameters
    ----------
    kernel : FoldKernel
        Centred with the weights of `labels`.
    labels : Labels
        Of its training rows.
    """

    def __init__(self, kernel: FoldKernel, labels: Labels) -> None:
        self.kernel, self.labels = kernel, labels
        self.ridge = KernelRidge(kernel.train, labels.targets, labels.weight, kernel.rank, labels.groups)

    def solve(self, head: str, strength: float, lesson: torch.Tensor | None = None) -> DualSolution:
        """One head; a distilled one needs a lesson, float64 (m, c): what it is to say of the training rows."""
        return self.path(head, (strength,), lesson)[0]

    def path(self, head: str, strengths: tuple[float, ...], lesson: torch.Tensor | None = None) -> list[DualSolution]:
        """One head at several strengths."""
        if head == DISTILLED:
            assert lesson is not None
            return self.ridge.taught(lesson).path(strengths)
        fitted = self.ridge.path(strengths)
        if head == LEAST_SQUARES:
            return fitted
        known = self.labels
        left_out = [self.ridge.left_out_outputs(*one) for one in zip(strengths, fitted, strict=True)]
        return [
            discriminant(solution, outputs, known.y, known.targets, known.weight, known.groups)
            for solution, outputs in zip(fitted, left_out, strict=True)
        ]

    def lesson(self) -> torch.Tensor:
        """What a discriminant says of the training rows, float64 (m, c), at the strength of the least error."""
        teacher = self.solve(DISCRIMINANT, self.ridge.best_strength(RIDGE))
        return self.kernel.train @ teacher.alpha + teacher.intercept
