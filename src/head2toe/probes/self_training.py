"""Self-training: a teacher fitted on labelled rows says what unlabelled rows are, and a student learns from both.

The idea is Scudder's (1965); the labels are soft, as in knowledge distillation (Hinton et al. 2015).
"""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.closed_forms import ClosedForms
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import centre
from head2toe.probes.labels import Labels
from head2toe.probes.settings import DISCRIMINANT

MOST_UNLABELLED = 2000  # kernels have a row for each: of more, a random sample is used


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
    rank : int, optional
        How many features were chosen.

    Attributes
    ----------
    rows : int64 array (m,)
        The rows learned from, in the order of `labels`, Labels (m,).
    kernel : FoldKernel
        Of these rows, and of those held out.
    """

    def __init__(
        self,
        gram: torch.Tensor,
        train: np.ndarray,
        held_out: np.ndarray,
        unlabelled: np.ndarray,
        labels: Labels,
        soft: torch.Tensor,
        rank: int | None = None,
    ) -> None:
        self.rows = np.concatenate([train, unlabelled])
        self.labels = labels.subset(train).with_soft(soft)
        self.kernel = centre(gram, self.rows, held_out, self.labels.weight, rank)
        self._heads = ClosedForms(self.kernel, self.labels)

    def solve(self, strength: float) -> DualSolution:
        """The discriminant on the outputs of a ridge regression."""
        return self._heads.solve(DISCRIMINANT, strength)


def sample(count: int, random_state: int) -> np.ndarray:
    """Numbers of the unlabelled rows to use, ascending: of `count` all, or `MOST_UNLABELLED` at random."""
    drawn = np.arange(count)
    if count > MOST_UNLABELLED:
        drawn = np.random.default_rng(random_state).permutation(count)[:MOST_UNLABELLED]
    return np.sort(drawn)
