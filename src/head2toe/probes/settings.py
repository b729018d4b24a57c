"""What a search may choose among, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head2toe.probes.columns import LINEAR_VIEW, Columns
from head2toe.probes.heads import LinearHead

FRACTIONS = (0.003, 0.01, 0.03, 0.1, 1.0)
RIDGE_STRENGTHS = tuple(float(s) for s in np.geomspace(1e-3, 10, 5))
# Strong to weak: each starts from the one before.
LOGISTIC_STRENGTHS = tuple(float(s) for s in np.geomspace(1e-2, 1e-6, 5))
LEAST_SQUARES, DISCRIMINANT, LOGISTIC = "least squares", "discriminant", "logistic"
DISTILLED = "distilled"
HEADS = LEAST_SQUARES, DISCRIMINANT, DISTILLED, LOGISTIC
EQUAL, LEARNED = "equal", "learned"
MOST_HEADS = 6  # that are averaged, repeats counted
_FEW_ROWS, _REPEATS = 200, 3
_WIDE = 2  # times the narrowest view


@dataclass(frozen=True)
class SearchSettings:
    """What the search may choose among.

    Attributes
    ----------
    views : tuple of str or None
        Views of the columns to try; None: all but the linear one.
    fractions : tuple of float or None
        Shares F in (0, 1] of a view's features to keep; None: `FRACTIONS`.
    most_features : int or None
        No head keeps more features; the linear probe alone always reads all of its own. None: no limit.
    strengths : tuple of float or None
        Ridge strengths of the logistic head, relative to a kernel of mean diagonal one; None: `LOGISTIC_STRENGTHS`.
    layer_weights : tuple of str
        "equal": every standardised feature speaks as loud (the paper's way); "learned": see `layer_weights`.
    deviations : bool or None
        Whether, with learned weights, narrow views are also tried with the deviations of their features, how far each
        lies from its mean: see `deviating_views`. None: where there are 200 rows.
    heads : tuple of str
        Some of `HEADS`. The linear probe has a logistic head in any case. "distilled" is ridge regression of the kept
        features on what a discriminant says that sees all features of the view.
    most_heads : int
        How many heads are averaged at most, see `ensemble.EnsembleSelection`; 1: the winner stays alone.
    patience : float
        After each fold (each repetition of cross-validation, where there are several) what is more standard errors
        than this behind the best is given up, see `race.going_on`; infinite: nothing is.
    seconds : float or None
        What the search may take, about, see `clock.Clock`: fewer views and ways of weighing pass all folds, the best
        first, and fewer features get a logistic head. One way, the linear probe and the last fit take what they need.
        None: there is no limit, and the result does not depend on the machine's speed.
    folds, repeats : int
        Cross-validation. None: see `repeats_for`.
    random_state : int
    """

    views: tuple[str, ...] | None = None
    fractions: tuple[float, ...] | None = None
    most_features: int | None = None
    strengths: tuple[float, ...] | None = None
    layer_weights: tuple[str, ...] = (EQUAL, LEARNED)
    deviations: bool | None = None
    heads: tuple[str, ...] = HEADS
    most_heads: int = MOST_HEADS
    patience: float = 1.5
    seconds: float | None = None
    folds: int = 5
    repeats: int | None = None
    random_state: int = 0

    def deviating_views(self, columns: Columns, n: int) -> tuple[str, ...]:
        """Views that are also tried with deviations, where there are n rows.

        They take time, and so views more than twice as wide as the narrowest that the same networks make have none, nor
        have few rows, which are split into folds several times.
        """
        wanted = n >= _FEW_ROWS if self.deviations is None else self.deviations
        if not wanted or LEARNED not in self.layer_weights:
            return ()
        views, narrowest = self.views or columns.candidate_views(), {}
        for view in views:
            made_by, width = columns.networks_of(view), columns.width(view)
            narrowest[made_by] = min(width, narrowest.get(made_by, width))
        return tuple(view for view in views if columns.width(view) <= _WIDE * narrowest[columns.networks_of(view)])

    def repeats_for(self, n: int) -> int:
        """How often n rows are split into folds: fewer than 200 three times, more once, unless `repeats` says it."""
        return self.repeats or (_REPEATS if n < _FEW_ROWS else 1)


@dataclass(frozen=True)
class Features:
    """Which features a candidate uses, and how loud each is."""

    view: str
    layer_weights: str
    fraction: float

    @property
    def way(self) -> tuple[str, str]:
        """The view, and how its layers are weighed: what has one ranking of features."""
        return self.view, self.layer_weights


LINEAR = Features(LINEAR_VIEW, EQUAL, 1.0)
"""What the linear probe reads."""


@dataclass(frozen=True)
class Candidate:
    """One configuration: which features, which head, how strongly regularised, with unlabelled rows or without."""

    features: Features
    head: str
    strength: float
    unlabelled: bool = False

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear probe: on the penultimate features, logistic or taught with unlabelled rows."""
        return self.features.view == LINEAR_VIEW and (self.head == LOGISTIC or self.unlabelled)


@dataclass(frozen=True)
class SearchResult:
    """The chosen probe, the linear probe beside it, and the table of all that was tried.

    Attributes
    ----------
    head, linear : LinearHead
        Of `recipe_search.reference_search`, a `RecipeHead` each.
    choice : dict
        The row of the winner; ``averaged``: rows like those of the table of all heads that were averaged, the winner
        first, each at the strength at which it joined and with its ``share`` (where there are several, features,
        cv_accuracy and cv_log_loss of the choice are those of the average); ``estimated_accuracy``: the cross-validated
        accuracy of choosing itself, see `ballot.Ballot`; and ``estimated_accuracy_alone``: that of choosing one head.
    table : list of dict
        A row a candidate (its best strength), best first: view, layer_weights, fraction, features, head, strength,
        unlabelled (how many rows without labels it learned from), cv_accuracy, cv_log_loss, folds (how many judged it;
        with fewer than all it was given up early).
    cv_accuracy, linear_cv_accuracy : float
        Cross-validated accuracy in [0, 1].
    """

    head: LinearHead
    linear: LinearHead
    choice: dict
    table: list[dict]
    cv_accuracy: float
    linear_cv_accuracy: float
