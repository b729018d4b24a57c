"""Images to rows, as a scikit-learn transformer."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from tiny import PREPROCESSING, pictures, tiny_network, write_local_dir

from head2toe import AllLayerFeatures, FeatureProbe, backbones
from head2toe.errors import LayerPatternError, ParameterError, UnreadableImageError, WeightsMismatchError

QUICK = {"target_sizes": (64, 256), "cache": False, "dtype": "float32", "batch_size": 16}


@pytest.fixture(scope="module")
def features(local_dir):
    return AllLayerFeatures(local_dir, **QUICK).fit()


def test_one_row_an_image_and_one_name_a_column(features):
    rows = features.transform(pictures()[0])
    names = features.get_feature_names_out()
    assert rows.shape == (30, features.plan_.d) == (30, len(names))
    assert rows.dtype == np.float32
    assert len(set(names)) == len(names)
    block = features.plan_.blocks[3]
    assert names[block.start + 2] == f"{block.layer}/{block.operation}[2]"


def test_the_columns_of_a_view_have_its_values_alone(features, local_dir):
    """The view of 64 among several target sizes is what target size 64 alone gives."""
    images = pictures()[0]
    alone = AllLayerFeatures(local_dir, **{**QUICK, "target_sizes": (64,)}).fit()
    among = features.transform(images)[:, features.columns_.indices("64")]
    np.testing.assert_allclose(among, alone.transform(images)[:, alone.columns_.indices("64")], rtol=1e-4, atol=1e-5)


def test_names_label_a_data_frame(features):
    pytest.importorskip("pandas")
    frame = clone(features).set_output(transform="pandas").fit().transform(pictures()[0])
    assert list(frame.columns) == list(features.get_feature_names_out())


def test_a_pipeline_can_be_cross_validated_and_searched(local_dir, tmp_path):
    images, labels = pictures()
    probe = FeatureProbe(fractions=(0.1, 1.0), strengths=(0.01,), cv=3)
    pipeline = make_pipeline(AllLayerFeatures(local_dir, **{**QUICK, "cache": tmp_path}), probe)
    assert cross_val_score(pipeline, images, labels, cv=2).mean() > 0.6
    search = GridSearchCV(pipeline, {"alllayerfeatures__target_sizes": [(64,), (256,)]}, cv=2).fit(images, labels)
    assert search.best_estimator_.predict(images).shape == (30,)


def test_constructing_cloning_printing_and_pickling_load_nothing(features, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a backbone was loaded")

    monkeypatch.setattr(backbones, "load", refuse)
    assert "AllLayerFeatures" in repr(pickle.loads(pickle.dumps(clone(features))))
    assert len(pickle.dumps(features)) < features._networks.parts[0].body_bytes / 2


def test_an_unpickled_transformer_loads_its_network_when_needed(features):
    images = pictures()[0]
    copy = pickle.loads(pickle.dumps(features))
    np.testing.assert_allclose(copy.transform(images), features.transform(images), rtol=1e-4, atol=1e-5)


def test_every_image_must_have_its_row(features, files):
    paths, _ = files
    paths[3].write_bytes(b"")
    with pytest.raises(UnreadableImageError):
        features.transform(paths)


def test_not_fitted(local_dir):
    with pytest.raises(NotFittedError):
        AllLayerFeatures(local_dir).transform(pictures()[0])


def test_a_pattern_that_matches_nothing(local_dir):
    with pytest.raises(LayerPatternError):
        AllLayerFeatures(local_dir, layers="no.such.*").fit()


def test_an_unpickled_transformer_refuses_other_weights(tmp_path):
    """A pipeline would go on to predict from rows of a network that its probe has never seen."""
    images, labels = pictures()
    spec = write_local_dir(tmp_path / "net", seed=0)
    probe = FeatureProbe(fractions=(1.0,), strengths=(0.01,), cv=2)
    pickled = pickle.dumps(make_pipeline(AllLayerFeatures(spec, **QUICK), probe).fit(images, labels))
    assert pickle.loads(pickled).predict(images).shape == (30,)
    write_local_dir(tmp_path / "net", seed=1)
    with pytest.raises(WeightsMismatchError, match="fit again"):
        pickle.loads(pickled).predict(images)


def test_weights_that_changed_since_fit_are_seen():
    module, images = tiny_network(), pictures(4)[0]
    features = AllLayerFeatures(module, preprocessing=PREPROCESSING, **QUICK).fit()
    features.transform(images)
    with torch.no_grad():
        module.conv1[0].weight.mul_(2)
    with pytest.raises(WeightsMismatchError, match="fit again"):
        features.transform(images)
    assert features.fit().transform(images).shape[0] == 4


def test_backbones_of_several_kinds_are_refused_before_one_is_loaded(local_dir, no_loading):
    with pytest.raises(ParameterError, match="backbones of images and texts cannot share"):
        AllLayerFeatures([local_dir, "hf-text/nowhere"]).fit()
