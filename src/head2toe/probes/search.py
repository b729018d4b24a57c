"""From rows and labels to the chosen probe: every candidate is scored, selected and judged inside the folds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from head2toe.probes.clock import Clock
from head2toe.probes.closed_forms import ClosedForms
from head2toe.probes.columns import DEVIATIONS, Columns, deviates
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.fitting import Fitting, Teacher
from head2toe.probes.folds import Fold, stratified_folds
from head2toe.probes.heads import LinearHead, deviations_within, weighted_sum
from head2toe.probes.kept_grams import KeptGrams
from head2toe.probes.kernels import FoldKernel
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import indicators
from head2toe.probes.memory import trim
from head2toe.probes.paired import effective_images
from head2toe.probes.race import going_on, most_ways
from head2toe.probes.ranking import number_of
from head2toe.probes.self_training import Student
from head2toe.probes.settings import (
    DISCRIMINANT,
    DISTILLED,
    FRACTIONS,
    LEARNED,
    LINEAR,
    LOGISTIC,
    RIDGE_STRENGTHS,
    Candidate,
    Features,
    SearchResult,
    SearchSettings,
)
from head2toe.probes.standardised import Standardised
from head2toe.probes.standings import Standings
from head2toe.progress import Progress, silent

FINALISTS = 2
TAUGHT = 1  # of these, with unlabelled rows


def search(
    X: np.ndarray,
    y: np.ndarray,
    columns: Columns,
    *,
    settings: SearchSettings | None = None,
    sample_weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    unlabelled: np.ndarray | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Choose the features and the head by cross-validation, with scoring inside each fold, then fit on all rows.

    Every view, the narrow ones with deviations too, weighing of layers and fraction, and the penultimate features, are
    judged by heads in closed form: least squares and a discriminant on its outputs; shares below all features also by a
    head distilled from the discriminant that sees all features of the view. The two best, and the linear probe, are
    judged by a logistic head too; where there are unlabelled rows, the best and the linear probe's features also by
    heads that learn from them (`self_training`). `ballot.Ballot` says who wins, and `ensemble.EnsembleSelection` which
    others are averaged with the winner.

    Parameters
    ----------
    X : float32 array or memmap (n, d)
    y : int64 array (n,)
        Class numbers 0..c-1, every class present.
    columns : Columns
    settings : SearchSettings, optional
    sample_weight : array (n,), optional
        Positive weights of rows, used in every fit and in every cross-validated figure.
    groups : int64 array (n,), optional
        Rows of one number belong together (pictures of one object): they are never on both sides of a fold.
    unlabelled : float32 array or memmap (u, d), optional
        Rows of unknown class. They take no part in scoring features, and no part in the linear probe.
    progress : callable(done, total, text), optional

    Returns
    -------
    SearchResult

    Raises
    ------
    ParameterError
        Fewer than two folds, or more than rows or groups.
    """
    return _Search(X, y, columns, settings or SearchSettings(), sample_weight, groups, unlabelled, progress).run()


