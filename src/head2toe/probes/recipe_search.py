"""The published recipe with its hyper-parameters chosen on held-out rows; scores are computed inside each fold."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from head2toe.probes.columns import LINEAR_VIEW, Columns
from head2toe.probes.folds import Fold, stratified_folds
from head2toe.probes.ranking import number_of
from head2toe.probes.recipe import Recipe, fit_recipe, flops, head_on_best, train_head
from head2toe.probes.recipe_head import RecipeHead
from head2toe.probes.recipe_taps import RecipeTaps, gathered
from head2toe.probes.settings import SearchResult, SearchSettings
from head2toe.progress import Progress, silent


@dataclass(frozen=True)
class RecipeGrid:
    """What may be chosen among.

    Attributes
    ----------
    views : tuple of str or None
        None: all views of the columns but the linear one.
    learning_rates, steps, penalties, fractions : tuples
        See `Recipe`. The official grid has 500 and 5000 steps and some 18 fractions.
    """

    views: tuple[str, ...] | None = None
    learning_rates: tuple[float, ...] = (0.1, 0.01)
    steps: tuple[int, ...] = (500,)
    penalties: tuple[float, ...] = (1e-5, 1e-4)
    fractions: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class RecipeResult:
    """The chosen recipe, fitted on all rows.

    Attributes
    ----------
    head : RecipeHead
    choice : dict
        The chosen row of `table`.
    table : list of dict
        A row a candidate, best first: view, learning_rate, steps, penalty, fraction, features, cv_accuracy,
        cv_log_loss.
    cv_accuracy : float
        On the held-out rows of the folds, in [0, 1].
    flops : int
        Of all trainings.
    step_seconds : float
        Mean wall-clock seconds of one step of the scores, on all features.
    """

    head: RecipeHead
    choice: dict
    table: list[dict]
    cv_accuracy: float
    flops: int
    step_seconds: float


@dataclass
class _Evidence:
    hits: int = 0
    loss: float = 0.0
    count: int = 0


@dataclass
class _Spent:
    flops: int = 0
    seconds: float = 0.0
    steps: int = 0


@dataclass
class _View:
    """One view, made ready: its columns, tap by tap, and its normalised rows."""

    name: str
    taps: RecipeTaps
    rows: torch.Tensor = field(repr=False)


def recipe_search(
    X: np.ndarray,
    y: np.ndarray,
    columns: Columns,
    folds: Sequence[Fold],
    *,
    grid: RecipeGrid | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> RecipeResult:
    """Choose view, learning rate, steps, penalty and fraction on held-out rows, and fit the best on all rows.

    Ties in accuracy go to the smaller loss.

    Parameters
    ----------
    X : float array or memmap (n, d)
    y : int64 array (n,)
        Class numbers 0..c-1.
    columns : Columns
    folds : sequence of Fold
        One (VTAB's 800 and 200 images) or several.
    grid : RecipeGrid, optional
    seed : int
    progress : callable(done, total, text), optional
    """
    return _RecipeSearch(X, y, columns, folds, grid or RecipeGrid(), seed).run(progress or silent)


class _RecipeSearch:
    """What the folds have said of each recipe so far, and what that took."""

    def __init__(
        self, X: np.ndarray, y: np.ndarray, columns: Columns, folds: Sequence[Fold], grid: RecipeGrid, seed: int
    ) -> None:
        self.X, self.y = X, torch.from_numpy(np.asarray(y, np.int64))
        self.classes = int(self.y.max()) + 1
        self.columns, self.folds, self.grid, self.seed = columns, folds, grid, seed
        self.evidence: dict[tuple[str, Recipe], _Evidence] = {}
        self.spent = _Spent()

    def run(self, report: Progress) -> RecipeResult:
        grid, done = self.grid, 0
        views = grid.views or self.columns.candidate_views() or (LINEAR_VIEW,)
        runs = list(itertools.product(grid.learning_rates, grid.steps, grid.penalties))
        total = len(views) * len(runs) * len(self.folds) + 1
        for name in views:
            taps = RecipeTaps.of(self.columns, name)
            view = _View(name, taps, taps.rows(self.X))
            for (rate, steps, penalty), fold in itertools.product(runs, self.folds):
                report(done, total, f"recipe, {name}, learning rate {rate:g}, lambda {penalty:g}")
                self._judge(view, fold, Recipe(rate, steps, penalty, seed=self.seed))
                done += 1
        report(done, total, "recipe, fit on all rows")
        return self._fit_chosen()

    def _judge(self, view: _View, fold: Fold, recipe: Recipe) -> None:
        """Score the features on a fold's training rows once, and judge the head of every fraction."""
        X, y, classes, spent = self.X, self.y, self.classes, self.spent
        train, held_out = torch.from_numpy(fold.train), torch.from_numpy(fold.held_out)
        start = time.perf_counter()
        scores = train_head(view.rows, y, classes, recipe, train=train, penalty=recipe.penalty).scores
        spent.seconds += time.perf_counter() - start
        spent.steps += recipe.steps
        spent.flops += flops(len(train), len(view.taps.indices), 0, classes, recipe)
        for fraction in self.grid.fractions:
            candidate = replace(recipe, fraction=fraction)
            head = head_on_best(X, y, classes, view.taps, scores, candidate, train=train)
            log_p = head.logits(gathered(X[fold.held_out], head.indices.numpy())).log_softmax(dim=1)
            found = self.evidence.setdefault((view.name, candidate), _Evidence())
            found.hits += int((log_p.argmax(dim=1) == y[held_out]).sum())
            found.loss -= float(log_p[torch.arange(len(held_out)), y[held_out]].sum())
            found.count += len(held_out)
            spent.flops += flops(len(train), 0, len(head.indices), classes, candidate)

    def _fit_chosen(self) -> RecipeResult:
        columns, spent = self.columns, self.spent
        rows = (_row(columns, *key, found) for key, found in self.evidence.items())
        table = sorted(rows, key=_merit, reverse=True)
        choice = table[0]
        recipe = Recipe(choice["learning_rate"], choice["steps"], choice["penalty"], choice["fraction"], seed=self.seed)
        head = fit_recipe(self.X, self.y.numpy(), columns, choice["view"], recipe)
        spent.flops += flops(len(self.y), columns.width(choice["view"]), len(head.indices), self.classes, recipe)
        seconds = spent.seconds / max(1, spent.steps)
        return RecipeResult(head, choice, table, choice["cv_accuracy"], spent.flops, seconds)


def reference_search(
    X: np.ndarray,
    y: np.ndarray,
    columns: Columns,
    *,
    settings: SearchSettings | None = None,
    groups: np.ndarray | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """`search` by the published recipe: minutes where `search` takes seconds.

    Cross-validated on the same folds, but without repeats where images are few, unless the settings ask for them.
    Views, fractions, folds and seed of the settings are used; the linear probe is the recipe's head, without penalty,
    on the linear view. Both heads are a `RecipeHead`.
    """
    settings = settings or SearchSettings()
    repeats, seed = settings.repeats or 1, settings.random_state
    folds = stratified_folds(y, settings.folds, groups=groups, repeats=repeats, random_state=seed)
    grid = RecipeGrid(views=settings.views, fractions=settings.fractions or RecipeGrid.fractions)
    found = recipe_search(X, y, columns, folds, grid=grid, seed=seed, progress=progress)
    alone = replace(grid, views=(LINEAR_VIEW,), penalties=(0.0,), fractions=(1.0,))
    linear = recipe_search(X, y, columns, folds, grid=alone, seed=seed)
    heads: tuple[Any, Any] = found.head, linear.head  # typed as LinearHead, which all but this engine give
    return SearchResult(*heads, found.choice, found.table, found.cv_accuracy, linear.cv_accuracy)


def _row(columns: Columns, view: str, recipe: Recipe, found: _Evidence) -> dict:
    return {
        "view": view,
        **{name: getattr(recipe, name) for name in ("learning_rate", "steps", "penalty", "fraction")},
        "features": number_of(recipe.fraction, columns.width(view)),
        "cv_accuracy": found.hits / found.count,
        "cv_log_loss": found.loss / found.count,
    }


def _merit(row: dict) -> tuple[float, float]:
    return row["cv_accuracy"], -row["cv_log_loss"]
