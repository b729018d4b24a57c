"""Heads in closed form on some rows: all of them from one eigendecomposition of the rows' kernel."""

from __future__ import annotations

import torch

from head2toe.probes.discriminant import discriminant
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import FoldKernel
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge
from head2toe.probes.settings import DISCRIMINANT, DISTILLED, LEAST_SQUARES, RIDGE_STRENGTHS


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
        left_out = [self.ridge.left_out_outputs(*one) for one in zip(strengths, fitted, strict=True)]
        return [discriminant(*one, self.labels) for one in zip(fitted, left_out, strict=True)]

    def lesson(self) -> torch.Tensor:
        """What a discriminant says of the training rows, float64 (m, c), at the strength of the least error."""
        teacher = self.solve(DISCRIMINANT, self.ridge.best_strength(RIDGE_STRENGTHS))
        return self.kernel.train @ teacher.alpha + teacher.intercept
