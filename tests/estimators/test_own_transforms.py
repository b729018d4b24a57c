"""A probe whose images pass a transform of the user's own is not used with another one unseen."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from tiny import PREPROCESSING, QUICK, SIDE, pictures, tiny_network

from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier
from head2toe.errors import ParameterError, PreprocessingError


def dark(image):
    """A fifth of the picture's light, of the size that the network's own preprocessing makes."""
    pixels = np.asarray(image.resize((SIDE, SIDE)), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1) / 5


@pytest.fixture(scope="module")
def fitted(local_dir):
    return Head2ToeClassifier(local_dir, preprocessing=dark, **QUICK).fit(*pictures())


def test_a_probe_made_with_a_transform_wants_it_back(fitted, tmp_path):
    """The checkpoint's own preprocessing fits the network as well, and would give other answers."""
    images = pictures(seed=1)[0]
    folder = fitted.save(tmp_path / "probe")
    with pytest.raises(PreprocessingError, match=r"your own transform for timm/.*load\(folder, preprocessing="):
        Head2ToeClassifier.load(folder).predict(images)
    again = Head2ToeClassifier.load(folder, preprocessing=dark)
    np.testing.assert_array_equal(again.predict(images), fitted.predict(images))
    on_purpose = Head2ToeClassifier.load(folder, preprocessing=PREPROCESSING)
    assert on_purpose.predict(images).shape == (30,)


def test_of_several_backbones_the_one_with_a_transform_is_named(local_dir, tmp_path):
    images, labels = pictures()
    both = Head2ToeClassifier([local_dir, tiny_network(1)], preprocessing=[None, dark], **QUICK).fit(images, labels)
    folder = both.save(tmp_path / "probe")
    given = [local_dir, tiny_network(1)]
    with pytest.raises(PreprocessingError, match="your own transform for module/"):
        Head2ToeClassifier.load(folder, backbone=given).predict(images)
    again = Head2ToeClassifier.load(folder, backbone=given, preprocessing=[None, dark])
    np.testing.assert_array_equal(again.predict(images), both.predict(images))


def test_of_several_backbones_those_that_are_not_given_keep_what_was_saved(local_dir, tmp_path):
    images, labels = pictures()
    odd = replace(PREPROCESSING, mean=(0.9, 0.1, 0.5), std=(0.1, 0.3, 2.0))
    given = [local_dir, tiny_network(1)]
    both = Head2ToeClassifier(given, preprocessing=[odd, dark], **QUICK).fit(images, labels)
    folder = both.save(tmp_path / "probe")
    again = Head2ToeClassifier.load(folder, backbone=given, preprocessing=[None, dark])
    np.testing.assert_array_equal(again.predict_proba(images), both.predict_proba(images))


def test_a_pickle_keeps_the_transform(fitted, local_dir):
    images, labels = pictures()
    rows = AllLayerFeatures(local_dir, preprocessing=dark, target_sizes=(64,), cache=False, dtype="float32")
    pipeline = make_pipeline(rows, FeatureProbe(fractions=(1.0,), strengths=(0.01,), cv=2)).fit(images, labels)
    for one in (fitted, pipeline):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).predict(images), one.predict(images))


def test_fitting_a_loaded_probe_without_its_module_says_what_is_missing(module, data, tmp_path):
    folder = Head2ToeClassifier(module, preprocessing=PREPROCESSING, **QUICK).fit(*data).save(tmp_path / "probe")
    with pytest.raises(ParameterError, match=r"your own module ResNet: pass it to load\(folder, backbone="):
        Head2ToeClassifier.load(folder, cache=False).fit(*data)


def test_a_transform_that_makes_a_batch_of_one_is_told_the_cure():
    images, labels = pictures()
    with pytest.raises(PreprocessingError, match=r"leave unsqueeze\(0\) out of the transform"):
        Head2ToeClassifier(tiny_network(), preprocessing=lambda image: dark(image)[None], **QUICK).fit(images, labels)
