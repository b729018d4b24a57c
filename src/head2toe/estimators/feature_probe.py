"""The probe over plain arrays: rows of features in, classes out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from head2toe.checks import is_number, is_whole, require, require_whole
from head2toe.errors import DataFormatError, ParameterError
from head2toe.estimators.checks import (
    check_columns,
    check_finite,
    check_varies,
    check_views,
    seed_of,
    tell_of_many,
    unique_names,
)
from head2toe.estimators.folds import check_folds
from head2toe.estimators.groups import check_groups, group_numbers
from head2toe.estimators.host import on_host
from head2toe.estimators.labels import accuracy, as_labels
from head2toe.estimators.logits import FromLogits
from head2toe.estimators.progress import search_bar
from head2toe.estimators.target import Target
from head2toe.estimators.weights import row_weights, sample_weights
from head2toe.plain_torch import plain_torch
from head2toe.probes import Columns, LinearHead, SearchResult, SearchSettings, search
from head2toe.probes.recipe_search import reference_search
from head2toe.probes.settings import (
    DISCRIMINANT,
    DISTILLED,
    EQUAL,
    HEADS,
    LEARNED,
    LEAST_SQUARES,
    LOGISTIC,
    MOST_HEADS,
)

_LARGEST = 1e30  # strength that float32 can work with


class FeatureProbe(FromLogits, ClassifierMixin, BaseEstimator):
    """Select the useful columns of a feature matrix and fit one linear head on them, all by cross-validation.

    Parameters
    ----------
    columns : head2toe.probes.Columns, optional
        What the columns mean: blocks (one layer, one pooling) and views (sets of blocks to choose among). None: all
        columns are one view, and the linear probe uses all of them.
    fractions : sequence of float in (0, 1], optional
        Shares of a view's features that may be kept.
    most_features : int, optional
        The head keeps no more features than these, and fewer where some are deviations, which take more bytes; the
        linear probe alone always reads all of its own. None: no limit.
    strengths : sequence of positive float, optional
        Ridge strengths of the logistic head, relative to a kernel of mean diagonal one.
    views : sequence of str, optional
        Names of the views to choose among; None: all of them.
    layer_weights : "equal", "learned" or both
        The weight of each layer: all features alike (the paper's way), or weights learned for each block; of both,
        cross-validation chooses.
    deviations : bool, optional
        Whether to try, with learned layer weights, the narrowest view and those up to twice as wide also with how far
        each feature lies from its mean beside it: as ``VIEW + deviations`` in what was chosen. None: where there are
        200 rows.
    heads : some of "least squares", "discriminant", "distilled" and "logistic"
        How the head may be fitted: ridge regression on class indicators; a linear discriminant on its outputs; ridge
        regression of the kept features on what such a discriminant says that sees all features of the view; or
        logistic regression. At least one of the first two, which screen the features.
    most_heads : int
        Around the best head others are gathered while that lowers the held-out log loss, and averaged with it into one
        linear head: so many at most, repeats counted. 1: the best head stays alone.
    search_seconds : float, optional
        What the search may take, about: it tries less where time runs short, the most promising first, and then the
        result depends on the machine's speed. One way of describing images, the linear probe and the last fit take
        what they need. None: no limit.
    engine : "exact" or "reference"
        How features are scored and heads are fitted. "reference" is the recipe as published (Adam on unit-norm taps),
        for comparison: minutes instead of seconds. It takes no weights, and of the choices above only `views` and
        `fractions`; its table has the recipe's own settings, its heads are a `probes.recipe_head.RecipeHead`, and its
        `estimated_accuracy_` is no more than `cv_accuracy_`.
    cv : int
        Number of stratified folds, at least 2.
    min_class_size : int
        Fewest samples a class may have. With 1, classes of one sample are learned, though no fold can both learn and
        judge them: benchmarks with a fixed training set have some.
    class_weight : None, "balanced" or dict of label to weight
        Used in every fit and in every cross-validated figure: with "balanced", `cv_accuracy_` is balanced accuracy.
    random_state : int, RandomState or None
        Seeds the folds.
    verbose : bool
        Show a progress bar on standard error.

    Attributes
    ----------
    classes_ : array (c,)
    n_features_in_ : int
    columns_ : Columns
    choice_ : dict
        The winner's row of `search_table_`. ``averaged`` lists such rows of all heads that were averaged, the winner
        first, each at the strength at which it joined and with its ``share``; features, cv_accuracy and cv_log_loss
        are those of the average. The recipe averages nothing.
    search_table_ : list of dict
        One row a candidate, best first: view (with deviations its name ends in " + deviations"), layer_weights,
        fraction, features, head, strength, unlabelled (how many such rows it learned from), cv_accuracy, cv_log_loss,
        folds.
    cv_accuracy_, linear_cv_accuracy_ : float
        Cross-validated accuracy in [0, 1] of the choice and of the linear probe.
    estimated_accuracy_ : float
        Cross-validated accuracy in [0, 1] of the act of choosing: what to expect of new images.
    head_, linear_head_ : LinearHead
        What is kept of the two: column numbers, standardisation and coefficients. Those of heads above 16 KiB are
        rounded to few bits, and predictions are the rounded head's.
    result_ : head2toe.probes.SearchResult
        All of this as the search gave it.
    """

    n_features_in_: int

    def __init__(
        self,
        columns: Columns | None = None,
        *,
        fractions: Sequence[float] | None = None,
        most_features: int | None = None,
        strengths: Sequence[float] | None = None,
        views: Sequence[str] | None = None,
        layer_weights: str | Sequence[str] = ("equal", "learned"),
        deviations: bool | None = None,
        heads: str | Sequence[str] = HEADS,
        most_heads: int = MOST_HEADS,
        search_seconds: float | None = None,
        engine: str = "exact",
        cv: int = 5,
        min_class_size: int = 2,
        class_weight: Mapping[Any, float] | str | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.columns = columns
        self.fractions = fractions
        self.most_features = most_features
        self.strengths = strengths
        self.views = views
        self.layer_weights = layer_weights
        self.deviations = deviations
        self.heads = heads
        self.most_heads = most_heads
        self.search_seconds = search_seconds
        self.engine = engine
        self.cv = cv
        self.min_class_size = min_class_size
        self.class_weight = class_weight
        self.random_state = random_state
        self.verbose = verbose

    @plain_torch()
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        unlabelled: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose and fit the probe.

        1. Check the parameters, the features and the labels.
        2. Multiply class and sample weights; rows of weight zero leave.
        3. Search view, fraction, head and strength by cross-validation; fit the best, and what is averaged with it,
           on all rows.

        Parameters
        ----------
        X : array of shape (n, d)
            Read in column chunks: a float32 memmap may be larger than memory. Time grows with the cube of n, for few
            columns too, and memory with its square: thousands of rows take minutes, tens of thousands are too many.
        y : array of shape (n,)
            Strings, whole numbers or booleans.
        sample_weight : array of shape (n,), optional
            Non-negative.
        unlabelled : array of shape (u, d), optional
            Rows of unknown class, of the kind that predictions will be made for. Discriminants that learn from them too
            are candidates; what they gain is judged on labelled rows. Of more than 2000 a random sample is used.
        groups : array of shape (n,), optional
            Names or numbers. Rows of one group (pictures of one object, frames of one film) are never on both sides of
            a fold, so that what the folds say is true of new groups. Each class needs two. With scikit-learn's
            metadata routing switched on, ask for them by ``set_fit_request(groups=True)``.

        Returns
        -------
        FeatureProbe
            Itself.

        Raises
        ------
        MissingLabelError, OneClassError, ClassTooSmallError, TooFewImagesError
            The labels cannot be learned from.
        NotFiniteError, ConstantFeaturesError, DataFormatError
            The features cannot, or they are not those that `columns` describes.
        ParameterError
        """
        settings = self.settings()
        rows, labels = self._validated(X, y if y is None else as_labels(y))
        target, rows, weight, groups = self._weighted(rows, labels, sample_weight, groups, settings.folds)
        if self.columns is None:  # of images the classifier has warned before, when they had not passed the network yet
            tell_of_many(len(rows), "rows")
        columns = self._columns(rows.shape[1])
        check_varies(rows, columns)
        check_views(settings.views, columns)
        others = None
        if unlabelled is not None and np.shape(unlabelled)[:1] != (0,):
            others = self._unlabelled(unlabelled, settings)
        by_recipe = self._by_recipe(weight, others)
        with search_bar(shown=self.verbose) as progress:
            options = {"settings": settings, "groups": groups, "progress": progress}
            found = (
                reference_search(rows, target.y, columns, **options)
                if by_recipe
                else search(rows, target.y, columns, sample_weight=weight, unlabelled=others, **options)
            )
        return self.assume(found, target.classes, columns, rows.shape[1])

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy in [0, 1]. Raises as `predict`; `y` may be what `fit` takes."""
        return accuracy(y, self.predict(X), sample_weight)

    def linear_predict(self, X: ArrayLike) -> np.ndarray:
        """The classes that the linear probe fitted beside it predicts, (n,). Raises as `predict`."""
        logits = self._logits(X, "linear_head_")
        return self.classes_[logits.argmax(axis=1)]

    def linear_score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of the linear probe in [0, 1]. Raises as `predict`."""
        return accuracy(y, self.linear_predict(X), sample_weight)

    def assume(self, found: SearchResult, classes: np.ndarray, columns: Columns, d: int) -> Self:
        """Become the fitted probe that a search over d columns found; `fit` ends here, and so does loading."""
        self.classes_ = classes
        self.columns_ = columns
        self.n_features_in_ = d
        self.head_, self.linear_head_ = found.head, found.linear
        self.choice_, self.search_table_ = found.choice, found.table
        self.cv_accuracy_, self.linear_cv_accuracy_ = found.cv_accuracy, found.linear_cv_accuracy
        self.estimated_accuracy_ = found.choice.get("estimated_accuracy", found.cv_accuracy)  # older probes have none
        self.result_ = found
        return self

    def settings(self) -> SearchSettings:
        """The parameters, checked.

        Raises
        ------
        ParameterError
        """
        wanted = f"one or more positive numbers below {_LARGEST:g}, or None"
        for name, value in (("fractions", self.fractions), ("strengths", self.strengths)):
            require(value is None or _are_positive(value), name, value, wanted)
        if self.fractions is not None and max(self.fractions) > 1:
            raise ParameterError(f"fractions is {self.fractions!r}: shares of the features are at most 1")
        if self.most_features is not None and not (is_whole(self.most_features) and self.most_features >= 1):
            raise ParameterError(f"most_features is {self.most_features!r}: keep at least one, or None for no limit")
        require_whole("min_class_size", self.min_class_size)
        weighings, views = unique_names(self.layer_weights), None if self.views is None else unique_names(self.views)
        fits = bool(weighings) and all(one in (EQUAL, LEARNED) for one in weighings)
        require(fits, "layer_weights", self.layer_weights, f"{EQUAL!r}, {LEARNED!r} or both")
        known = self.deviations is None or isinstance(self.deviations, bool | np.bool_)
        require(known, "deviations", self.deviations, "True, False, or None to leave it to the number of rows")
        heads = unique_names(self.heads)
        fits = all(head in HEADS for head in heads) and (LEAST_SQUARES in heads or DISCRIMINANT in heads)
        known = f"{LEAST_SQUARES!r}, {DISCRIMINANT!r} or both, and {DISTILLED!r} and {LOGISTIC!r} if wanted"
        require(fits, "heads", self.heads, known)
        require_whole("most_heads", self.most_heads)
        limit = self.search_seconds
        fits = limit is None or (is_number(limit) and 0 < limit <= sys.float_info.max)
        require(fits, "search_seconds", limit, "a positive number, or None for no limit")
        return SearchSettings(
            views=views,
            layer_weights=weighings,
            deviations=self.deviations,
            heads=heads,
            most_heads=self.most_heads,
            seconds=limit,
            fractions=None if self.fractions is None else tuple(float(f) for f in self.fractions),
            most_features=self.most_features,
            strengths=None if self.strengths is None else tuple(dict.fromkeys(map(float, self.strengths))),
            folds=check_folds(self.cv),
            random_state=seed_of(self.random_state),
        )

    def _unlabelled(self, X: ArrayLike, settings: SearchSettings) -> np.ndarray:
        if DISCRIMINANT not in settings.heads:
            raise ParameterError(
                f"heads is {self.heads!r}: unlabelled rows are for {DISCRIMINANT!r} heads, name it too"
            )
        return self._validated(X)[0]

    def _by_recipe(self, weight: np.ndarray, unlabelled: np.ndarray | None) -> bool:
        require(self.engine in ("exact", "reference"), "engine", self.engine, "'exact' or 'reference'")
        if self.engine == "exact":
            return False
        if np.ptp(weight) > 0:
            raise ParameterError("the published recipe knows no weights: use engine='exact' with them")
        if unlabelled is not None:
            raise ParameterError("the published recipe learns from labelled rows alone: use engine='exact'")
        if self.search_seconds is not None:
            raise ParameterError("the published recipe takes the time it takes: use engine='exact' with search_seconds")
        return True

    def _weighted(
        self, X: np.ndarray, y: np.ndarray, sample_weight: ArrayLike | None, groups: ArrayLike | None, folds: int
    ) -> tuple[Target, np.ndarray, np.ndarray, np.ndarray | None]:
        """Target, rows, weights and group numbers of the rows that count."""
        target, numbers = Target.of(y), group_numbers(groups, len(X))
        weight = row_weights(target, self.class_weight, sample_weights(sample_weight, len(X)))
        counts = weight > 0
        if not counts.all():
            # One copy, and only here: with all weights positive a memmap is never read as a whole.
            X, weight, target = X[counts], weight[counts], Target.of(target.classes[target.y[counts]])
            numbers = None if numbers is None else numbers[counts]
        target.check(folds, self.min_class_size)
        check_groups(target, numbers, folds, alone=self.min_class_size < 2)
        return target, X, weight, numbers

    def _columns(self, d: int) -> Columns:
        if self.columns is None:
            return Columns.plain(d)
        check_columns(self.columns)
        described = max(block.stop for block in self.columns.blocks)
        if described != d:
            raise DataFormatError(f"X has {d} columns, but columns= describes {described}")
        return _ascending(self.columns)

    @plain_torch()
    def _logits(self, X: ArrayLike | torch.Tensor, which: str = "head_") -> np.ndarray:
        check_is_fitted(self)
        head: LinearHead = getattr(self, which)
        kept = np.take(self._validated(X)[0], head.indices.numpy(), axis=1)
        return head.logits(torch.from_numpy(kept)).numpy()

    def _validated(self, X: ArrayLike | torch.Tensor, *y: ArrayLike) -> list[np.ndarray]:
        """Features as float32, and the labels that came with them; without labels, the width must be the fitted one."""
        # scikit-learn has no types, and the checker reads its defaults as such.
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as that
            found: Any = validate_data(
                self, on_host(X), *cast("Any", y), dtype=np.float32, ensure_all_finite=False, reset=bool(y)
            )
        arrays = list(found) if y else [found]
        check_finite(arrays[0])
        return arrays


def _are_positive(values: Any) -> bool:
    """One or more positive numbers that float32 can work with."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        return False
    return len(values) > 0 and all(is_number(value) and 0 < value < _LARGEST for value in values)


def _ascending(columns: Columns) -> Columns:
    """The same views, each with its blocks in the order of the matrix: the search reads columns in ascending order."""
    views = {
        name: tuple(sorted(numbers, key=lambda b: columns.blocks[b].start)) for name, numbers in columns.views.items()
    }
    return replace(columns, views=views)


def moved(head: LinearHead, columns: np.ndarray, places: np.ndarray) -> LinearHead:
    """The head, reading column ``places[i]`` instead of ``columns[i]``."""
    return replace(head, indices=torch.from_numpy(places[np.searchsorted(columns, head.indices.numpy())]))
