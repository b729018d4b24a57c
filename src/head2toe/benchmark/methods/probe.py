"""Head2Toe: as this library does it, with the paper's own candidates alone, and as published."""

from __future__ import annotations

from dataclasses import replace

from head2toe import FeatureProbe, features
from head2toe.benchmark.costs import counted
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.methods.heads import of_rows, tensors
from head2toe.benchmark.trial import FOLDS, Trial
from head2toe.estimators.head_size import HEAD_SIZE, most_features
from head2toe.probes import SearchSettings, search
from head2toe.probes.recipe_search import RecipeGrid, recipe_search
from head2toe.probes.settings import EQUAL, LEAST_SQUARES, LOGISTIC

FEW_CLASSES = 20
# The grid of the published recipe; its target sizes are those for ResNet-50.
RECIPE_STEPS, RECIPE_RATES, RECIPE_PENALTIES, RECIPE_FOLDS = (500, 5000), 2, 2, 5
RECIPE_SIZES = (512, 8192, 24576)


def head2toe(trial: Trial) -> Fitted:
    """The search that `Head2ToeClassifier` makes, on the same rows."""
    columns = trial.rows.columns()
    most = most_features(HEAD_SIZE, trial.backbone.body_bytes, trial.classes)
    probe = FeatureProbe(columns, most_features=most, min_class_size=1, cv=FOLDS, random_state=trial.seed)
    with counted() as spent:
        probe.fit(trial.rows.X, trial.y, groups=trial.groups)
    return Fitted(
        flops=spent.total,
        stored=tensors(probe.head_),
        choice={**probe.choice_, "validation": _validation(trial)},
        cv_accuracy=probe.cv_accuracy_,
        of_rows=probe.predict,
        probe=probe,
    )


def head2toe_equal(trial: Trial) -> Fitted:
    """The same search over the paper's candidates alone.

    Its pooling, every standardised feature as loud as the others, no discriminant, and one head alone.
    """
    views = trial.rows.paper_views
    heads = (LEAST_SQUARES, LOGISTIC)
    settings = SearchSettings(
        views=views, layer_weights=(EQUAL,), heads=heads, most_heads=1, folds=FOLDS, random_state=trial.seed
    )
    columns = replace(trial.rows.columns(views), commensurable=False)
    with counted() as spent:
        found = search(trial.rows.X, trial.y, columns, settings=settings, groups=trial.groups)
    return Fitted(
        flops=spent.total,
        stored=tensors(found.head),
        choice={**found.choice, "validation": _validation(trial)},
        cv_accuracy=found.cv_accuracy,
        of_rows=of_rows(found.head),
    )


def _validation(trial: Trial) -> str:
    """How a search tells good from bad: few images are divided anew some times."""
    repeats = SearchSettings().repeats_for(len(trial.y))
    return trial.folds_name if repeats == 1 else f"{repeats} x {trial.folds_name}"


def head2toe_reference(trial: Trial) -> Fitted:
    """The published recipe (`probes.recipe`) on the smallest of the paper's views, chosen on one split.

    With many classes the larger lambda is left out, which the paper's examples do not use.
    """
    view = trial.rows.paper_views[0]
    penalties = (1e-5, 1e-4) if trial.classes <= FEW_CLASSES else (1e-5,)
    grid = RecipeGrid(views=(view,), penalties=penalties)
    columns = trial.rows.columns((view,))
    found = recipe_search(
        trial.rows.X, trial.y, columns, (trial.split,), grid=grid, seed=trial.seed, progress=trial.progress
    )
    of_sizes = _official_seconds(trial, found.step_seconds / columns.width(view))
    grid_told = f"{len(grid.learning_rates)} learning rates, {len(penalties)} lambdas, {len(grid.fractions)} fractions"
    return Fitted(
        flops=found.flops,
        stored=tensors(found.head),
        choice={
            **found.choice,
            "grid": f"{grid_told}, {grid.steps[0]} steps, one target size",
            "validation": trial.split_name,
            "step_seconds": found.step_seconds,
            "official_grid_seconds_estimated": sum(of_sizes),
            "official_smallest_size_seconds_estimated": of_sizes[0],
        },
        cv_accuracy=found.cv_accuracy,
        of_rows=of_rows(found.head),
    )


def _official_seconds(trial: Trial, a_feature: float) -> list[float]:
    """Of the scores of the official grid, at each of its target sizes: a step takes as long as there are features.

    Extrapolated from the seconds of `a_feature` in one step.
    """
    plan = features.Plan.build(trial.rows.plan.layers, RECIPE_SIZES)
    steps = RECIPE_RATES * RECIPE_PENALTIES * RECIPE_FOLDS * sum(RECIPE_STEPS)
    return [steps * a_feature * len(plan.columns(str(size))) for size in RECIPE_SIZES]
