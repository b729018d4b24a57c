"""Few labelled images: the search leans to the linear probe where there is too little to learn more from."""

from __future__ import annotations

import numpy as np
import pytest

from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier
from head2toe.backbones import load
from head2toe.data import read_data
from head2toe.estimators.head_size import most_features

DRAWS, JUDGED = 4, 400


@pytest.fixture(scope="module")
def photographs(shared):
    """Default rows of 1000 photographs of ten kinds of objects, what their columns are, and labels. All to train on."""
    data = read_data(shared / "data" / "cifar10.zip", split="train")
    own = Head2ToeClassifier()
    pooled = AllLayerFeatures(target_sizes=own.target_sizes, statistics=own.statistics, cache=False)
    return pooled.fit_transform(data.images), pooled.columns_, np.asarray(data.labels)


@pytest.mark.slow
@pytest.mark.parametrize("per_class", [5, 10, 20])
def test_head2toe_does_not_lose_to_the_linear_probe_by_more_than_noise(photographs, per_class):
    """What the last layer is best at: objects as on ImageNet. Noise: two standard errors of the mean of the draws."""
    X, columns, y = photographs
    most = most_features(Head2ToeClassifier().head_size, load("embedded").body_bytes, len(np.unique(y)))
    gains = []
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(y))
        drawn = np.concatenate([order[y[order] == label][:per_class] for label in np.unique(y)])
        judged = np.setdiff1d(order, drawn)[:JUDGED]
        probe = FeatureProbe(columns=columns, most_features=most).fit(X[drawn], y[drawn])
        gains.append(probe.score(X[judged], y[judged]) - probe.linear_score(X[judged], y[judged]))
    assert np.mean(gains) + 2 * np.std(gains, ddof=1) / np.sqrt(DRAWS) > 0
