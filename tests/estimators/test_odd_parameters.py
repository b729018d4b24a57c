"""Numbers of NumPy's are numbers, tensors are arrays; what is neither is told in a line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import PREPROCESSING, QUICK, pictures, tiny_network

from head2toe import (
    AllLayerFeatures,
    FeatureProbe,
    Head2ToeClassifier,
    MultinomialGroupLasso,
    MultinomialGroupLassoCV,
    backbones,
)
from head2toe.benchmark import embedded_task
from head2toe.data import as_images
from head2toe.errors import (
    ClassTooSmallError,
    DataFormatError,
    LayerPatternError,
    ParameterError,
    PreprocessingError,
    UnknownBackboneError,
)

OWN = {"preprocessing": PREPROCESSING, "cache": False, "dtype": "float32"}
X, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"target_sizes": "512"}, ParameterError),
        ({"target_sizes": 16.0}, ParameterError),
        ({"layers": 3}, LayerPatternError),
        ({"layers": [3]}, LayerPatternError),
        ({"layers": b"layer1"}, LayerPatternError),
        ({"cache": 1}, ParameterError),
        ({"cache": 3.5}, ParameterError),
        ({"batch_size": 2.5}, ParameterError),
    ],
)
def test_other_kinds_of_parameters_are_told(options, error):
    with pytest.raises(error, match=f"{next(iter(options))} is ") as caught:
        AllLayerFeatures(tiny_network(), **{**OWN, **options}).fit().transform(pictures(3)[0])
    assert "\n" not in str(caught.value)


def test_numbers_of_numpys_are_taken():
    options = {"batch_size": np.int64(4), "image_size": np.int64(32), "cache": np.False_, "target_sizes": np.int64(16)}
    rows = AllLayerFeatures(tiny_network(), **{**OWN, **options}).fit().transform(pictures(3)[0])
    assert len(rows) == 3
    probe = Head2ToeClassifier(tiny_network(), preprocessing=PREPROCESSING, budget=np.float32(1), **QUICK)
    assert probe.fit(*pictures()).flops_saved_ >= 0
    assert PREPROCESSING.with_size(np.int64(40)).size == (40, 40)


def test_tensors_that_lead_back_to_a_gradient_are_numbers():
    weight = torch.ones(12, requires_grad=True)
    labels = torch.tensor(y, dtype=torch.float32, requires_grad=True)
    rows = torch.tensor(X, requires_grad=True)
    probe = FeatureProbe(fractions=(1.0,)).fit(rows, labels, weight.detach())
    assert probe.predict(rows.bfloat16()).shape == (12,)
    images, names = pictures()
    weights = torch.ones(len(images), requires_grad=True)
    Head2ToeClassifier(tiny_network(), preprocessing=PREPROCESSING, **QUICK).fit(images, names, weights)


@pytest.mark.parametrize(("mean", "std"), [((np.nan,) * 3, (0.5,) * 3), ((0.5,) * 3, (np.nan,) * 3), ((0,), (np.inf,))])
def test_a_preprocessing_needs_finite_numbers(mean, std):
    with pytest.raises(PreprocessingError, match="three numbers each"):
        backbones.Preprocessing((8, 8), mean, std)


@pytest.mark.parametrize("spec", [tiny_network().state_dict(), object, len])
def test_what_is_no_backbone_is_told_in_few_words(spec):
    with pytest.raises(UnknownBackboneError, match="is no backbone") as caught:
        backbones.load(spec)
    assert len(str(caught.value)) < 120


def test_a_backbone_that_is_loaded_already_says_what_to_pass():
    loaded = backbones.load(tiny_network(), preprocessing=PREPROCESSING)
    with pytest.raises(UnknownBackboneError, match="loaded already: pass what it was loaded from"):
        AllLayerFeatures(loaded).fit()


def test_a_picture_without_pixels_is_no_image():
    images = as_images([Image.new("RGB", (0, 5))])
    with pytest.raises(DataFormatError, match="0 x 5 pixels"):
        images[0]


def test_a_class_of_which_nothing_can_be_read_is_not_lost_unseen():
    images, labels = pictures(12)
    gone = ["gone1.png", "gone2.png"]
    with pytest.raises(ClassTooSmallError, match="no image of class 'other' can be read; 2 images cannot be read"):
        Head2ToeClassifier(tiny_network(), preprocessing=PREPROCESSING, **QUICK).fit(
            [*images, *gone], [*labels, "other", "other"]
        )


@pytest.mark.parametrize("counts", [{"n_train": "a"}, {"n_train": 2.5}, {"n_test": 0}, {"random_state": -1}])
def test_an_embedded_task_needs_whole_numbers(counts):
    with pytest.raises(ParameterError, match=next(iter(counts))):
        embedded_task("digits", **counts)


@pytest.mark.parametrize("order", [np.repeat([0, 1, 2], 20), np.arange(60) % 3])
@pytest.mark.parametrize("model", [MultinomialGroupLasso(ratio=0.1), MultinomialGroupLassoCV()])
def test_rounding_alone_tells_no_classes_apart(model, order):
    with pytest.warns(UserWarning, match="no feature tells the classes apart"):
        model.fit(np.ones((60, 3)), order)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MultinomialGroupLasso(dtype=["float32"]), "dtype is"),
        (MultinomialGroupLassoCV(cv=[(np.arange(12), [])]), "a fold without rows"),
        (MultinomialGroupLassoCV(cv=[(np.arange(12), [12])]), "beyond the 12"),
        (MultinomialGroupLassoCV(cv=[(["a"], [1])]), "use row numbers or a mask"),
        (FeatureProbe(search_seconds=10**400), "search_seconds is"),
    ],
)
def test_other_kinds_are_told_before_any_work(model, message):
    with pytest.raises(ParameterError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize("option", [{"layer_weights": [["equal"]]}, {"heads": [{}]}, {"views": [["all"]]}])
def test_lists_in_lists_are_told(option):
    with pytest.raises(ParameterError, match=next(iter(option))):
        FeatureProbe(**option).fit(np.eye(20), np.arange(20) % 2)


def test_tensors_without_plain_values_are_told():
    for tensor in (torch.eye(20).to_sparse(), torch.eye(20, device="meta")):
        with pytest.raises(DataFormatError, match="sparse or has no values"):
            FeatureProbe().fit(tensor, np.arange(20) % 2)
