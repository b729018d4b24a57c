"""The search as a whole: honest inside the folds, and indifferent to what must not matter."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from head2toe.errors import ParameterError
from head2toe.probes import LINEAR_VIEW, Block, Columns, LinearHead, SearchSettings, search
from head2toe.probes.folds import stratified_folds
from head2toe.probes.heads import LEAST_BYTES
from head2toe.probes.labels import Labels
from head2toe.probes.ranking import top
from head2toe.probes.scores import group_lasso_scores
from head2toe.probes.settings import RIDGE_STRENGTHS
from head2toe.probes.standardised import Standardised

N, D, C = 90, 120, 3
INFORMATIVE = np.arange(10, 16)
FRACTIONS = (0.05, 0.3, 1.0)
QUICK = SearchSettings(fractions=FRACTIONS, strengths=(1e-1, 1e-3), folds=3, repeats=1)


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Six columns know the class; the rest is noise of other means and sizes."""
    rng = np.random.default_rng(seed)
    y = np.arange(N) % C
    X = rng.normal(size=(N, D))
    X[:, INFORMATIVE] += 1.2 * np.eye(C)[y][:, [0, 1, 2, 0, 1, 2]]
    return (X * rng.uniform(0.1, 10, D) + rng.normal(size=D)).astype(np.float32), y


def columns() -> Columns:
    blocks = (Block("a", "mean", 0, 40), Block("b", "mean", 40, 100), Block("last", "identity", 100, D))
    return Columns(blocks, {"all": (0, 1, 2), LINEAR_VIEW: (2,)})


@pytest.fixture(scope="module")
def found():
    X, y = rows()
    return search(X, y, columns(), settings=QUICK)


def test_finds_the_columns_that_know(found) -> None:
    assert found.cv_accuracy > found.linear_cv_accuracy + 0.2
    # The six that know are heard more than any noise column.
    strength = found.head.coef.norm(dim=0)
    loudest = found.head.indices[strength.argsort(descending=True)[:6]]
    assert len(set(loudest.tolist()) & set(INFORMATIVE.tolist())) >= 5


def test_predicts_rows_it_has_not_seen(found) -> None:
    X, _ = rows()
    fresh, truth = rows(seed=1)
    # The second draw has its own scale and shift of each column: undo them against the first.
    fresh = (fresh - fresh.mean(0)) / fresh.std(0) * X.std(0) + X.mean(0)
    logits = found.head.logits(torch.from_numpy(fresh.astype(np.float32))[:, found.head.indices])
    accuracy = float((logits.argmax(1).numpy() == truth).mean())
    assert accuracy > 0.7
    assert accuracy == pytest.approx(found.cv_accuracy, abs=0.15)
    assert torch.isfinite(logits).all()


