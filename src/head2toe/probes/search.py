"""From rows and labels to the chosen probe: every candidate is scored, selected and judged inside the folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from head2toe.probes.columns import LINEAR_VIEW, Columns
from head2toe.probes.evidence import Evidence
from head2toe.probes.folds import Fold, stratified_folds
from head2toe.probes.heads import LinearHead, head_from_dual
from head2toe.probes.kernels import FoldKernel, centre
from head2toe.probes.least_squares import DualSolution, KernelRidge, indicators
from head2toe.probes.logistic import KernelLogistic
from head2toe.probes.ranking import group_lasso_scores, top
from head2toe.probes.standardised import Standardised

FRACTIONS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
RIDGE = tuple(float(s) for s in np.geomspace(1e-4, 10, 6))
LOGISTIC = tuple(float(s) for s in np.geomspace(0.3, 1e-5, 8))  # strong to weak: each starts from the one before
FEW_IMAGES, REPEATS = 200, 3
FINALISTS = 3
LEAST_SQUARES, CROSS_ENTROPY = "least squares", "logistic"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SearchSettings:
    """What the search may choose among.

    Attributes
    ----------
    views : tuple of str or None
        Views of the columns to try; None: all but the linear one.
    fractions : tuple of float or None
        Shares F in (0, 1] of a view's features to keep; None: `FRACTIONS`.
    strengths : tuple of float or None
        Ridge strengths of the logistic head, relative to a kernel of mean diagonal one; None: `LOGISTIC`.
    folds, repeats : int
        Cross-validation. None: three repeats for fewer than 200 images, else one.
    random_state : int
    """

    views: tuple[str, ...] | None = None
    fractions: tuple[float, ...] | None = None
    strengths: tuple[float, ...] | None = None
    folds: int = 5
    repeats: int | None = None
    random_state: int = 0


@dataclass(frozen=True)
class Candidate:
    """One configuration: which features, which head, how strongly regularised."""

    view: str
    fraction: float
    head: str
    strength: float


@dataclass(frozen=True)
class SearchResult:
    """The chosen probe, the linear probe beside it, and the table of all that was tried.

    Attributes
    ----------
    head, linear : LinearHead
    choice : dict
        The chosen row of the table.
    table : list of dict
        A row a candidate (its best strength): view, fraction, features, head, strength, cv_accuracy, cv_log_loss.
    cv_accuracy, linear_cv_accuracy : float
        Cross-validated accuracy in [0, 1].
    scores : dict of str to array
        Relevance scores of the chosen view's features on all rows; empty when the linear probe was chosen.
    """

    head: LinearHead
    linear: LinearHead
    choice: dict
    table: list[dict]
    cv_accuracy: float
    linear_cv_accuracy: float


def search(
    X: np.ndarray,
    y: np.ndarray,
    columns: Columns,
    *,
    settings: SearchSettings | None = None,
    sample_weight: np.ndarray | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Choose view, fraction, head and strength by cross-validation, with scoring inside each fold, then fit on all rows.

    Parameters
    ----------
    X : float32 array or memmap (n, d)
    y : int64 array (n,)
        Class numbers 0..c-1, every class present.
    columns : Columns
    settings : SearchSettings, optional
    sample_weight : array (n,), optional
        Positive weights of rows, used in every fit and in every cross-validated figure.
    progress : callable(done, total, text), optional
    """
    return _Search(X, y, columns, settings or SearchSettings(), sample_weight, progress).run()