class _Search:
    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        columns: Columns,
        settings: SearchSettings,
        sample_weight: np.ndarray | None,
        groups: np.ndarray | None,
        unlabelled: np.ndarray | None,
        progress: Progress | None,
    ) -> None:
        self.clock = Clock(settings.seconds)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.views = settings.views or columns.candidate_views()
        self.deviating = settings.deviating_views(columns, len(y))
        self.rows = Standardised(X, weight, columns.spans(), deviations=bool(self.deviating))
        columns = columns.with_deviations(self.deviating, self.rows.d)
        numbers = torch.from_numpy(np.asarray(y, np.int64))
        targets = indicators(numbers, int(numbers.max()) + 1)
        self.labels = Labels(numbers, targets, torch.from_numpy(weight / weight.mean()), groups)
        self.columns = columns
        self.settings = settings
        self.fractions = tuple(sorted(settings.fractions or FRACTIONS))
        self.closed_forms = tuple(head for head in settings.heads if head != LOGISTIC)
        repeats, seed = settings.repeats_for(len(y)), settings.random_state
        self.folds = stratified_folds(y, settings.folds, groups=groups, repeats=repeats, random_state=seed)
        self.turn = settings.folds if repeats > 1 else 1  # folds between looks at who is far behind
        self.fitting = Fitting(self.rows, self.labels, columns, settings, unlabelled)
        self.kept_grams = KeptGrams(self.rows.n, len(self.folds), 4 * self.rows.n * self.rows.d)
        added = len(self.fitting.joined.added) if self.fitting.joined else 0
        self.standings = Standings(self.labels, columns, settings.folds, added)
        self.given_up: set[Features] = set()
        self.report = progress or silent

    def run(self) -> SearchResult:
        self._screen()
        self._judge_finalists()
        return self._fit_chosen()

    def _screen(self) -> None:
        """Judge every view, weighing of layers and fraction by the heads in closed form."""
        ways = self._ways()
        for f, fold in enumerate(self.folds):
            if self._penultimate_features_fit():
                penultimate = self.fitting.kernel(LINEAR, fold)
                self._try_closed_form(LINEAR, ClosedForms(penultimate, self.labels.subset(fold.train)), fold)
            later = len(self.folds) - f - 1
            for v, (view, weighing) in enumerate(ways):
                if v and self.clock.passes_left() < 1 + later:  # one way must pass the later folds too
                    ways = ways[:v]
                    break
                with self.clock.screening():
                    self._try_fractions(view, weighing, fold)
                    trim()
                done, total = f * len(ways) + v + 1, len(self.folds) * len(ways)
                self.report(done, total, f"fold {f + 1}/{len(self.folds)}, {view}, {weighing} layer weights")
            if (f + 1) % self.turn == 0 or self.clock.limited:
                ways = self._going_on(ways, self.folds[: f + 1])

    def _ways(self) -> list[tuple[str, str]]:
        """The pairs of a view and how its layers are weighed, with deviations by learned weights alone.

        Where time may run out, learned weights come first, then the views from the last to the first, those with
        deviations at the end.
        """
        views = self.views
        ways = [(view, weighing) for view in views for weighing in self.settings.layer_weights]
        if self.clock.limited:
            ways.sort(key=lambda pair: (pair[1] != LEARNED, -views.index(pair[0])))
        return ways + [(view + DEVIATIONS, LEARNED) for view in self.deviating]

    def _going_on(self, ways: list[tuple[str, str]], judges: tuple[Fold, ...]) -> list[tuple[str, str]]:
        """The ways of which some features stay in the race; all others are given up."""
        rows = np.concatenate([fold.held_out for fold in judges])
        weight = self.labels.weight.numpy()[rows]
        share = weight / weight.sum()
        hits = self.standings.hits()
        looks, early = divmod(len(judges), self.turn)
        patience = math.inf if early else self.settings.patience  # within a repeat only for want of time
        later = max(1, len(self.folds) - len(judges))
        most = min(most_ways(patience, looks), self.clock.passes_left() / later)
        groups = None if self.labels.groups is None else self.labels.groups[rows]
        left = going_on(hits, share, patience, most, effective_images(rows, share), groups)
        self.given_up |= hits.keys() - left
        accuracy = {one: hits[one] @ share for one in left}
        best_first = sorted(left, key=lambda one: (-accuracy[one], one.way, one.fraction))
        self.kept_grams.only(best_first[: self.kept_grams.most])
        best = {way: max((accuracy[one] for one in left if one.way == way), default=-1.0) for way in ways}
        ways = [way for way in ways if best[way] >= 0]
        return sorted(ways, key=lambda way: -best[way]) if self.clock.limited else ways

    def _try_fractions(self, view: str, weighing: str, fold: Fold) -> None:
        """All features first, for what they say teaches the heads of fewer."""
        fractions = tuple(f for f in self._fractions(view) if Features(view, weighing, f) not in self.given_up)
        everything, known = Features(view, weighing, 1.0), self.labels.subset(fold.train)
        fitting, ranking = self.fitting, self.fitting.ranking(everything, fold)
        heads = ClosedForms(fitting.kernel(everything, fold), known)
        lesson = heads.lesson() if DISTILLED in self.closed_forms else None
        if 1 in fractions:
            self._try_closed_form(everything, heads, fold)
        for fraction, gram in fitting.selector.grams(view, ranking, tuple(f for f in fractions if f < 1)):
            features = Features(view, weighing, fraction)
            heads = ClosedForms(fitting.kernel(features, fold, gram), known)
            self._try_closed_form(features, heads, fold, lesson)
            self.kept_grams.put(features, fold, gram)

    def _penultimate_features_fit(self) -> bool:
        """Whether a head other than the linear probe may keep all penultimate features."""
        most = self.settings.most_features
        return most is None or self.columns.width(LINEAR.view) <= most

    def _fractions(self, view: str) -> tuple[float, ...]:
        """Shares of a view's features that may be kept, ascending; of those that keep as many the largest."""
        most, width = self.settings.most_features, self.columns.width(view)
        if most is not None and deviates(view):
            most = deviations_within(most, self.labels.targets.shape[1])
        # Half a feature less, so that rounding does not make it one more.
        share = 1.0 if most is None or most >= width else (most - 0.5) / width
        shares = sorted(min(fraction, share) for fraction in self.fractions)
        return tuple({number_of(one, width): one for one in shares}.values())

    def _try_closed_form(
        self, features: Features, heads: ClosedForms, fold: Fold, lesson: torch.Tensor | None = None
    ) -> None:
        for head in self.closed_forms:
            if head == DISTILLED and lesson is None:
                continue
            for strength, solution in zip(RIDGE_STRENGTHS, heads.path(head, RIDGE_STRENGTHS, lesson), strict=True):
                self._record(Candidate(features, head, strength), heads.kernel, solution, fold)

    def _judge_finalists(self) -> None:
        """For the linear probe and the best few features, add the evidence of heads that are too slow for all."""
        finalists = [LINEAR, *self.standings.finalists(FINALISTS)]
        for j, features in enumerate(finalists):
            if j and not self.clock.time_for_heads():
                break
            with self.clock.judging():
                self._judge_finalist(features, taught=j <= TAUGHT)
            trim()
            self.report(j + 1, len(finalists), f"heads, {features.view}, F = {features.fraction:g}")
        self.kept_grams.only(())

    def _judge_finalist(self, features: Features, *, taught: bool) -> None:
        if features == LINEAR or LOGISTIC in self.settings.heads:
            for fold in self.folds:
                self._try_logistic(features, fold)
        fits = features != LINEAR or self._penultimate_features_fit()
        if self.fitting.joined is not None and taught and fits:
            teacher = self._teacher(features)
            for fold in self.folds:
                self._try_unlabelled(features, self.fitting.student(teacher, fold), fold)

    def _try_logistic(self, features: Features, fold: Fold) -> None:
        kernel = self.fitting.kernel(features, fold, self.kept_grams.get(features, fold))
        path = self.fitting.logistic(kernel, fold)
        for strength in self.fitting.strengths:
            self._record(Candidate(features, LOGISTIC, strength), kernel, path.solve(strength), fold)

    def _try_unlabelled(self, features: Features, student: Student, fold: Fold) -> None:
        for strength in RIDGE_STRENGTHS:
            candidate = Candidate(features, DISCRIMINANT, strength, unlabelled=True)
            self._record(candidate, student.kernel, student.solve(strength), fold)

    def _teacher(self, features: Features) -> Teacher:
        """The best candidate on these features without unlabelled rows; of the penultimate ones, the linear probe.

        With few images a discriminant there can be right in every fold and far off all the same.
        """
        best = self.standings.best(
            candidate
            for candidate in self.standings.judged()
            if candidate.features == features
            and not candidate.unlabelled
            and candidate.is_linear == (features == LINEAR)
        )
        return Teacher(best, self.standings.scale(best))

    def _record(self, candidate: Candidate, kernel: FoldKernel, solution: DualSolution, fold: Fold) -> None:
        self.standings.add(candidate, fold.held_out, kernel.held_out @ solution.alpha + solution.intercept)

    def _fit_chosen(self) -> SearchResult:
        standings, settings = self.standings, self.settings
        judged, ballot = standings.judged(), standings.ballot()
        selection = standings.selection(judged, ballot, settings.most_heads, settings.most_features)
        chosen = tuple(judged[number] for number in selection.members())
        linear = standings.best(one for one in judged if one.is_linear and not one.unlabelled)
        if len(chosen) == 1 and chosen[0].is_linear and not chosen[0].unlabelled:
            chosen = (linear,)
        head = self._fit(chosen)
        row = standings.row_of(chosen, len(head.indices))
        return SearchResult(
            head=head,
            linear=head if chosen == (linear,) else self._fit((linear,)),
            choice={
                **row,
                "estimated_accuracy": ballot.estimated_accuracy(selection.hits),
                "estimated_accuracy_alone": ballot.estimated_accuracy(),
            },
            table=standings.table(),
            cv_accuracy=row["cv_accuracy"],
            linear_cv_accuracy=standings.row(linear)["cv_accuracy"],
        )

    def _fit(self, members: tuple[Candidate, ...]) -> LinearHead:
        """The average of some heads, ranked, selected and fitted on all rows, as it is kept.

        It is calibrated: the softmax of its logits is a probability one can trust.
        """
        parts = [(self._fitted(one), part) for one, part in self.standings.parts(members).items()]
        head, scale = weighted_sum(parts), self.standings.calibration(self.standings.average(members))
        joined = self.fitting.joined
        rows = joined if joined is not None and any(one.unlabelled for one in members) else self.rows
        return replace(head, coef=head.coef * scale, intercept=head.intercept * scale).rounded(rows)

    def _fitted(self, candidate: Candidate) -> LinearHead:
        teacher = self._teacher(candidate.features) if candidate.unlabelled else None
        return self.fitting.head(candidate, teacher)
