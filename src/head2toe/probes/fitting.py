"""From a candidate to its head: the columns it keeps, their kernel on a fold's rows, and what is fitted to that."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from head2toe.probes.closed_forms import ClosedForms
from head2toe.probes.columns import LINEAR_VIEW, Columns
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.folds import Fold
from head2toe.probes.gram_bank import GramBank
from head2toe.probes.heads import LinearHead, head_from_dual
from head2toe.probes.kernels import FoldKernel, centre
from head2toe.probes.labels import Labels
from head2toe.probes.logistic import KernelLogistic
from head2toe.probes.ranking import Ranking, number_of, top
from head2toe.probes.selector import Selector
from head2toe.probes.self_training import Student, sample
from head2toe.probes.settings import DISTILLED, LOGISTIC, LOGISTIC_STRENGTHS, Candidate, Features, SearchSettings
from head2toe.probes.standardised import Joined, Standardised


@dataclass(frozen=True)
class Kept:
    """Columns that a candidate keeps, (K,), and the prior variance of each; None: all alike."""

    indices: np.ndarray
    importance: np.ndarray | None


@dataclass(frozen=True)
class Teacher:
    """The head that says of what class unlabelled rows are, and what its logits are multiplied by to be calibrated."""

    candidate: Candidate
    scale: float


class Fitting:
    """Fits candidates on the training rows of folds, and on all rows.

    Parameters
    ----------
    rows : Standardised (n, d)
    labels : Labels
        Of all n rows.
    columns : Columns
    settings : SearchSettings
    unlabelled : float32 array or memmap (u, d), optional

    Attributes
    ----------
    joined : Joined or None
        All rows, and below them unlabelled ones.
    whole : Fold
        All rows, none held out.
    """

    def __init__(
        self,
        rows: Standardised,
        labels: Labels,
        columns: Columns,
        settings: SearchSettings,
        unlabelled: np.ndarray | None = None,
    ) -> None:
        self.rows, self.labels, self.columns = rows, labels, columns
        self.strengths = tuple(sorted(settings.strengths or LOGISTIC_STRENGTHS, reverse=True))
        everything = np.arange(rows.n)
        self.whole = Fold(everything, everything[:0])
        self.selector = Selector(rows, GramBank(rows, columns, settings.random_state), labels)
        self.joined = None
        if unlabelled is not None and len(unlabelled):
            self.joined = Joined(rows, unlabelled, sample(len(unlabelled), settings.random_state))
        self._rankings: dict[tuple[str, str, Fold], Ranking] = {}

    def ranking(self, features: Features, fold: Fold) -> Ranking:
        """As found on a fold's training rows; of the linear view all features are as good."""
        if features.view == LINEAR_VIEW:
            return Ranking(np.empty(0))
        key = *features.way, fold
        if key not in self._rankings:
            self._rankings[key] = self.selector.rank(*features.way, fold.train)
        return self._rankings[key]

    def gram(self, features: Features, fold: Fold) -> torch.Tensor:
        """Gram matrix of the features that rank best on a fold's training rows, float32 (n, n)."""
        return self.selector.gram(features.view, self.ranking(features, fold), features.fraction)

    def kernel(self, features: Features, fold: Fold, gram: torch.Tensor | None = None) -> FoldKernel:
        """What a fold may see of their Gram matrix (n, n), which is made where it is None."""
        gram = self.gram(features, fold) if gram is None else gram
        count = number_of(features.fraction, self.columns.width(features.view))
        return centre(gram, fold.train, fold.held_out, self.labels.weight[fold.train], count)

    def logistic(self, kernel: FoldKernel, fold: Fold) -> KernelLogistic:
        """The path of logistic heads on a fold's training rows."""
        known = self.labels.subset(fold.train)
        return KernelLogistic(kernel.train, known.y, known.targets.shape[1], known.weight, kernel.rank)

    def student(self, teacher: Teacher, fold: Fold) -> Student:
        """What learns from a teacher; both see a fold's training rows alone, and the unlabelled ones."""
        joined, candidate = self.joined, teacher.candidate
        assert joined is not None
        kept = self._kept(candidate.features, fold)
        gram = joined.gram(kept.indices, kept.importance)
        kernel = centre(gram, fold.train, joined.added, self.labels.weight[fold.train], len(kept.indices))
        solution = self._solve(candidate, kernel, fold)
        soft = torch.softmax(teacher.scale * (kernel.held_out @ solution.alpha + solution.intercept), dim=1)
        return Student(gram, fold.train, fold.held_out, joined.added, self.labels, soft, len(kept.indices))

    def head(self, candidate: Candidate, teacher: Teacher | None = None) -> LinearHead:
        """The head of one candidate on all rows, neither calibrated nor rounded; with unlabelled rows, of a teacher."""
        kept = self._kept(candidate.features, self.whole)
        if candidate.unlabelled:
            assert self.joined is not None
            assert teacher is not None
            student = self.student(teacher, self.whole)
            solution, unit = student.solve(candidate.strength), student.kernel.unit
            rows, train, weight = self.joined, student.rows, student.labels.weight
        else:
            kernel = self.kernel(candidate.features, self.whole)
            solution, unit = self._solve(candidate, kernel, self.whole), kernel.unit
            rows, train, weight = self.rows, self.whole.train, self.labels.weight
        return head_from_dual(rows, kept.indices, solution, train, weight, unit, kept.importance)

    def _kept(self, features: Features, fold: Fold) -> Kept:
        indices, ranking = self.columns.indices(features.view), self.ranking(features, fold)
        if features.fraction == 1:
            return Kept(indices, ranking.importance)
        places = top(ranking.scores, features.fraction)
        return Kept(indices[places], None if ranking.importance is None else ranking.importance[places])

    def _solve(self, candidate: Candidate, kernel: FoldKernel, fold: Fold) -> DualSolution:
        """A candidate without unlabelled rows, on the training rows of a fold and of a kernel of its features."""
        if candidate.head == LOGISTIC:
            return self.logistic(kernel, fold).down_to(candidate.strength, self.strengths)
        known, lesson = self.labels.subset(fold.train), None
        if candidate.head == DISTILLED:
            everything = replace(candidate.features, fraction=1.0)
            lesson = ClosedForms(self.kernel(everything, fold), known).lesson()
        return ClosedForms(kernel, known).solve(candidate.head, candidate.strength, lesson)
