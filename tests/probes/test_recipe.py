from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from head2toe import FeatureProbe
from head2toe.benchmark.costs import counted
from head2toe.errors import ParameterError
from head2toe.probes import LINEAR_VIEW, Block, Columns
from head2toe.probes.batches import batches
from head2toe.probes.folds import stratified_folds
from head2toe.probes.recipe import Recipe, fit_recipe, flops, head_on_best, train_head
from head2toe.probes.recipe_search import RecipeGrid, recipe_search
from head2toe.probes.recipe_taps import RecipeTaps, tap_spans, unit_norm

WIDTH, TAPS = 30, 3
COLUMNS = Columns(
    tuple(Block(f"tap{i}", "mean", WIDTH * i, WIDTH * (i + 1)) for i in range(TAPS)),
    {"8": tuple(range(TAPS)), LINEAR_VIEW: (TAPS - 1,)},
)
PLANTED = np.array([3, 17, 40])  # in taps 0, 0 and 1


def planted(n=240, seed=0):
    """Noise in which three columns say the class."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    X = rng.normal(size=(n, WIDTH * TAPS)).astype(np.float32)
    X[np.arange(n), PLANTED[y]] += 4
    return X, y


def ready(seed=0):
    X, y = planted(seed=seed)
    return unit_norm(torch.from_numpy(X), tap_spans(COLUMNS, "8")), torch.from_numpy(y)


def test_every_tap_has_unit_norm_and_zero_stays_zero():
    rows = torch.randn(5, WIDTH * TAPS)
    rows[2, WIDTH : 2 * WIDTH] = 0
    unit_norm(rows, tap_spans(COLUMNS, "8"))
    norms = rows.view(5, TAPS, WIDTH).norm(dim=2)
    expected = torch.ones(5, TAPS)
    expected[2, 1] = 0
    torch.testing.assert_close(norms, expected)


def test_blocks_of_one_layer_are_one_tap():
    blocks = (Block("a", "cls", 0, 2), Block("a", "rest-mean:1", 2, 5), Block("b", "mean", 5, 9))
    assert tap_spans(Columns(blocks, {"v": (0, 1, 2)}), "v") == ((0, 5), (5, 9))
    assert tap_spans(Columns(blocks, {"v": (0, 2)}), "v") == ((0, 2), (2, 6))


def test_planted_features_score_highest():
    rows, y = ready()
    scores = train_head(rows, y, 3, Recipe(learning_rate=0.1, steps=200), penalty=1e-3).scores
    assert set(np.argsort(-scores)[:3]) == set(PLANTED)


def test_the_objective_falls():
    rows, y = ready()
    recipe = Recipe(learning_rate=0.01, steps=150, batch_size=len(y))
    trained = train_head(rows, y, 3, recipe, penalty=1e-3)
    objective = cross_entropy(rows @ trained.coef.T + trained.intercept, y) + 1e-3 * trained.coef.norm(dim=0).sum()
    assert objective < 0.5 * trained.losses[0]
    assert np.mean(trained.losses[-10:]) < np.mean(trained.losses[:10])


def test_first_step_is_adams_on_the_gradient_of_autograd():
    rows, y = ready()
    recipe = Recipe(learning_rate=0.1, steps=1, batch_size=len(y))
    # A step so small that it leaves the first weights as they are shows what they were.
    start = train_head(rows, y, 3, replace(recipe, learning_rate=1e-12), penalty=0.05)
    coef, intercept = start.coef.clone().requires_grad_(), start.intercept.clone().requires_grad_()
    loss = cross_entropy(rows @ coef.T + intercept, y) + 0.05 * coef.norm(dim=0).sum()
    loss.backward()
    torch.optim.Adam([coef, intercept], lr=0.1).step()
    trained = train_head(rows, y, 3, recipe, penalty=0.05)
    torch.testing.assert_close(trained.coef, coef.detach(), atol=1e-5, rtol=1e-4)
    assert trained.losses[0] == pytest.approx(float(loss.detach()), rel=1e-5)


def test_penalty_makes_rows_smaller_and_glorot_bounds_the_start():
    rows, y = ready()
    free, held = (train_head(rows, y, 3, Recipe(steps=100), penalty=p).coef.norm(dim=0).sum() for p in (0.0, 1e-2))
    assert held < 0.5 * free
    start = train_head(rows, y, 3, Recipe(learning_rate=1e-12, steps=1)).coef
    bound = np.sqrt(6 / (3 + WIDTH * TAPS))
    assert 0.9 * bound < start.abs().max() <= bound


def test_kept_features_are_normalised_anew_tap_by_tap():
    X, y = planted()
    scores = np.zeros(WIDTH * TAPS)
    scores[PLANTED] = 1
    recipe = Recipe(learning_rate=0.1, steps=100, fraction=3 / (WIDTH * TAPS))
    head = head_on_best(X, torch.from_numpy(y), 3, RecipeTaps.of(COLUMNS, "8"), scores, recipe)
    assert head.indices.tolist() == PLANTED.tolist()
    assert head.spans == ((0, 2), (2, 3))  # the tap without a kept feature is dropped
    kept = torch.from_numpy(X[:, PLANTED])
    scaled = torch.cat([2.5 * kept[:, :2], 0.1 * kept[:, 2:]], dim=1)  # what normalisation takes away again
    torch.testing.assert_close(head.logits(kept), head.logits(scaled), atol=1e-5, rtol=1e-4)


def test_the_recipe_learns_and_the_same_seed_gives_the_same_head():
    X, y = planted()
    recipe = Recipe(learning_rate=0.1, steps=150, penalty=1e-4, fraction=0.05)
    first, second = (fit_recipe(X, y, COLUMNS, "8", recipe) for _ in range(2))
    assert torch.equal(first.coef, second.coef)
    assert set(PLANTED) <= set(first.indices.tolist())
    X_test, y_test = planted(seed=1)
    predicted = first.logits(torch.from_numpy(X_test[:, first.indices])).argmax(1).numpy()
    assert np.mean(predicted == y_test) > 0.85


def test_batches_are_full_and_every_epoch_has_a_new_order():
    of = torch.tensor([4, 7, 9, 11])
    drawn = torch.cat(list(batches(of, 3, 8, torch.Generator().manual_seed(0)))).view(6, 4)
    assert all(sorted(epoch.tolist()) == of.tolist() for epoch in drawn)
    assert len({tuple(epoch.tolist()) for epoch in drawn}) > 1


def test_search_prefers_what_predicts_held_out_rows():
    X, y = planted()
    grid = RecipeGrid(learning_rates=(1e-9, 0.1), steps=(100,), penalties=(1e-4,), fractions=(0.05,))
    found = recipe_search(X, y, COLUMNS, stratified_folds(y, 3), grid=grid)
    assert found.choice["learning_rate"] == 0.1
    assert found.cv_accuracy == found.table[0]["cv_accuracy"] > found.table[1]["cv_accuracy"]
    assert found.choice["features"] == len(found.head.indices) == 5
    assert found.step_seconds > 0


def test_the_reference_engine_of_the_feature_probe():
    X, y = planted()
    labels = np.array(["a", "b", "c"])[y]
    probe = FeatureProbe(COLUMNS, engine="reference", fractions=(0.05, 1.0), cv=2).fit(X, labels)
    X_test, y_test = planted(seed=1)
    assert probe.score(X_test, np.array(["a", "b", "c"])[y_test]) > 0.85
    assert probe.choice_["fraction"] == 0.05 and set(PLANTED) <= set(probe.head_.indices.tolist())
    assert probe.linear_cv_accuracy_ < 0.5 < probe.cv_accuracy_  # the last tap knows nothing
    np.testing.assert_allclose(probe.predict_proba(X_test).sum(1), 1, rtol=1e-6)
    with pytest.raises(ParameterError, match="knows no weights"):
        FeatureProbe(COLUMNS, engine="reference", cv=2).fit(X, labels, sample_weight=1.0 + y)
    with pytest.raises(ParameterError, match="engine is 'adam'"):
        FeatureProbe(COLUMNS, engine="adam", cv=2).fit(X, labels)


def test_counted_flops_are_the_closed_formula():
    X, y = planted()
    recipe = Recipe(steps=7, fraction=0.1)
    with counted() as spent:
        fit_recipe(X, y, COLUMNS, "8", recipe)
    assert spent.total == flops(len(y), WIDTH * TAPS, 9, 3, recipe) == 4 * (WIDTH * TAPS + 9) * 3 * 128 * 7
