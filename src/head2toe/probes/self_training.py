"""Self-training: a teacher fitted on labelled rows says what unlabelled rows are, and a student learns from both.

The idea is Scudder's (1965); the labels are soft, as in knowledge distillation (Hinton et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.discriminant import discriminant
from head2toe.probes.kernels import FoldKernel, centre
from head2toe.probes.least_squares import DualSolution, KernelRidge

MOST_UNLABELLED = 2000  # kernels have a row for each: of more, a random sample is used


@dataclass(frozen=True)
class Labels:
    """Classes of n labelled rows.

    Attributes
    ----------
    y : Tensor (n,) int64
    targets : Tensor (n, c) float64
        Indicators of y.
    weight : Tensor (n,) float64
        Mean one.
    """

    y: torch.Tensor
    targets: torch.Tensor
    weight: torch.Tensor

    def of(self, rows: np.ndarray) -> Labels:
        """Those of some rows."""
        weight = self.weight[rows]
        return Labels(self.y[rows], self.targets[rows], weight / weight.mean())


class Student:
    """Discriminants on labelled rows and on unlabelled ones that a teacher has labelled.

    An unlabelled row weighs as much as the average labelled one.

    Parameters
    ----------
    gram : Tensor (n + u, n + u)
        Of the chosen features, labelled rows first.
    train, held_out, unlabelled : int64 arrays
        Row numbers; `unlabelled` lie behind the labelled ones.
    labels : Labels of all n labelled rows
        Those of `train` alone are used.
    soft : Tensor (u, c) float64
        What the teacher, fitted on `train`, says of the unlabelled rows: class probabilities.
    """

    def __init__(
        self,
        gram: torch.Tensor,
        train: np.ndarray,
        held_out: np.ndarray,
        unlabelled: np.ndarray,
        labels: Labels,
        soft: torch.Tensor,
    ) -> None:
        own = labels.of(train)
        self.rows = np.concatenate([train, unlabelled])
        self.targets = torch.cat([own.targets, soft])
        self.y = torch.cat([own.y, soft.argmax(dim=1)])
        weight = torch.cat([own.weight, torch.ones(len(unlabelled), dtype=torch.float64)])
        self.weight = weight / weight.mean()
        self.kernel: FoldKernel = centre(gram, self.rows, held_out, self.weight)
        self.ridge = KernelRidge(self.kernel.train, self.targets, self.weight)

    def solve(self, strength: float) -> DualSolution:
        """The discriminant on the outputs of a ridge regression."""
        left_out = self.targets - self.ridge.leave_one_out(strength)
        return discriminant(self.ridge.solve(strength), left_out, self.y, self.targets, self.weight)


def sampled(X: np.ndarray, random_state: int) -> np.ndarray:
    """At most `MOST_UNLABELLED` of the rows, drawn at random, in their order."""
    if len(X) <= MOST_UNLABELLED:
        return X
    return X[np.sort(np.random.default_rng(random_state).permutation(len(X))[:MOST_UNLABELLED])]
