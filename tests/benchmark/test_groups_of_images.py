"""Images that belong together: no method of a comparison learns from some and is judged on others of them."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from estimators.tiny import PREPROCESSING, pictures, tiny_network
from head2toe.benchmark import Task, compare
from head2toe.benchmark.before_training import check_shared_images
from head2toe.benchmark.trial import Trial
from head2toe.data import LabelledImages, as_images
from head2toe.errors import ClassTooSmallError, ParameterError, TooFewImagesError
from head2toe.probes.columns import Block, Columns

OBJECTS, COPIES = 60, 3
BY_FOLDS = ("linear", "knn", "last4", "all-l2")
BY_SPLIT = ("all-l1", "all-gl", "head2toe-reference")


def labelled(images, labels, groups=None):
    names = [str(i) for i in range(len(labels))]
    return LabelledImages(as_images(images), [str(one) for one in labels], names, groups=groups)


@pytest.fixture(scope="module")
def copies():
    """Each picture three times, of classes drawn at random: who knows a copy knows the class, and nobody else does."""
    images = np.random.default_rng(1).integers(0, 256, (OBJECTS, 32, 32, 3), dtype=np.uint8)
    classes = np.random.default_rng(0).permutation(OBJECTS) % 2
    order = np.random.default_rng(2).permutation(OBJECTS * COPIES) % OBJECTS
    train = labelled(images[order], classes[order], [f"object {i}" for i in order])
    return Task("copies", "", train, labelled(images[:8], classes[:8]))


def run(task, names, told=None, **options):
    if told is not None:
        options["progress"] = lambda done, total, text: told.append(text)
    options = {"steps": 1, "target_sizes": (16,), "dtype": "float32", "preprocessing": PREPROCESSING, **options}
    return compare(task, tiny_network(5), names, **options)


def test_no_fold_knows_a_copy_of_what_it_is_judged_on(copies):
    for one in run(copies, BY_FOLDS):
        assert one.cv_accuracy < 0.8 and one.choice["validation"].endswith("5 folds of groups"), one.method
    for one in run(replace(copies, train=replace(copies.train, groups=None)), BY_FOLDS):
        assert one.cv_accuracy > 0.95 and one.choice["validation"].endswith("5 folds"), one.method


@pytest.mark.parametrize("name", ["head2toe", "head2toe-equal"])
def test_searches_deal_the_same_groups_to_their_folds(copies, monkeypatch, name):
    def deal(y, k, *, groups, repeats, random_state):
        cell = Trial(copies, "embedded", backbone=None, seed=random_state)
        assert k == 5 and y.tolist() == cell.y.tolist() and groups.tolist() == cell.groups.tolist()
        raise KeyboardInterrupt  # the rest would take seconds

    monkeypatch.setattr(import_module("head2toe.probes.search"), "stratified_folds", deal)
    with pytest.raises(KeyboardInterrupt):
        run(copies, [name], seed=3)


def test_a_search_beside_the_split_keeps_groups_together_too(copies, monkeypatch):
    from head2toe.benchmark.methods import networks

    row = {"head": "discriminant", "fraction": 1.0, "layer_weights": "equal", "view": "all"}
    columns = Columns((Block("a", "mean", 0, 4),), {"all": (0,), "linear": (0,)})
    probe = SimpleNamespace(columns_=columns, most_features=None, choice_={"averaged": [row]})
    monkeypatch.setattr(networks, "FeatureProbe", again := MagicMock())
    cell = Trial(copies, "embedded", backbone=None, made=SimpleNamespace(X=np.zeros((180, 4), np.float32)))
    networks._refitted(cell, probe)
    assert again().fit.call_args.kwargs["groups"].tolist() == cell.groups[cell.split.train].tolist()


def test_neither_does_a_split(copies):
    for one in run(copies, BY_SPLIT):
        assert one.cv_accuracy < 0.9 and one.choice["validation"].endswith("a fold of groups"), one.method


@pytest.mark.parametrize("seed", range(5))
def test_folds_and_splits_divide_no_group(copies, seed):
    cell = Trial(copies, "embedded", backbone=None, seed=seed)
    for fold in (*cell.folds, cell.split):
        assert not set(cell.groups[fold.train]) & set(cell.groups[fold.held_out])
        assert sorted([*fold.train, *fold.held_out]) == list(range(OBJECTS * COPIES))


def test_the_last_images_are_held_out_where_that_divides_no_group(copies):
    order = np.argsort(copies.train.groups, kind="stable").tolist()
    train = labelled(
        np.zeros((len(order), 8, 8, 3), np.uint8),
        [copies.train.labels[i] for i in order],
        [copies.train.groups[i] for i in order],
    )
    cell = Trial(replace(copies, train=train), "embedded", backbone=None)
    assert cell.split.held_out.tolist() == list(range(144, 180)) and cell.split_name.endswith("the last ones")
    shifted = replace(train, groups=[*train.groups[2:], *train.groups[:2]])  # 36 from the end is within a group
    cell = Trial(replace(copies, train=shifted), "embedded", backbone=None)
    assert cell.split_name.endswith("a fold of groups")


@pytest.mark.parametrize(
    ("groups", "refusal", "message"),
    [
        (np.arange(30) % 4, TooFewImagesError, "4 groups are too few for the 5 folds of a comparison: add groups"),
        (np.where(np.arange(30) % 3 == 0, 0, np.arange(30)), ClassTooSmallError, "all of class 'left' is in one group"),
        (["one"], ParameterError, r"groups have shape \(1,\)"),
    ],
)
def test_groups_that_cannot_be_held_apart_are_refused_before_any_work(groups, refusal, message):
    images, labels = pictures(30)
    task, told = Task("t", "", labelled(images, labels, list(groups)), labelled(images, labels)), []
    with pytest.raises(refusal, match=message) as caught:
        run(task, ["linear"], told)
    assert told == [] and "cv" not in str(caught.value)


def test_a_search_beside_the_groups_held_out_needs_some():
    images, labels = pictures(30)
    task, told = Task("t", "", labelled(images, labels, np.arange(30) // 6), labelled(images, labels)), []
    with pytest.raises(TooFewImagesError, match=r"^head2toe-ft: 4 training groups are left when 1 .*: add groups"):
        run(task, ["linear", "head2toe-ft"], told)
    assert told == []


def test_test_images_of_groups_that_are_trained_on_are_told(copies, caplog):
    test = labelled(np.ones((3, 8, 8, 3), np.uint8), [0, 1, 0], ["object 3", "object 99", "object 3"])
    with caplog.at_level(logging.WARNING):
        check_shared_images(replace(copies, test=test))
    assert "copies: 2 of 3 test images are of groups that training images are of too" in caplog.text