class _Search:
    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        columns: Columns,
        settings: SearchSettings,
        sample_weight: np.ndarray | None,
        progress: Progress | None,
    ) -> None:
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.weight = torch.from_numpy(weight / weight.mean())
        self.rows = Standardised(X, weight)
        self.y = torch.from_numpy(np.asarray(y, np.int64))
        self.classes = int(self.y.max()) + 1
        self.targets = indicators(self.y, self.classes)
        self.columns = columns
        self.views = settings.views or columns.candidate_views()
        self.fractions = tuple(sorted(settings.fractions or FRACTIONS))
        self.strengths = tuple(sorted(settings.strengths or LOGISTIC, reverse=True))
        repeats = settings.repeats or (REPEATS if len(y) < FEW_IMAGES else 1)
        self.folds = stratified_folds(y, settings.folds, repeats=repeats, random_state=settings.random_state)
        self.everything = np.arange(len(y))
        self.grams: dict[str, torch.Tensor] = {}
        self.scores: dict[tuple[str, int], np.ndarray] = {}
        self.evidence: dict[Candidate, Evidence] = {}
        self.report = progress or (lambda done, total, text: None)

    def run(self) -> SearchResult:
        self._gram_of_views()
        self._screen()
        self._judge_finalists()
        return self._fit_chosen()

    def _gram_of_views(self) -> None:
        for view in (LINEAR_VIEW, *self.views):
            self.grams[view] = self.rows.gram(self.columns.indices(view))

    def _screen(self) -> None:
        """Judge every view and fraction by its least squares head, which is closed form."""
        total = len(self.folds) * len(self.views)
        for f, fold in enumerate(self.folds):
            for v, view in enumerate(self.views):
                self.scores[view, f] = self._score(view, fold.train)
                for fraction, gram in self._selected_grams(view, self.scores[view, f]):
                    self._try_least_squares(view, fraction, gram, fold)
                self.report(f * len(self.views) + v + 1, total, f"fold {f + 1}/{len(self.folds)}, {view}")

    def _score(self, view: str, train: np.ndarray) -> np.ndarray:
        indices = self.columns.indices(view)
        targets, weight = self.targets[train], self.weight[train]
        return group_lasso_scores(self.rows, indices, train, targets, weight, RIDGE, self.grams[view])

    def _selected_grams(self, view: str, scores: np.ndarray) -> Iterator[tuple[float, torch.Tensor]]:
        """Gram matrices of the kept features, one a fraction, each the one before plus what is new in it."""
        indices = self.columns.indices(view)
        total, before = torch.zeros(self.rows.n, self.rows.n), np.empty(0, np.int64)
        for fraction in self.fractions:
            if fraction == 1:
                yield fraction, self.grams[view]
                continue
            kept = top(scores, fraction)
            new = np.setdiff1d(kept, before, assume_unique=True)
            if len(new):
                total = total + self.rows.gram(indices[new])
            before = kept
            yield fraction, total

    def _try_least_squares(self, view: str, fraction: float, gram: torch.Tensor, fold: Fold) -> None:
        kernel = self._kernel(gram, fold)
        ridge = KernelRidge(kernel.train, self.targets[fold.train], self.weight[fold.train])
        for strength in RIDGE:
            self._record(Candidate(view, fraction, LEAST_SQUARES, strength), kernel, ridge.solve(strength), fold)

    def _judge_finalists(self) -> None:
        """Add the logistic head's evidence for the best few configurations, and for the linear probe."""
        finalists = self._finalists()
        jobs = [(LINEAR_VIEW, 1.0), *finalists]
        for j, (view, fraction) in enumerate(jobs):
            for f, fold in enumerate(self.folds):
                self._try_logistic(view, fraction, self._gram(view, fraction, f), fold)
            self.report(j + 1, len(jobs), f"heads, {view}, F = {fraction:g}")

    def _finalists(self) -> list[tuple[str, float]]:
        best: dict[tuple[str, float], float] = {}
        for candidate, evidence in self.evidence.items():
            key = (candidate.view, candidate.fraction)
            best[key] = max(best.get(key, 0.0), evidence.accuracy(self.y, self.weight))
        return sorted(best, key=lambda key: -best[key])[:FINALISTS]

    def _try_logistic(self, view: str, fraction: float, gram: torch.Tensor, fold: Fold) -> None:
        kernel = self._kernel(gram, fold)
        path = KernelLogistic(kernel.train, self.y[fold.train], self.classes, self.weight[fold.train])
        for strength in self.strengths:
            self._record(Candidate(view, fraction, CROSS_ENTROPY, strength), kernel, path.solve(strength), fold)

    def _gram(self, view: str, fraction: float, fold: int) -> torch.Tensor:
        if fraction == 1:
            return self.grams[view]
        indices = self.columns.indices(view)
        return self.rows.gram(indices[top(self.scores[view, fold], fraction)])

    def _kernel(self, gram: torch.Tensor, fold: Fold) -> FoldKernel:
        return centre(gram, fold.train, fold.held_out, self.weight[fold.train])

    def _record(self, candidate: Candidate, kernel: FoldKernel, solution: DualSolution, fold: Fold) -> None:
        evidence = self.evidence.setdefault(candidate, Evidence())
        evidence.add(fold.held_out, kernel.held_out @ solution.alpha + solution.intercept)

    def _fit_chosen(self) -> SearchResult:
        table = self._table()
        linear = max((row for row in table if row["view"] == LINEAR_VIEW), key=_merit)
        choice = max(table, key=_merit)
        heads = [self._fit(_candidate(row)) for row in (choice, linear)]
        return SearchResult(heads[0], heads[1], choice, table, choice["cv_accuracy"], linear["cv_accuracy"])

    def _table(self) -> list[dict]:
        """One row for each view, fraction and head, at its best strength."""
        rows = [self._row(candidate, evidence) for candidate, evidence in self.evidence.items()]
        best: dict[tuple, dict] = {}
        for row in rows:
            key = (row["view"], row["fraction"], row["head"])
            if key not in best or _merit(row) > _merit(best[key]):
                best[key] = row
        return sorted(best.values(), key=_merit, reverse=True)

    def _row(self, candidate: Candidate, evidence: Evidence) -> dict:
        scale = evidence.calibration(self.y, self.weight) if candidate.head == LEAST_SQUARES else 1.0
        return {
            "view": candidate.view,
            "fraction": candidate.fraction,
            "features": max(1, int(np.ceil(candidate.fraction * self.columns.width(candidate.view)))),
            "head": candidate.head,
            "strength": candidate.strength,
            "scale": scale,
            "cv_accuracy": evidence.accuracy(self.y, self.weight),
            "cv_log_loss": evidence.log_loss(self.y, self.weight, scale),
        }

    def _fit(self, candidate: Candidate) -> LinearHead:
        """The head of one candidate, scored, selected and fitted on all rows."""
        indices = self.columns.indices(candidate.view)
        gram = self.grams[candidate.view]
        if candidate.fraction < 1:
            indices = indices[top(self._score(candidate.view, self.everything), candidate.fraction)]
            gram = self.rows.gram(indices)
        kernel = centre(gram, self.everything, self.everything[:0], self.weight)
        solution = self._solve(candidate, kernel)
        head = head_from_dual(self.rows, np.sort(indices), solution, self.everything, self.weight, kernel.unit)
        return self._calibrated(head, candidate)

    def _solve(self, candidate: Candidate, kernel: FoldKernel) -> DualSolution:
        if candidate.head == LEAST_SQUARES:
            return KernelRidge(kernel.train, self.targets, self.weight).solve(candidate.strength)
        return KernelLogistic(kernel.train, self.y, self.classes, self.weight).solve(candidate.strength)

    def _calibrated(self, head: LinearHead, candidate: Candidate) -> LinearHead:
        """Scale a least squares head so that the softmax of its logits is a probability one can trust."""
        if candidate.head != LEAST_SQUARES:
            return head
        scale = self.evidence[candidate].calibration(self.y, self.weight)
        return replace(head, coef=head.coef * scale, intercept=head.intercept * scale)


def _candidate(row: dict) -> Candidate:
    return Candidate(row["view"], row["fraction"], row["head"], row["strength"])


def _merit(row: dict) -> tuple[float, float]:
    """Larger is better: accuracy, then the smaller model."""
    return (round(row["cv_accuracy"], 9), -row["features"], -row["cv_log_loss"])
