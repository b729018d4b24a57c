"""Labels, weights, folds and parameters at the edges of what is taken."""

from __future__ import annotations

import logging
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch.utils.data import Dataset, Subset

from head2toe.errors import (
    ClassTooSmallError,
    DataFormatError,
    MissingLabelError,
    NotFiniteError,
    OneClassError,
    ParameterError,
)
from head2toe.estimators import FeatureProbe, MultinomialGroupLasso
from head2toe.estimators.checks import MANY, check_finite, check_views, seed_of, tell_of_many
from head2toe.estimators.folds import folds_of
from head2toe.estimators.group_lasso_cv import MultinomialGroupLassoCV
from head2toe.estimators.groups import check_groups, group_numbers
from head2toe.estimators.head_size import check_head_size
from head2toe.estimators.labels import as_labels, labels_of
from head2toe.estimators.network_state import NetworkState
from head2toe.estimators.networks import JointCosts
from head2toe.estimators.streaming import JointExtractor
from head2toe.estimators.target import Target
from head2toe.estimators.weights import row_weights, sample_weights
from head2toe.features import Skipped
from head2toe.features.costs import Costs
from head2toe.features.extractor import Batch
from head2toe.probes.columns import Block, Columns


def columns_of(*spans, **views):
    blocks = tuple(Block(f"layer {i}", "mean", *span) for i, span in enumerate(spans))
    return Columns(blocks, views or {"all": tuple(range(len(blocks))), "linear": (0,)})


def blobs(n=40, d=6, seed=0):
    y = np.arange(n) % 2
    X = np.random.default_rng(seed).normal(size=(n, d)) + 2 * np.eye(d)[y]
    return X.astype(np.float32), y


def test_a_class_may_weigh_nothing():
    target = Target.of(["a", "b", "a"])
    assert row_weights(target, {"a": 0, "b": 2.0}, np.ones(3)).tolist() == [0, 2, 0]


def test_weights_whose_sum_is_infinite_are_refused():
    with pytest.raises(ParameterError, match="sum is infinite"):
        sample_weights([1e308, 1e308], 2)


def test_blocks_may_not_overlap():
    X, y = blobs()
    with pytest.raises(ParameterError, match="overlaps another"):
        FeatureProbe(columns_of((0, 4), (2, 6)), cv=2).fit(X, y)


def test_nan_beyond_the_first_columns_is_told_with_its_place():
    X = np.zeros((3, 5000), np.float32)
    X[2, 4500] = np.nan
    with pytest.raises(NotFiniteError, match="row 2, column 4500"):
        check_finite(X)


def test_finite_numbers_with_an_infinite_sum_are_finite():
    check_finite(np.full((2, 2), np.finfo(np.float64).max))


def test_so_many_images_are_not_yet_told(caplog):
    with caplog.at_level(logging.WARNING):
        tell_of_many(MANY, "images")
        assert not caplog.records
        tell_of_many(MANY + 1, "images")
    assert f"{MANY + 1} images" in caplog.text


def test_a_seed_is_not_negative():
    assert seed_of(0) == 0
    with pytest.raises(ParameterError, match="random_state is -1"):
        seed_of(-1)


def test_no_views_leave_nothing_to_choose_among():
    with pytest.raises(ParameterError, match=r"views is \[\]"):
        check_views([], columns_of((0, 4)))
    check_views(None, columns_of((0, 4)))


def test_the_recipe_refuses_weights_that_differ_however_small():
    X, y = blobs()
    with pytest.raises(ParameterError, match="the published recipe knows no weights"):
        FeatureProbe(engine="reference").fit(X, y, sample_weight=np.where(np.arange(len(y)) < 4, 0.5, 1.0))


def test_a_class_in_one_group_is_learned_where_it_may_stand_alone(monkeypatch):
    X, y = blobs(60)
    y[:3], groups = 2, np.arange(60) // 3
    with pytest.raises(ClassTooSmallError, match="all of class 2 is in one group"):
        FeatureProbe(cv=3).fit(X, y, groups=groups)
    search = MagicMock(side_effect=KeyboardInterrupt)  # it would take seconds
    monkeypatch.setattr(import_module("head2toe.estimators.feature_probe"), "search", search)
    with pytest.raises(KeyboardInterrupt):
        FeatureProbe(cv=3, min_class_size=1).fit(X, y, groups=groups)
    assert set(search.call_args.args[1].tolist()) == {0, 1, 2}


