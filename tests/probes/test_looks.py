"""Looks at who is behind: by weighted rows, images counted once, and for good."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, race, search
from head2toe.probes.folds import stratified_folds
from head2toe.probes.standings import Standings

N, D, C = 90, 60, 3
Y = np.arange(N) % C
COLUMNS = Columns((Block("a", "mean", 0, 50), Block("last", "identity", 50, D)), {"all": (0, 1), LINEAR_VIEW: (1,)})
QUICK = SearchSettings(
    fractions=(0.1, 1.0), layer_weights=("equal",), heads=("least squares",), strengths=(0.1,), folds=3, repeats=2
)


def rows() -> np.ndarray:
    X = np.random.default_rng(0).normal(size=(N, D))
    X[:, :5] += 1.5 * np.eye(C)[Y][:, [0, 1, 2, 0, 1]]
    return X.astype(np.float32)


@pytest.mark.parametrize("seconds", [None, 1e9])
def test_each_look_weighs_rows_and_counts_images_once(monkeypatch: pytest.MonkeyPatch, seconds: float | None) -> None:
    """After each repetition; for want of time after each fold, but then nothing is given up for being behind."""
    looks = []

    def look(hits, share, patience, most, images, groups):
        assert groups is None
        looks.append((share, patience, images))
        return race.going_on(hits, share, patience, most, images, groups)

    monkeypatch.setattr(sys.modules["head2toe.probes.search"], "going_on", look)
    weight = np.random.default_rng(1).uniform(0.1, 4, N)
    search(rows(), Y, COLUMNS, settings=replace(QUICK, seconds=seconds), sample_weight=weight)
    folds = stratified_folds(Y, 3, repeats=2)
    judged = [3, 6] if seconds is None else [1, 2, 3, 4, 5, 6]
    assert len(looks) == len(judged)
    for (share, patience, images), count in zip(looks, judged, strict=True):
        held_out = np.concatenate([fold.held_out for fold in folds[:count]])
        np.testing.assert_allclose(share, weight[held_out] / weight[held_out].sum())
        each = np.bincount(held_out, weights=share)
        assert images == pytest.approx(1 / np.square(each).sum())
        assert patience == (QUICK.patience if count % 3 == 0 else math.inf)


def test_looks_and_the_ballot_know_which_rows_belong_together(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, seen = np.arange(N) // 3, []

    def look(hits, share, patience, most, images, groups):
        seen.append(groups)
        return race.going_on(hits, share, patience, most, images, groups)

    def ballot(standings):
        seen.append(counted(standings).groups)
        return counted(standings)

    counted = Standings.ballot
    monkeypatch.setattr(sys.modules["head2toe.probes.search"], "going_on", look)
    monkeypatch.setattr(Standings, "ballot", ballot)
    search(rows(), Y, COLUMNS, settings=QUICK, groups=groups)
    folds = stratified_folds(Y, 3, groups=groups, repeats=2)
    for found, count in zip(seen, [3, 6, 6], strict=True):
        np.testing.assert_array_equal(found, groups[np.concatenate([fold.held_out for fold in folds[:count]])])


def test_what_is_given_up_does_not_come_back() -> None:
    """Of noise and few columns that know, all features are behind after the first fold, though their view is not."""
    found = search(rows(), Y, COLUMNS, settings=replace(QUICK, folds=5, repeats=1, patience=0.0))
    judged = {row["fraction"]: row["folds"] for row in found.table if row["view"] == "all"}
    assert judged == {0.1: 5, 1.0: 1}


@pytest.mark.parametrize(("width", "most"), [(41, 28), (50, 28), (60, 31)])
def test_no_rounding_makes_a_share_one_feature_more(width: int, most: int) -> None:
    columns = replace(COLUMNS, blocks=(Block("a", "mean", 0, width - 5), Block("last", "identity", width - 5, width)))
    settings = replace(QUICK, fractions=(1.0,), most_features=most, repeats=1)
    found = search(rows()[:, :width], Y, columns, settings=settings)
    assert {row["features"] for row in found.table if row["view"] == "all"} == {most}


@pytest.mark.parametrize(("most", "heads"), [(9, {"logistic"}), (10, {"logistic", "least squares"})])
def test_as_many_penultimate_features_as_a_head_may_have_are_for_every_head(most: int, heads: set[str]) -> None:
    found = search(rows(), Y, COLUMNS, settings=replace(QUICK, most_features=most, repeats=1))
    assert {row["head"] for row in found.table if row["view"] == LINEAR_VIEW} == heads


def test_units_of_sample_weights_do_not_matter() -> None:
    weight = np.random.default_rng(1).uniform(0.1, 4, N)
    plain, scaled = (
        search(rows(), Y, COLUMNS, settings=QUICK, sample_weight=factor * weight) for factor in (1.0, 1000.0)
    )
    assert plain.choice["view"] == scaled.choice["view"] == "all"
    assert plain.head.indices.tolist() == scaled.head.indices.tolist()
    np.testing.assert_allclose(plain.head.coef, scaled.head.coef, rtol=1e-3, atol=1e-4)
