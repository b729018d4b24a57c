"""A study of one task: its features ranked, selected and judged, all comparisons with the same closed-form head."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from head2toe.benchmark.experiments.laboratory import Laboratory, TaskRows
from head2toe.benchmark.experiments.scaling import Scaling, damped
from head2toe.benchmark.experiments.scorers import Question, Scorer, group_lasso
from head2toe.benchmark.experiments.settings import Settings
from head2toe.benchmark.standard_error import standard_error
from head2toe.benchmark.tasks import Task
from head2toe.probes.columns import LINEAR_VIEW
from head2toe.probes.folds import stratified_folds
from head2toe.probes.heads import LinearHead, head_from_dual
from head2toe.probes.kernels import centre
from head2toe.probes.least_squares import indicators, ridge_path
from head2toe.probes.ranking import top
from head2toe.probes.settings import RIDGE_STRENGTHS

Option = TypeVar("Option", bound=Hashable)
Select = Callable[[np.ndarray], Mapping[Option, np.ndarray]]
"""From training row numbers to the columns that each option keeps."""
JUDGED = ("features", "strength", "cv_accuracy", "accuracy", "standard_error")  # the last columns of every row


@dataclass(frozen=True)
class Judged:
    """What one option gives.

    Attributes
    ----------
    kept : int64 array (K,)
        Columns selected on all training rows.
    strength : float
        Ridge strength with the best cross-validated accuracy.
    cv_accuracy : float
        In per cent; selection is repeated inside each fold.
    """

    kept: np.ndarray
    strength: float
    cv_accuracy: float


class TaskStudy:
    """One task.

    Parameters
    ----------
    rows : TaskRows
    settings : Settings
    scaling : callable
        From rows to scaled ones: see `scaling.SCALINGS`.
    """

    def __init__(self, rows: TaskRows, settings: Settings, scaling: Scaling = damped) -> None:
        self.rows, self.settings, self.columns = rows, settings, rows.columns
        self.z = scaling(rows)
        self.y = torch.from_numpy(rows.y)
        self.targets = indicators(self.y, rows.classes)
        self.everything = np.arange(len(rows.y))
        self.folds = stratified_folds(rows.y, min(settings.folds, len(rows.y)), random_state=settings.seed)
        self._grams: dict[str, torch.Tensor] = {}
        self._ranked: dict[tuple[str, Scorer, bytes], np.ndarray] = {}
        self._by_fraction: dict[tuple[str, Scorer], dict[float, Judged]] = {}

    def view_gram(self, view: str) -> torch.Tensor:
        """Gram matrix of all columns of a view, float32 (n, n)."""
        if view not in self._grams:
            self._grams[view] = self.z.gram(self.columns.indices(view))
        return self._grams[view]

    def rank(self, train: np.ndarray, view: str | None = None, scorer: Scorer = group_lasso) -> np.ndarray:
        """Scores of a view's columns, from some training rows alone, float64 (K,); computed once."""
        view = view or self.settings.view
        key = (view, scorer, train.tobytes())
        if key not in self._ranked:
            self._ranked[key] = self._score(train, view, scorer)
        return self._ranked[key]

    def _score(self, train: np.ndarray, view: str, scorer: Scorer) -> np.ndarray:
        question = Question(
            self.z,
            self.columns.indices(view),
            self.columns.block_of(view),
            train,
            self.targets[torch.from_numpy(train)],
            self.view_gram(view),
            self.settings.seed,
        )
        return scorer(question)

    def fractions(self, view: str | None = None, scorer: Scorer = group_lasso) -> Select[float]:
        """Keep each of the settings' fractions of a view."""
        name = view or self.settings.view

        def select(train: np.ndarray) -> dict[float, np.ndarray]:
            scores = self.rank(train, name, scorer)
            return {f: self.columns.indices(name)[top(scores, f)] for f in self.settings.fractions}

        return select

    def by_fraction(self, view: str | None = None, scorer: Scorer = group_lasso) -> dict[float, Judged]:
        """Judge each of the settings' fractions of a view; computed once."""
        key = (view or self.settings.view, scorer)
        if key not in self._by_fraction:
            self._by_fraction[key] = self.judge(self.fractions(*key))
        return self._by_fraction[key]

    def linear(self) -> Judged:
        """The linear probe on the last layer."""
        columns = self.columns.indices(LINEAR_VIEW)
        return self.judge(lambda _: {0: columns})[0]

    def judge(self, select: Select[Option]) -> dict[Option, Judged]:
        """Choose each option's ridge strength by cross-validation, with selection inside the folds."""
        right: dict[tuple[Option, float], int] = {}
        seen = 0
        for fold in self.folds:
            seen += len(fold.held_out)
            for option, kept in select(fold.train).items():
                for strength, count in self._right(kept, fold.train, fold.held_out).items():
                    right[option, strength] = right.get((option, strength), 0) + count
        found = {}
        for option, kept in select(self.everything).items():
            strength = max(reversed(RIDGE_STRENGTHS), key=lambda s: right[option, s])
            found[option] = Judged(kept, strength, 100 * right[option, strength] / seen)
        return found

    def _right(self, kept: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> dict[float, int]:
        """Held-out rows that each strength gets right."""
        weight = torch.ones(len(train), dtype=torch.float64)
        kernel = centre(self._gram(kept), train, held_out, weight)
        truth = self.y[torch.from_numpy(held_out)]
        solutions = ridge_path(kernel.train, self.targets[torch.from_numpy(train)], weight, RIDGE_STRENGTHS)
        logits = (kernel.held_out @ solution.alpha + solution.intercept for solution in solutions)
        return {s: int((l.argmax(dim=1) == truth).sum()) for s, l in zip(RIDGE_STRENGTHS, logits, strict=True)}

    def _gram(self, kept: np.ndarray) -> torch.Tensor:
        whole = next((v for v in self._grams if self.columns.width(v) == len(kept)), None)
        if whole is not None and np.array_equal(self.columns.indices(whole), kept):
            return self._grams[whole]
        return self.z.gram(kept)

    def head(self, judged: Judged) -> LinearHead:
        """The head of an option, fitted on all training rows."""
        weight = torch.ones(len(self.y), dtype=torch.float64)
        kernel = centre(self._gram(judged.kept), self.everything, self.everything[:0], weight)
        solution = ridge_path(kernel.train, self.targets, weight, (judged.strength,))[0]
        return head_from_dual(self.z, judged.kept, solution, self.everything, weight, kernel.unit)

    def test_accuracy(self, judged: Judged) -> float:
        """Accuracy on the test images, in per cent."""
        head = self.head(judged)
        right = 0
        for start in range(0, len(self.rows.test), 500):
            kept = torch.from_numpy(self.rows.test[start : start + 500][:, judged.kept])
            right += int((head.logits(kept).argmax(dim=1).numpy() == self.rows.y_test[start : start + 500]).sum())
        return 100 * right / len(self.rows.test)

    def row(self, judged: Judged, **more: object) -> dict[str, object]:
        """What every experiment writes down of an option: task, backbone, `more`, features, and accuracies."""
        accuracy = self.test_accuracy(judged)
        return self.row_of(judged, accuracy, 100 * standard_error(accuracy / 100, len(self.rows.test)), **more)

    def row_of(self, judged: Judged, accuracy: float, error: float, **more: object) -> dict[str, object]:
        """The same of another head than `head`: its accuracy on the test images and the standard error, in per cent."""
        figures = len(judged.kept), judged.strength, judged.cv_accuracy, accuracy, error
        mine = {"task": self.rows.task, "backbone": self.rows.backbone}
        return {**mine, **more, **dict(zip(JUDGED, figures, strict=True))}


def study_of(laboratory: Laboratory, task: Task, label: str | None = None, view: str | None = None) -> TaskStudy:
    """The study of a task, a backbone (the first) and a view (the first).

    Those of the first view are set up once for all experiments; of the others, which few experiments look at, all
    together would fill memory.
    """
    wanted = view or laboratory.settings.view

    def study() -> TaskStudy:
        return TaskStudy(laboratory.rows(task, label).restricted_to([wanted]), laboratory.settings)

    if wanted != laboratory.settings.view:
        return study()
    return laboratory.once(("study", task.name, label or laboratory.backbone), study)


def best(judged: Mapping[Option, Judged]) -> Option:
    """The option with the best cross-validated accuracy; of equals the one with the fewest features."""
    return max(judged, key=lambda option: (judged[option].cv_accuracy, -len(judged[option].kept)))