def test_noise_gets_no_credit() -> None:
    """With labels that mean nothing, selection outside the folds would look good; inside, it looks like chance."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, 2000)).astype(np.float32)
    y = rng.permutation(np.arange(N) % C)
    noise = search(X, y, Columns.plain(2000), settings=QUICK)
    mean = np.mean([row["cv_accuracy"] for row in noise.table])
    assert mean == pytest.approx(1 / C, abs=0.1)
    assert noise.choice["estimated_accuracy"] == pytest.approx(1 / C, abs=3 * np.sqrt(2 / 9 / N))


@pytest.mark.parametrize("commensurable", [True, False])
def test_units_of_features_do_not_matter(commensurable: bool) -> None:
    """A common unit of a block never matters; a unit of each feature only where they are said to share one."""
    X, y = rows()
    own, by_block = np.geomspace(0.01, 100, D), np.repeat([0.01, 100, 3], [40, 60, 20])
    described = replace(columns(), commensurable=commensurable)
    plain = search(X, y, described, settings=QUICK)
    scaled = search(X * (by_block if commensurable else own).astype(np.float32), y, described, settings=QUICK)
    assert scaled.choice["fraction"] == plain.choice["fraction"]
    assert scaled.cv_accuracy == pytest.approx(plain.cv_accuracy, abs=0.012)


def test_every_candidate_is_in_the_table_once(found) -> None:
    keys = [(r["view"], r["layer_weights"], r["fraction"], r["head"]) for r in found.table]
    assert len(keys) == len(set(keys))
    for head in ("least squares", "discriminant"):
        screened = {k[:3] for k in keys if k[3] == head and k[0] != "linear"}
        assert screened == {("all", way, f) for way in ("equal", "learned") for f in FRACTIONS}
    judged = [r["cv_accuracy"] for r in found.table if r["folds"] == QUICK.folds]
    assert judged == sorted(judged, reverse=True)


def test_the_choice_is_a_candidate_as_good_as_the_best_for_all_that_can_be_told(found) -> None:
    choice = found.choice
    assert choice["cv_accuracy"] == found.cv_accuracy and choice["folds"] == QUICK.folds
    assert choice["features"] == len(found.head.indices)
    assert 1 / C < found.choice["estimated_accuracy"] <= 1
    best, first = found.table[0], choice["averaged"][0]
    # One standard error of a paired difference is at most one over the root of the number of rows.
    assert best["cv_accuracy"] - 1 / np.sqrt(N) <= first["cv_accuracy"] <= best["cv_accuracy"]


def test_a_hopeless_view_is_given_up_and_never_chosen() -> None:
    X, y = rows()
    blocks = (Block("a", "mean", 0, 40), Block("b", "mean", 40, 100), Block("last", "identity", 100, D))
    described = Columns(blocks, {"knows": (0,), "noise": (1,), LINEAR_VIEW: (2,)})
    found = search(X, y, described, settings=replace(QUICK, folds=4))
    folds = {view: max(r["folds"] for r in found.table if r["view"] == view) for view in described.views}
    assert folds == {"knows": 4, "noise": 1, LINEAR_VIEW: 4}
    assert found.choice["view"] == "knows"
    assert [r["folds"] for r in found.table] == sorted((r["folds"] for r in found.table), reverse=True)
    twice = search(X, y, described, settings=replace(QUICK, repeats=2))  # looked at after a whole repetition
    assert {r["folds"] for r in twice.table if r["view"] == "noise"} == {QUICK.folds}
    patient = search(X, y, described, settings=replace(QUICK, folds=4, patience=math.inf))
    assert {r["folds"] for r in patient.table} == {4}


def test_repeated_cross_validation_judges_every_row_as_often() -> None:
    X, y = rows()
    settings = replace(QUICK, fractions=(0.05,), layer_weights=("equal",))
    twice = search(X, y, columns(), settings=replace(settings, repeats=2))
    assert {r["folds"] for r in twice.table} == {2 * QUICK.folds}
    few = search(X, y, columns(), settings=replace(settings, repeats=None))  # fewer than 200 rows: three repeats
    assert {r["folds"] for r in few.table} == {3 * QUICK.folds}


@pytest.mark.parametrize("seed", range(3))
def test_of_few_images_the_linear_probe_wins_where_the_layers_are_noise(seed: int) -> None:
    """Many possibly lucky candidates of noise compete with a last layer that knows something, not all."""
    rng = np.random.default_rng(seed)
    n, noise, last = 40, 1000, 10
    y = np.arange(n) % 2
    X = rng.normal(size=(n, noise + last))
    X[:, noise:] += 0.5 * (2 * y[:, None] - 1) * (np.arange(last) < 4)
    blocks = (Block("a", "mean", 0, noise), Block("last", "identity", noise, noise + last))
    described = Columns(blocks, {"all": (0, 1), LINEAR_VIEW: (1,)})
    found = search(X.astype(np.float32), y, described, settings=SearchSettings(strengths=(1e-1, 1e-3)))
    assert found.choice["view"] == LINEAR_VIEW


def test_duplicated_rows_equal_weights() -> None:
    X, _ = rows()
    weight = np.ones(N)
    weight[:30] = 2
    twice = Standardised(np.concatenate([X, X[:30]]))
    weighted = Standardised(X, weight)
    np.testing.assert_allclose(twice.mean, weighted.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(twice.scale, weighted.scale, rtol=1e-4)


def test_constant_columns_become_zero() -> None:
    X, _ = rows()
    X[:, 5] = 12345.678
    standard = Standardised(X)
    z = standard.tile(np.array([4, 5]))
    assert np.isinf(standard.scale[5]) and not z[1].any()
    assert z[0].std(correction=0) == pytest.approx(1, abs=1e-4)


def test_scores_rank_every_feature_and_agree_with_the_optimum() -> None:
    """The reweighted scores order features as the exact group lasso does: what it keeps stands in front."""
    from sklearn.linear_model import MultiTaskLasso

    X, y = rows()
    standard = Standardised(X)
    everything, one = np.arange(N), torch.ones(N, dtype=torch.float64)
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), C).double()
    gram = standard.gram(np.arange(D))
    scores = group_lasso_scores(
        standard, np.arange(D), everything, Labels(torch.from_numpy(y), targets, one), RIDGE_STRENGTHS, gram
    )
    assert scores.shape == (D,) and (scores >= 0).all() and len(np.unique(scores)) > D // 2
    exact = MultiTaskLasso(alpha=0.1).fit(standard.tile(np.arange(D)).T.numpy(), targets.numpy())
    kept = np.flatnonzero(np.linalg.norm(exact.coef_, axis=0))
    ours = set(top(scores, len(kept) / D).tolist())
    assert len(ours & set(kept.tolist())) >= 0.8 * len(kept)


def test_folds_are_stratified_disjoint_and_complete() -> None:
    y = np.repeat([0, 1, 2], [50, 7, 33])
    folds = stratified_folds(y, 5, random_state=1)
    assert sorted(np.concatenate([f.held_out for f in folds])) == list(range(90))
    for fold in folds:
        assert not set(fold.train) & set(fold.held_out) and len(fold.train) + len(fold.held_out) == 90
    counts = np.array([np.bincount(y[f.held_out], minlength=3) for f in folds])
    assert (np.ptp(counts, axis=0) <= 1).all() and np.ptp(counts.sum(axis=1)) <= 1
    with pytest.raises(ParameterError, match="3 rows cannot be split"):
        stratified_folds(y[:3], 5)


def test_sharing_the_scale_changes_no_choice() -> None:
    """A search whose folds are standardised on their own images alone keeps the same features."""
    rng = np.random.default_rng(5)
    n = 300
    y = np.arange(n) % C
    X = rng.normal(size=(n, D)) + 0.9 * np.eye(C)[y][:, np.arange(D) % C] * np.isin(np.arange(D), INFORMATIVE)
    X = (X * rng.uniform(0.1, 10, D)).astype(np.float32)
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), C).double()
    shared, indices = Standardised(X), np.arange(D)
    for fold in stratified_folds(y, 5):
        own, everything = Standardised(X[fold.train]), np.arange(len(fold.train))
        one = torch.ones(len(fold.train), dtype=torch.float64)
        mine = Labels(torch.from_numpy(y)[fold.train], targets[fold.train], one)
        by_shared = group_lasso_scores(shared, indices, fold.train, mine, RIDGE_STRENGTHS, shared.gram(indices))
        by_own = group_lasso_scores(own, indices, everything, mine, RIDGE_STRENGTHS, own.gram(indices))
        assert set(top(by_shared, 6 / D)) == set(top(by_own, 6 / D)) == set(INFORMATIVE)
        assert np.corrcoef(by_shared, by_own)[0, 1] > 0.98


def test_no_head_keeps_more_features_than_it_may() -> None:
    X, y = rows()
    found = search(X, y, columns(), settings=replace(QUICK, fractions=(0.02, 1.0), most_features=5))
    assert {r["features"] for r in found.table if r["view"] == "all"} == {3, 5}
    assert len(found.head.indices) == found.choice["features"] <= 5
    plenty = search(X, y, columns(), settings=replace(QUICK, most_features=10**6))
    assert {r["features"] for r in plenty.table} == {6, 36, D, 20}


def test_where_the_linear_probe_wins_it_is_the_linear_probe() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 40)).astype(np.float32)
    X[:, 30:] += 0.4 * (2 * y[:, None] - 1)
    blocks = (Block("a", "mean", 0, 30), Block("last", "identity", 30, 40))
    settings = SearchSettings(folds=3, most_heads=1)
    found = search(X, y, Columns(blocks, {"all": (0, 1), LINEAR_VIEW: (1,)}), settings=settings)
    assert found.choice["view"] == LINEAR_VIEW and found.choice["head"] == "logistic"
    assert found.head is found.linear and found.cv_accuracy == found.linear_cv_accuracy


@pytest.mark.parametrize("seed", range(2))
def test_few_features_learn_what_all_of_them_say(seed: int) -> None:
    """Where many columns mix a few causes of noisy classes, a head of few does best when taught by the head of all."""
    rng = np.random.default_rng(seed)
    n, d, causes = 300, 400, 15
    z = rng.normal(size=(n, causes))
    y = (z @ rng.normal(size=(causes, C)) + 2 * rng.gumbel(size=(n, C))).argmax(axis=1)
    X = (z @ rng.normal(size=(causes, d)) + rng.normal(size=(n, d))).astype(np.float32)
    settings = SearchSettings(fractions=(0.05, 1.0), layer_weights=("equal",), folds=3, repeats=2)
    found = search(X, y, Columns.plain(d), settings=settings)
    assert {r["fraction"] for r in found.table if r["head"] == "distilled"} == {0.05}  # of all, the teacher itself
    few = {r["head"]: r["cv_accuracy"] for r in found.table if r["fraction"] == 0.05}
    assert max(few, key=lambda head: few[head]) == "distilled"


def test_the_head_that_is_kept_is_what_would_be_stored(found) -> None:
    stored = found.head.tensors()
    assert stored["coef"].dtype == torch.float32 and sum(one.nbytes for one in stored.values()) < LEAST_BYTES
    assert torch.equal(LinearHead.of(stored).coef, found.head.coef)


def test_of_many_classes_as_well_and_rounding_costs_no_accuracy() -> None:
    classes = 40
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, D))
    y = np.arange(6 * classes) % classes
    X, fresh = ((centres[y] + 1.5 * rng.normal(size=(len(y), D))).astype(np.float32) for _ in range(2))
    found = search(X, y, columns(), settings=QUICK)
    stored = found.head.tensors()
    assert stored["coef"].dtype == torch.uint8
    assert torch.equal(LinearHead.of(stored).coef, found.head.coef)
    logits = found.head.logits(torch.from_numpy(fresh)[:, found.head.indices])
    accuracy = float((logits.argmax(1).numpy() == y).mean())
    assert accuracy > found.cv_accuracy - 0.05  # judged before rounding, and with fewer rows


def test_a_class_of_one_image_counts_in_accuracy_and_not_in_the_log_loss() -> None:
    X, y = rows()
    many = search(X, y, columns(), settings=QUICK)
    X, y = np.vstack([X, X[-1:]]), np.append(y, C)
    found = search(X, y, columns(), settings=QUICK)
    right = found.cv_accuracy * len(y)
    assert right == pytest.approx(round(right)) and right <= len(y) - 1
    # An image that no fold learned has a loss of many nats, and calibration would flatten all heads because of it.
    assert found.choice["cv_log_loss"] < many.choice["cv_log_loss"] + 0.01


@pytest.mark.parametrize("way", ["equal", "learned"])
def test_a_row_beside_which_all_others_are_alike_is_no_error(way):
    X, y = np.random.default_rng(0).normal(size=(120, 20)).astype(np.float32), np.arange(120) % 3
    X[:, 0] += 3 * y
    X[5] = -999999  # a sentinel: in the fold that holds it out, the others differ by rounding alone
    found = search(X, y, Columns.plain(20, [(0, 20)]), settings=replace(QUICK, layer_weights=(way,)))
    assert 0 <= found.cv_accuracy <= 1


def test_more_penultimate_features_than_a_head_may_have_are_for_the_linear_probe_alone():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 8, 200)
    X = (rng.normal(size=(200, 60)) @ rng.normal(size=(60, 60)) / 8 + 0.6 * y[:, None] * rng.normal(size=60)).astype(
        np.float32
    )
    found = search(X, y, Columns.plain(60, [(0, 60)]), settings=replace(QUICK, most_features=5))
    assert {row["head"] for row in found.table if row["features"] > 5} == {"logistic"}


def test_where_time_runs_out_one_way_and_the_linear_probe_are_judged_by_all_folds() -> None:
    X, y = rows()
    hasty = search(X, y, columns(), settings=replace(QUICK, seconds=1e-9))
    screened = [row for row in hasty.table if row["view"] != LINEAR_VIEW]
    assert {row["layer_weights"] for row in screened} == {"learned"}
    assert max(row["folds"] for row in screened) == QUICK.folds
    assert all(row["head"] != "logistic" for row in screened)
    assert any(row["view"] == LINEAR_VIEW and row["head"] == "logistic" for row in hasty.table)
    assert hasty.cv_accuracy > hasty.linear_cv_accuracy + 0.2


def test_a_limit_that_is_not_reached_changes_nothing_but_the_order(found) -> None:
    X, y = rows()
    patient = search(X, y, columns(), settings=replace(QUICK, seconds=1e9))
    keys = [{tuple(row.values()) for row in one.table} for one in (patient, found)]
    assert keys[0] == keys[1]
    assert patient.choice == found.choice
    torch.testing.assert_close(patient.head.coef, found.head.coef)


def test_of_several_repeats_too_no_more_is_tried_than_there_is_time_for() -> None:
    X, y = rows()
    hasty = search(X, y, columns(), settings=replace(QUICK, repeats=2, patience=math.inf, seconds=1e-9))
    screened = {(row["layer_weights"], row["folds"]) for row in hasty.table if row["view"] != LINEAR_VIEW}
    assert screened == {("learned", 2 * QUICK.folds)}


@pytest.mark.parametrize("repeats", [1, 2])
def test_where_time_runs_out_the_best_way_goes_on(monkeypatch: pytest.MonkeyPatch, repeats: int) -> None:
    """By the accuracy of the folds so far, also within a repeat; the clock is turned by hand, a second a look."""
    now = iter(range(100_000))
    monkeypatch.setattr("head2toe.probes.clock.time.monotonic", lambda: float(next(now)))
    X, y = rows()
    blocks = (Block("a", "mean", 0, 40), Block("b", "mean", 40, 100), Block("last", "identity", 100, D))
    described = Columns(blocks, {"knows": (0,), "noise": (1,), "more noise": (1, 2), LINEAR_VIEW: (2,)})
    settings = replace(QUICK, folds=4, repeats=repeats, patience=math.inf, seconds=50.0 * repeats)
    found = search(X, y, described, settings=settings)
    judged = {(r["view"], r["layer_weights"]): 0 for r in found.table}
    for row in found.table:
        judged[row["view"], row["layer_weights"]] = max(judged[row["view"], row["layer_weights"]], row["folds"])
    assert found.choice["view"] == "knows"
    assert max(folds for (view, _), folds in judged.items() if "noise" in view) < 4 * repeats
