"""What the classifier refuses, and that it does so before any long work."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import pytest
from tiny import QUICK

from head2toe import Head2ToeClassifier
from head2toe.errors import (
    ClassTooSmallError,
    DataFormatError,
    MissingLabelError,
    OneClassError,
    ParameterError,
    TooFewImagesError,
)
from head2toe.estimators import checks
from head2toe.estimators.head_size import check_head_size


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda x, y: (x, np.full(30, "left")), OneClassError),
        (lambda x, y: (x, np.append(y[:-1], "up")), ClassTooSmallError),
        (lambda x, y: (x[:2], y[:1].repeat(2)), OneClassError),
        (lambda x, y: (x[[0, 1, 3, 4]], y[[0, 1, 3, 4]]), TooFewImagesError),
        (lambda x, y: (x, y[:-1]), DataFormatError),
        (lambda x, y: (x, np.stack([y, y], axis=1)), DataFormatError),
        (lambda x, y: (x, None), MissingLabelError),
        (lambda x, y: (x, [*y[:-1], None]), MissingLabelError),
        (lambda x, y: (x, y, np.ones(3)), DataFormatError),
        (lambda x, y: (x, np.where(y == y[0], "h\udcff", y)), DataFormatError),  # a folder that is not UTF-8
        (lambda x, y: (x, 1j * np.arange(30)), DataFormatError),
    ],
)
def test_bad_data_is_refused_before_the_network_is_loaded(spoil, error, data, no_loading):
    with pytest.raises(error):
        Head2ToeClassifier("embedded", **{**QUICK, "cv": 5}).fit(*spoil(*data))


class Side(Enum):
    LEFT = 1
    RIGHT = 2


@pytest.mark.parametrize("kind", [np.datetime64, np.timedelta64, date.fromordinal, Decimal, pd.Timestamp, Side])
def test_dates_and_other_objects_are_refused_before_they_are_learned(data, no_loading, kind):
    days = (kind(1, "D"), kind(2, "D")) if kind in (np.datetime64, np.timedelta64) else (kind(1), kind(2))
    with pytest.raises(DataFormatError, match=r"^labels are of the type .*, such as .*: give strings.*$"):
        Head2ToeClassifier("embedded", **QUICK).fit(data[0], [days[i % 2] for i in range(30)])


@pytest.mark.parametrize(
    ("parameters", "weight", "message"),
    [
        ({"class_weight": {"left": 1, "right": -1}}, None, "class_weight of 'right' is -1: use a number from 0 on"),
        ({"class_weight": {"left": np.nan}}, None, "class_weight of 'left' is nan"),
        ({"class_weight": {"top": 1}}, None, "class_weight: The classes, .* are not in class_weight"),
        ({"class_weight": "balance"}, None, "class_weight: "),
        ({"random_state": -1}, None, "random_state is -1: use a whole number from 0 on"),
        ({}, lambda labels: -np.ones(len(labels)), "sample_weight: "),
        ({}, lambda labels: np.full(len(labels), np.nan), "sample_weight: "),
        ({}, lambda labels: np.zeros(len(labels)), "zero"),
        ({}, lambda labels: ["a"] * len(labels), "sample_weight: .* give a number an image"),
        ({}, lambda labels: [[1], [1, 2]], "sample_weight: .* give a number an image"),
    ],
)
def test_bad_weights_and_seeds_are_refused_before_the_network_is_loaded(data, no_loading, parameters, weight, message):
    images, labels = data
    with pytest.raises(ParameterError, match=message):
        Head2ToeClassifier("timm/resnet18", **parameters).fit(images, labels, weight and weight(labels))


def test_weights_that_leave_one_class_are_refused_before_the_network_is_loaded(data, no_loading):
    images, labels = data
    with pytest.raises(OneClassError):
        Head2ToeClassifier("timm/resnet18").fit(images, labels, np.asarray(labels) == "left")


@pytest.mark.parametrize(("many", "said"), [(28, True), (29, False)])
def test_many_images_are_warned_of_before_the_network_is_loaded(many, said, data, no_loading, monkeypatch, caplog):
    """An image of weight zero does not count."""
    monkeypatch.setattr(checks, "MANY", many)
    with pytest.raises(AssertionError, match="a backbone was loaded"):
        Head2ToeClassifier("embedded").fit(*data, sample_weight=np.arange(30) > 0)
    assert ("29 images: the time of the search grows with the cube" in caplog.text) is said


def test_a_cache_that_cannot_be_written_is_said_plainly(local_dir, data, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ParameterError, match=r"no cache can be kept in .*: choose another folder, or none"):
        Head2ToeClassifier(local_dir, cache=tmp_path / "file").fit(*data)


def test_a_bad_parameter_is_refused_before_the_network_is_loaded(data, no_loading):
    with pytest.raises(ParameterError, match="fractions"):
        Head2ToeClassifier("embedded", fractions=(2,)).fit(*data)


@pytest.mark.parametrize("size", [0, -1, "small", True])
def test_a_head_size_that_is_none_is_refused(size, data, no_loading):
    with pytest.raises(ParameterError, match="head_size"):
        Head2ToeClassifier("embedded", head_size=size).fit(*data)


def test_numbers_of_numpy_s_are_numbers():
    sizes = {"image_size": np.int64(32), "target_sizes": np.int64(16), "head_size": np.float32(0.5)}
    plan, _ = (model := Head2ToeClassifier("embedded", **sizes))._lay_out(model._load_networks())
    assert set(plan.views) == {"16", "statistics", "linear"}
    check_head_size(model.head_size)


@pytest.mark.parametrize("wrong", [{"target_sizes": 512.0}, {"statistics": 3}])
def test_what_is_neither_one_nor_several_is_refused(wrong):
    model = Head2ToeClassifier("embedded", image_size=32, **wrong)
    with pytest.raises(ParameterError, match=f"{next(iter(wrong))} is"):
        model._lay_out(model._load_networks())


def test_a_table_of_hugging_face_datasets_is_told_how_to_be_passed():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"picture": [0, 1], "kind": ["a", "b"]})
    with pytest.raises(MissingLabelError, match=r"picture, kind: pass two of them"):
        Head2ToeClassifier(cache=False).fit(table)