def test_strengths_that_are_named_twice_are_tried_once():
    assert FeatureProbe(strengths=(1, 0.1, 1.0)).settings().strengths == (1.0, 0.1)


class Targets(Dataset):
    """Pictures whose labels are known without a look at them."""

    def __init__(self, targets):
        self.targets = targets

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        raise AssertionError("an item was looked at")


def test_a_part_of_a_dataset_has_the_labels_of_its_own_items():
    assert labels_of(Subset(Targets(["a", "b", "c"]), [2, 0])) == ["c", "a"]


def test_targets_of_several_numbers_are_no_labels():
    with pytest.raises(DataFormatError):
        Target.of(labels_of(Targets([torch.tensor([0, 1]), torch.tensor([1, 0])])))


def test_pandas_s_missing_label_is_missing():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(MissingLabelError, match="1 of 3 labels are None or NaN, the first at 1"):
        as_labels(np.array(["a", pandas.NA, "b"], object))


@pytest.mark.parametrize("label", ["cat", 3, np.int64(3)])
def test_one_value_is_no_label_an_image(label):
    with pytest.raises(DataFormatError, match="a single value"):
        as_labels(label)


def test_as_many_groups_as_folds_are_enough():
    target = Target.of([0, 1] * 5)
    check_groups(target, np.arange(10) // 2, 5)
    with pytest.raises(ClassTooSmallError, match="all of class 1 is in one group"):
        check_groups(Target.of([0, 0] * 4 + [1, 1]), np.arange(10) // 2, 5)


def test_groups_may_be_a_column_and_no_table():
    assert group_numbers(np.array([["b"], ["a"], ["b"]]), 3).tolist() == [1, 0, 1]
    with pytest.raises(ParameterError, match=r"groups have shape \(3, 2\)"):
        group_numbers(np.zeros((3, 2)), 3)


@pytest.mark.parametrize("length", [5, 7])
def test_a_mask_has_a_value_a_row(length):
    mask = np.arange(length) < 3
    with pytest.raises(ParameterError, match=rf"mask of shape \({length},\): 6 rows need"):
        folds_of([(mask, [4, 5])], np.arange(6) % 2)


def test_a_fold_has_rows_to_learn_from_and_rows_to_judge_by():
    for fold in (([0, 1], []), ([], [0, 1])):
        with pytest.raises(ParameterError, match="without rows"):
            folds_of([fold], np.arange(6) % 2)


def test_strengths_are_tried_from_the_largest_whatever_their_order():
    X, y = blobs()
    found = MultinomialGroupLassoCV([0.01, 0.3, 0.1], cv=2).fit(X, y)
    assert found.alphas_.tolist() == [0.3, 0.1, 0.01] and found.scores_.shape == (3, 2)
    assert (found.entry_alphas_[found.entry_alphas_ > 0] >= found.alpha_).all()


def test_accuracy_counts_classes_and_not_their_places_in_a_fold():
    """The fold trains on the classes 1 and 2 alone."""
    rng = np.random.default_rng(0)
    y = np.array([0] * 4 + [1, 2] * 20)
    X = rng.normal(size=(44, 3)) + 20 * np.eye(3)[y]
    train, test = np.arange(4, 34), np.arange(34, 44)
    found = MultinomialGroupLassoCV([1e-3], cv=[(train, test)], scoring="accuracy").fit(X, y)
    assert found.scores_.tolist() == [[1.0]]


def test_a_fold_that_trains_on_one_class_is_refused():
    X, y = blobs()
    rows = np.flatnonzero(y == 0)
    with pytest.raises(OneClassError, match="training rows are of one class"):
        MultinomialGroupLassoCV([0.1], cv=[(rows[4:], rows[:4])]).fit(X, y)


def test_rows_without_weight_train_no_class():
    X, y = blobs()
    y[:6] = 2
    weight = np.ones(40)
    weight[:5] = 0
    folds = [(np.r_[0:5, 6:30], np.r_[5, 30:40])]
    with pytest.warns(UserWarning, match="tests the class 2 and trains on no row of it"):
        MultinomialGroupLassoCV([0.1], cv=folds).fit(X, y, sample_weight=weight)


def test_a_ratio_of_one_selects_nothing():
    X, y = blobs()
    assert len(MultinomialGroupLasso(ratio=1.0).fit(X, y).selected_) == 0


def test_a_warm_start_is_of_the_same_features_and_classes():
    X, y = blobs(60)
    model = MultinomialGroupLasso(0.05, warm_start=True).fit(X, y)
    for rows, labels in ((X[:, :4], y), (X, np.arange(60) % 3), (X, y + 5)):
        cold = MultinomialGroupLasso(0.05).fit(rows, labels)
        found = model.fit(rows, labels)
        assert found.classes_.tolist() == cold.classes_.tolist() and found.coef_.shape == cold.coef_.shape
        assert found.objective_ == pytest.approx(cold.objective_, rel=1e-3)
        assert found.n_iter_ == cold.n_iter_


def test_where_features_tell_nothing_the_heaviest_penalty_counts():
    X, y = np.zeros((20, 3)), np.arange(20) % 2
    with pytest.warns(UserWarning, match="no feature tells the classes apart"):
        found = MultinomialGroupLasso(ratio=0.5, group_weights=[0.25, 1.0, 2.0]).fit(X, y)
    assert found.alpha_ == pytest.approx(0.5 / 0.25)


class Own(torch.nn.Module):
    """A module with a plain attribute that is no number."""

    def __init__(self):
        super().__init__()
        self.limit = float("nan")
        self.weight = torch.nn.Parameter(torch.zeros(64))


def state(module):
    return NetworkState.of([cast("Any", SimpleNamespace(is_own=True, module=module))])


def test_a_network_is_still_what_it_was():
    module = Own()
    before = state(module)
    module.limit = float("nan")  # another NaN, which equals none
    assert before.is_still(state(module))
    module.eval()
    assert before.is_still(state(module))
    module.weight.data[48] += 1  # which no version counts
    assert not before.is_still(state(module))


def test_a_write_is_counted_wherever_it_falls():
    module = Own()
    before = state(module)
    with torch.no_grad():
        module.weight[1] += 1  # none of the numbers that are looked at
    assert not before.is_still(state(module))


def test_each_network_saves_what_comes_after_its_own_last_layer():
    both = JointCosts((Costs(100, {"a": 40, "b": 90}), Costs(1000, {"a": 400, "b": 900})))
    assert both.total == 1100
    assert both.saved(["0/a", "1/b"]) == 60 + 100
    assert both.saved(["1/a"]) == 100 + 600
    assert JointCosts(both.parts[:1]).saved(["b"]) == 10


class Part:
    """Stands for an extractor, which reads every image but the third, and uses its memory again."""

    width = 2

    def __init__(self, factor):
        self.factor, self.held = factor, np.empty((1, 2), np.float32)

    def stream(self, images):
        for i in range(len(images)):
            number = images[i]
            if number == 130:
                yield Batch(np.empty(0, np.int64), np.empty((0, 2), np.float32), [Skipped(i, "x", "damaged")])
                continue
            self.held[:] = self.factor * number
            yield Batch(np.array([i]), self.held, [])


class Numbers:
    """Stands for 140 images."""

    def __len__(self):
        return 140

    def __getitem__(self, i):
        return i

    def identity(self, i):
        return str(i)


def test_rows_of_several_networks_keep_their_places_and_values():
    batches = list(JointExtractor([Part(1), Part(10)]).stream(Numbers()))
    assert len(batches) > 1
    indices = np.concatenate([batch.indices for batch in batches])
    rows = np.concatenate([batch.rows for batch in batches])
    assert indices.tolist() == [i for i in range(140) if i != 130]
    assert np.array_equal(rows, np.outer(indices, [1, 1, 10, 10]))
    assert [one.index for batch in batches for one in batch.skipped] == [130]


@pytest.mark.parametrize("share", [0, -0.1, float("inf"), float("nan"), "1", True])
def test_the_size_of_a_head_is_a_positive_share(share):
    with pytest.raises(ParameterError, match="head_size is"):
        check_head_size(share)


def test_a_fold_that_rounding_stops_is_not_said_to_need_more_steps():
    X, y = blobs()
    with pytest.warns(ConvergenceWarning) as told:
        MultinomialGroupLassoCV([0.3, 0.01], cv=2, tol=1e-18).fit(X, y)
    assert not [one for one in told if "raise max_iter" in str(one.message)]
    with pytest.warns(ConvergenceWarning) as told:
        MultinomialGroupLassoCV([0.3, 0.001], cv=2, tol=1e-9, max_iter=2).fit(X, y)
    assert len([one for one in told if str(one.message).startswith("in a fold 2 of 2 strengths ended")]) == 2
